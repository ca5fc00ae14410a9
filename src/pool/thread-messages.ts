/** What crosses between the main thread and the workers beside tasks and their results. */
import type { EngineKind, EngineOptions } from '../engine/create.ts';

/** Given to every worker at its start. */
export interface WorkerSetup {
  readonly engine: EngineKind;
  readonly engineOptions: EngineOptions;
  readonly cells: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  /** Int32 per row of counters: the id of the thread that writes it, 0 for none. */
  readonly rowOwners: SharedArrayBuffer;
  /** The name of the broadcast channel. */
  readonly channel: string;
}

export type WorkerMessage =
  | { readonly kind: 'ready'; readonly threadId: number }
  | { readonly kind: 'close' }
  | { readonly kind: 'closed'; readonly threadId: number };

/** Takes the first free row of counters. @throws Error when there is none: more threads than were planned for. */
export function claimRow(rowOwners: SharedArrayBuffer, threadId: number): number {
  const owners = new Int32Array(rowOwners);
  for (let row = 0; row < owners.length; row++) {
    if (Atomics.compareExchange(owners, row, 0, threadId) === 0) return row;
  }
  throw new Error(`Expected one of ${owners.length} rows of counters to be free`);
}

/** Gives back the row of a thread that has exited. What it counted stays in the sums. */
export function releaseRow(rowOwners: SharedArrayBuffer, threadId: number): void {
  const owners = new Int32Array(rowOwners);
  for (let row = 0; row < owners.length; row++) Atomics.compareExchange(owners, row, threadId, 0);
}
