/** What a sender is told before it starts: data that crosses threads. */
import type { Rollover } from '../protocol/block.ts';

export interface SenderPlan {
  /** Bytes to send, 0 or more; at most so many where Sender.onArrival is still to tell. */
  readonly size: number;
  readonly blksize: number;
  readonly windowsize: number;
  readonly rollover: Rollover;
  /** The agreed retransmission interval, or 0 to adapt. */
  readonly timeoutMs: number;
  /** Whether the transfer opens with an OACK, or at once with DATA 1. */
  readonly oack: boolean;
  /** For the jitter of retransmissions. */
  readonly seed: number;
  /** How long to wait for an ACK that advances, or for content to arrive. */
  readonly patienceMs: number;
  /**
   * Blocks that have arrived where the content is still being read: at least 1 where there is no OACK. Sender.onArrival
   * tells of more. undefined: all of it is there.
   */
  readonly arrived?: number | undefined;
}
