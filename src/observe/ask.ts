/** One request of a node, and its outcome. Plain data in memory; knows no HTTP and no words. */
import type { Origin } from '../content/types.ts';
import type { Outcome } from '../session/session.ts';
import type { FileKind } from '../live/wire.ts';
import type { Ignored, Protocol } from '../server/types.ts';

export type AskEnd =
  | {
      readonly kind: 'sent';
      readonly outcome: Outcome;
      readonly bytes: number;
      readonly retransmits: number;
      readonly durationMs: number;
      readonly firstReplyMs: number | undefined;
      readonly errorCode: number | undefined;
      /** The text of the node's ERROR packet; escaped. */
      readonly errorText: string;
      /** The server's reason, escaped; undefined where there is none. */
      readonly fault: string | undefined;
    }
  /** `code`: the TFTP error code, or the status of the HTTP answer. */
  | { readonly kind: 'refused'; readonly code: number; readonly reason: string }
  | { readonly kind: 'unanswered'; readonly reason: Ignored }
  /** Another request came from the same port, so the client has abandoned this one. */
  | { readonly kind: 'replaced' };

/** The transfer as a worker received it. */
export interface AskStart {
  readonly origin: Origin;
  readonly channel: string;
  /** `CHANNEL-NUMBER`, or empty. */
  readonly version: string;
  readonly size: number;
  readonly blksize: number;
  readonly windowsize: number;
}

export interface Ask {
  /** Number of the transfer that the request began; 0: none. */
  readonly transfer: number;
  /** Time of the first request, in milliseconds since the epoch. */
  readonly at: number;
  readonly protocol: Protocol;
  readonly port: number;
  readonly local: string;
  /** The requested name, escaped and cut. */
  readonly file: string;
  /** Kind of the file in a boot; undefined until it is first needed. */
  kind: FileKind | undefined;
  /** `blksize=1468 windowsize=4`; escaped. */
  readonly options: string;
  /** Times that the request was repeated. */
  readonly repeats: number;
  /** Time of the last repetition, or of the request itself. */
  readonly askedAt: number;
  /** Time of the last event: a repetition, or the end. */
  readonly lastAt: number;
  /** The transfer as a worker received it; undefined: it has not started. */
  readonly started: AskStart | undefined;
  /** undefined: it is still under way. */
  readonly end: AskEnd | undefined;
}
