/** Messages between the main thread and the workers, besides orders and reports. */
import type { MessagePort } from 'node:worker_threads';
import type { EngineKind, EngineOptions } from '../engine/create.ts';
import { type RegionPlace, viewRegion } from '../engine/shared-region.ts';
import type { TransferReport } from '../engine/report.ts';
import type { TransferOrder } from './pool.ts';

/** Setup that every worker gets at its start. */
export interface WorkerSetup {
  readonly engine: EngineKind;
  readonly engineOptions: EngineOptions;
  /** The region of the table of transfers. */
  readonly table: SharedArrayBuffer | RegionPlace;
  readonly counters: SharedArrayBuffer;
  /** Lists of what each thread holds, a row for each row of counters. See Estate. */
  readonly estates: SharedArrayBuffer;
  /** Int32 per row of counters: the id of the thread that writes it, 0 for none. */
  readonly rowOwners: SharedArrayBuffer;
  /** The name of the broadcast channel. */
  readonly channel: string;
}

/** Returns the region of the table for this thread. */
export function regionOf(table: WorkerSetup['table']): ArrayBufferLike {
  return 'address' in table ? viewRegion(table) : table;
}

/** The one long task of a worker: its link to the main thread. */
export interface Seat {
  /** 0 <= seat < workers. */
  readonly seat: number;
  /** The port for orders and reports as messages, for engines without wakes. */
  readonly port?: MessagePort;
  readonly rings?: {
    readonly orders: SharedArrayBuffer;
    readonly reports: SharedArrayBuffer;
    /** Identifier for waking the main thread. */
    readonly wake: number;
  };
}

export type OrderMessage = TransferOrder;

export interface ReportMessage {
  readonly slot: number;
  readonly report: TransferReport;
}

export type WorkerMessage =
  /** @param wake identifier for waking the worker, if it has rings. */
  | { readonly kind: 'ready'; readonly threadId: number; readonly seat: number; readonly wake: number }
  | { readonly kind: 'close' }
  /** Like `close`, but clients get no word: another process goes on with their transfers. */
  | { readonly kind: 'leave' }
  /** This thread is the spare. */
  | { readonly kind: 'spare'; readonly threadId: number }
  /** Shared buffers were given up that the worker may still refer to. */
  | { readonly kind: 'collect' }
  | { readonly kind: 'closed'; readonly threadId: number };

/** Takes the first free row of counters. @throws Error when none is free: more threads than planned. */
export function claimRow(rowOwners: SharedArrayBuffer, threadId: number): number {
  const owners = new Int32Array(rowOwners);
  for (let row = 0; row < owners.length; row++) {
    if (Atomics.compareExchange(owners, row, 0, threadId) === 0) return row;
  }
  throw new Error(`Expected one of ${owners.length} rows of counters to be free`);
}

/** Returns the row of a thread; -1 when it has none. */
export function rowOf(rowOwners: SharedArrayBuffer, threadId: number): number {
  return new Int32Array(rowOwners).indexOf(threadId);
}

/** Frees the row of a thread that has exited. Its counts stay in the sums. */
export function releaseRow(rowOwners: SharedArrayBuffer, threadId: number): void {
  const row = rowOf(rowOwners, threadId);
  if (row >= 0) Atomics.store(new Int32Array(rowOwners), row, 0);
}
