/** The result of a transfer that is over. Crosses threads. */
import type { Outcome } from '../session/session.ts';

/** The fault of a transfer whose mapped file was cut short, or gave an error, while it was sent. */
export const UNREADABLE_CONTENT = 'The content became unreadable';

export interface TransferReport {
  readonly outcome: Outcome;
  /** When its opening packet was sent, on the engine's clock; undefined: it never had a link. */
  readonly startedAt: number | undefined;
  /** Time from the first packet to the last progress, ms: excludes the silence after it. */
  readonly durationMs: number;
  /** Distinct blocks acknowledged (sender) or kept (receiver), and their payload in bytes. */
  readonly blocks: number;
  readonly bytes: number;
  readonly retransmits: number;
  /** Packets that advanced nothing: old ACKs (sender), unexpected DATA (receiver). */
  readonly stale: number;
  readonly timeouts: number;
  /** The peer's ERROR, if it sent one. The text is printable ASCII, at most 128 characters. */
  readonly errorCode: number | undefined;
  readonly errorText: string;
  /** Our side's reason when the outcome is `aborted`. Never sent to a peer. */
  readonly fault: string | undefined;
}
