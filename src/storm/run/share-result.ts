/**
 * The result of one thread's share of a storm. Plain data that survives structured clone; knows neither how it is
 * counted nor how a report sums it up.
 */
import type { ViolationId } from '../violations.ts';
import type { RecordedValues } from './histogram.ts';
import type { Silence } from './node-setting.ts';

/** The step of the curve, in milliseconds. */
export const STEP_MS = 100;

/** A number of equal events, and the place where the first of them was seen. */
export interface Counted {
  count: number;
  readonly example: string;
}

export interface StageResult {
  readonly completed: number;
  readonly failed: number;
  readonly files: number;
  readonly misses: number;
  readonly bytes: number;
  /** Packets that the nodes sent again. */
  readonly client: number;
  /** Packets that the server sent again. */
  readonly server: number;
  readonly firstReply: RecordedValues;
  readonly duration: RecordedValues;
}

export interface ShareResult {
  readonly completed: number;
  readonly failed: number;
  readonly vanished: number;
  /** Nodes whose files are not all of one version. */
  readonly mixed: Counted;
  readonly stages: readonly StageResult[];
  /** Time from the moment when a node was due to its end, in milliseconds. */
  readonly finish: RecordedValues;
  readonly firstReply: RecordedValues;
  readonly violations: ReadonlyMap<ViolationId, Counted>;
  /** Failures by stage and reason, joined by a NUL. */
  readonly failures: ReadonlyMap<string, Counted>;
  readonly wrongFiles: Counted;
  /** Files that were read although there was nothing to compare them with. */
  readonly uncompared: number;
  /** Sends of requests that got no answer in time. */
  readonly unheard: number;
  readonly silences: readonly Silence[];
  /** DATA packets that reached a transfer, copies included. */
  readonly dataPackets: number;
  /** The moment of the last payload byte, in milliseconds after the start; 0 where none came. */
  readonly lastBytesAt: number;
  /** Completed boots, failures and payload bytes in each step of STEP_MS. */
  readonly curve: { readonly completed: number[]; readonly failed: number[]; readonly bytes: number[] };
}
