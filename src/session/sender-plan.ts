/** A sender's parameters: plain data that crosses threads. */
import type { Rollover } from '../protocol/block.ts';

export interface SenderPlan {
  /** Bytes to send, 0 or more; an upper bound where Sender.onArrival is yet to report the size. */
  readonly size: number;
  readonly blksize: number;
  readonly windowsize: number;
  readonly rollover: Rollover;
  /** The agreed retransmission interval, ms; 0: adaptive. */
  readonly timeoutMs: number;
  /** True if the transfer opens with an OACK; otherwise it opens with DATA 1. */
  readonly oack: boolean;
  /**
   * True if the client's former transfer may have had the same pair of ports: its late ACKs then reach this one, and an
   * ACK of a block that was not sent is no sign of a forger.
   */
  readonly mayMeetOldAcks?: boolean | undefined;
  /** Seeds the jitter of retransmissions. */
  readonly seed: number;
  /** How long to wait for an ACK that advances, or for content to arrive, ms. */
  readonly patienceMs: number;
  /**
   * Blocks that have arrived of content that is still being read: at least 1 where there is no OACK. Sender.onArrival
   * reports more. Undefined: all of the content is there.
   */
  readonly arrived?: number | undefined;
  /** Set if another sender of the transfer was stopped, and this one goes on. */
  readonly resumption?: Resumption | undefined;
}

/** The state of a transfer whose sender was stopped at any moment. */
export interface Resumption {
  /**
   * The last block acknowledged; -1: not even the OACK. The former sender has sent no block beyond the window after it.
   */
  readonly base: number;
  /** True if any valid ACK has arrived. */
  readonly isProven: boolean;
  /** True if nothing was sent since the last ACK, because content had not arrived. */
  readonly isWaiting: boolean;
  /** Time since the last progress, or of an unproven transfer since its start, ms. */
  readonly silentMs: number;
  /** The smoothed round trip, ms; undefined if it was not measured. */
  readonly roundTripMs: number | undefined;
  /** Packets sent again so far, and the DATA packets among them. */
  readonly retransmits: number;
  readonly dataRetransmits: number;
}
