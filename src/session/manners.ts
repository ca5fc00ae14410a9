/**
 * How a client behaves where the RFCs leave it free, or where firmware does not keep to them: when it asks again,
 * when it gives up, what it does about a block that it did not expect. Data for simulated nodes; a client of our own
 * has none of it and adapts.
 */

import type { ErrorCode } from '../protocol/opcode.ts';

/** When something is sent again while nothing comes. */
export interface Schedule {
  /** The wait after the first send, in milliseconds. */
  readonly firstMs: number;
  /** Each later wait is the one before times `factor` plus `addMs`, and at most `ceilingMs`. */
  readonly factor: number;
  readonly addMs: number;
  readonly ceilingMs: number;
  /** Sends in all before it gives up: the last one is waited for as well. */
  readonly sends: number;
}

/** The wait after send number `send` (1 for the first), in milliseconds. */
export function waitAfter({ firstMs, factor, addMs, ceilingMs }: Schedule, send: number): number {
  let wait = firstMs;
  for (let count = 1; count < send && wait < ceilingMs; count++) wait = wait * factor + addMs;
  return Math.min(ceilingMs, Math.round(wait));
}

/** How long a client waits in all, in milliseconds. */
export function patienceOf(schedule: Schedule): number {
  let sum = 0;
  for (let send = 1; send <= schedule.sends; send++) sum += waitAfter(schedule, send);
  return sum;
}

/** What is done about a block that is not the one expected. */
export type UnexpectedBlock =
  /** The last ACK again, once for each gap. */
  | 'once'
  /** The last ACK again for every such packet (EDK2). */
  | 'always'
  /** The last ACK again for every old block, nothing for a gap (GRUB). */
  | 'old'
  /** Nothing. */
  | 'ignore'
  /** An old block confuses it for good: it says nothing more (Raspberry Pi). */
  | 'hang';

export interface Manners {
  /** While the request has no answer. */
  readonly request: Schedule;
  /** While the next block does not come. */
  readonly data: Schedule;
  /** Whether a wait for data ends in the last ACK again; otherwise in silence until the server resends. */
  readonly repeatsAck: boolean;
  readonly unexpected: UnexpectedBlock;
  /** Whether DATA instead of an OACK is an error to it. */
  readonly needsOack: boolean;
  /** The longest that one file may take, in milliseconds. Default: no limit. */
  readonly fileMs?: number;
}

/** To end a transfer on purpose with an ERROR: after the OACK (0 blocks), or after so many blocks. */
export interface Stop {
  readonly afterBlocks: number;
  readonly code: ErrorCode;
  /** Undefined: it goes without a word, as a node does whose power is cut. */
  readonly message?: string | undefined;
}
