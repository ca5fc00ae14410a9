/**
 * How a client behaves where the RFCs leave it free or firmware deviates from them: when it asks again, when it gives
 * up, and how it reacts to an unexpected block. Data for simulated nodes; Reveille's own client uses none of it and
 * adapts.
 */

import type { ErrorCode } from '../protocol/opcode.ts';

/** The resend schedule while nothing arrives. */
export interface Schedule {
  /** The wait after the first send, ms. */
  readonly firstMs: number;
  /** Each later wait is the previous one times `factor` plus `addMs`, at most `ceilingMs`. */
  readonly factor: number;
  readonly addMs: number;
  readonly ceilingMs: number;
  /** Sends in all before the client gives up; it also waits after the last one. */
  readonly sends: number;
}

/** Returns the wait after send number `send` (1 for the first), ms. */
export function waitAfter({ firstMs, factor, addMs, ceilingMs }: Schedule, send: number): number {
  let wait = firstMs;
  for (let count = 1; count < send && wait < ceilingMs; count++) wait = wait * factor + addMs;
  return Math.min(ceilingMs, Math.round(wait));
}

/** Returns how long a client waits in all, ms. */
export function patienceOf(schedule: Schedule): number {
  let sum = 0;
  for (let send = 1; send <= schedule.sends; send++) sum += waitAfter(schedule, send);
  return sum;
}

/** Reaction to a block other than the expected one. */
export type UnexpectedBlock =
  /** Repeats the last ACK, once for each gap. */
  | 'once'
  /** Repeats the last ACK for every such packet (EDK2). */
  | 'always'
  /** Repeats the last ACK for every old block, ignores a gap (GRUB). */
  | 'old'
  /** Ignores the block. */
  | 'ignore'
  /** Hangs for good on an old block: sends nothing more (Raspberry Pi). */
  | 'hang';

export interface Manners {
  /** Resends of the request until the first reply. */
  readonly request: Schedule;
  /** Waits while the next block does not arrive. */
  readonly data: Schedule;
  /**
   * True if a wait for data ends with a repeat of the last ACK; if not, the client stays silent until the server
   * resends.
   */
  readonly repeatsAck: boolean;
  readonly unexpected: UnexpectedBlock;
  /** True if the client treats DATA instead of an OACK as an error. */
  readonly needsOack: boolean;
  /** The longest time one file may take, ms. Default: no limit. */
  readonly fileMs?: number;
}

/** Ends a transfer on purpose with an ERROR: after the OACK (0 blocks), or after a number of blocks. */
export interface Stop {
  readonly afterBlocks: number;
  readonly code: ErrorCode;
  /** Undefined: the client leaves without an ERROR, as a node does whose power is cut. */
  readonly message?: string | undefined;
}
