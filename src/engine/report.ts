/** What is left of a transfer when it is over. Crosses threads. */
import type { Outcome } from '../session/session.ts';

/** The fault of a transfer whose mapped file was cut short, or gave an error, while it was sent. */
export const UNREADABLE_CONTENT = 'The content became unreadable';

export interface TransferReport {
  readonly outcome: Outcome;
  /** When its opening packet left, by the engine's clock; undefined: it never had a link. */
  readonly startedAt: number | undefined;
  /** From the first packet to the end, in milliseconds, without what the last ACK's silence added. */
  readonly durationMs: number;
  /** Distinct blocks sent or kept, and their payload in bytes. */
  readonly blocks: number;
  readonly bytes: number;
  readonly retransmits: number;
  /** Packets that advanced nothing: old ACKs (sender), unexpected DATA (receiver). */
  readonly stale: number;
  readonly timeouts: number;
  /** The peer's ERROR, when it sent one. The text is printable ASCII, at most 128 characters. */
  readonly errorCode: number | undefined;
  readonly errorText: string;
  /** Our side's reason when the outcome is `aborted`. Never sent to a peer. */
  readonly fault: string | undefined;
}
