/** One transfer as given to a driver: session, link, content, and its supervision. */
import type { SharedView } from '../bytes/shared-bytes.ts';
import type { Session, Steps } from '../session/session.ts';
import type { BorrowedPort, LinkOptions } from './types.ts';

/**
 * Takes a receiver's payload: bytes[start, end) belong at `offset` of the file; the buffer is reused after the call.
 */
export type Keep = (bytes: Uint8Array, start: number, end: number, offset: number) => void;

/** Control of a transfer from outside its thread: checked every few milliseconds, and notified of progress. */
export interface Supervision {
  /**
   * Called when the session's phase has changed, otherwise within SUPERVISED_EVERY_MS of a packet, and before the end.
   *
   * @param at time of the last progress, ms.
   */
  onProgress(at: number): void;
  /** Called for each ACK that advances, before the packets that it lets out. See Steps.acknowledged. */
  onAcknowledged?(block: number): void;
  /**
   * True if it has news; cheap to read, because it is read for every transfer when the doorbell has rung. Default: it
   * may have news.
   */
  readonly hasNews?: boolean;
  /** True if content has arrived that the session waits for. Read after onProgress(). Default: false. */
  readonly hasArrivals?: boolean;
  /** May end the session, repeat its first reply, or report content that has arrived. */
  attend(now: number, out: Steps): void;
}

export interface Job {
  readonly session: Session;
  readonly link: LinkOptions;
  /** A port taken by another thread; undefined: one is opened as `link` says. */
  readonly port?: BorrowedPort | undefined;
  /** The OACK of a sender, the request of a receiver. */
  readonly opening: Uint8Array;
  readonly content?: SharedView;
  /** See TransferOrder.ringBytes. Default 0. */
  readonly ringBytes?: number;
  readonly keep?: Keep;
  readonly supervision?: Supervision;
  /** When another thread sent the session's first packet, ms; undefined: this thread sends it. */
  readonly openedAt?: number | undefined;
  /**
   * Set if another thread ran the session before: the time of its last progress, ms. The session goes on now, and
   * `openedAt` only tells when it began.
   */
  readonly resumedFrom?: number | undefined;
  /** A datagram from the peer that the other thread received and did not handle. */
  readonly unread?: Uint8Array | undefined;
  /** See LinkReceiver.onStranger. */
  readonly onStranger?: (bytes: Uint8Array, length: number) => void;
}
