/** One thing that a node asked for, and what came of it. Plain data in memory; knows no HTTP and no words. */
import type { Origin } from '../content/types.ts';
import type { Outcome } from '../session/session.ts';
import type { FileKind } from '../live/wire.ts';
import type { Ignored } from '../server/types.ts';

export type AskEnd =
  | {
      readonly kind: 'sent';
      readonly outcome: Outcome;
      readonly bytes: number;
      readonly retransmits: number;
      readonly durationMs: number;
      readonly firstReplyMs: number | undefined;
      readonly errorCode: number | undefined;
      /** What the node said with it; escaped. */
      readonly errorText: string;
      /** Our side's reason, escaped; undefined where there is none. */
      readonly fault: string | undefined;
    }
  | { readonly kind: 'refused'; readonly code: number; readonly reason: string }
  | { readonly kind: 'unanswered'; readonly reason: Ignored }
  /** Another request came from the same port: this one is of no use to anyone. */
  | { readonly kind: 'replaced' };

/** What a worker was given to send. */
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
  /** The transfer that it began; 0: none. */
  readonly transfer: number;
  /** When it was asked for first, in milliseconds since the epoch. */
  readonly at: number;
  readonly port: number;
  readonly local: string;
  /** The name asked for, escaped and cut. */
  readonly file: string;
  /** Of which part of a boot it is; undefined: nobody has wanted to know yet. */
  kind: FileKind | undefined;
  /** `blksize=1468 windowsize=4`; escaped. */
  readonly options: string;
  /** Times that the request was repeated. */
  readonly repeats: number;
  /** When it was asked for last. */
  readonly askedAt: number;
  /** When it was last heard of: a repetition, or its end. */
  readonly lastAt: number;
  /** What a worker was given; undefined: nothing yet. */
  readonly started: AskStart | undefined;
  /** undefined: it goes on. */
  readonly end: AskEnd | undefined;
}
