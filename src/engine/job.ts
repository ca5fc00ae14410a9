/** One transfer as a driver is given it: session, link, content, and who has a say in it. */
import type { SharedView } from '../bytes/shared-bytes.ts';
import type { Session, Steps } from '../session/session.ts';
import type { BorrowedPort, LinkOptions } from './types.ts';

/** Where a receiver's payload goes: bytes[start, end) belong at `offset` of the file, and are reused after the call. */
export type Keep = (bytes: Uint8Array, start: number, end: number, offset: number) => void;

/** A say in a transfer from outside its thread, looked at every few milliseconds and told how it goes. */
export interface Supervision {
  /** Told when the session's phase has changed, and else now and then: at most SUPERVISED_EVERY_MS after a packet. */
  onProgress(now: number): void;
  /**
   * Whether it has something to say, for those that tell at little cost: asked of every transfer when the doorbell has
   * rung. Default: it may have.
   */
  readonly hasNews?: boolean;
  /** Whether content has arrived that the session waits for. Asked after onProgress(). Default: no. */
  readonly hasArrivals?: boolean;
  /** May end the session, repeat its first reply, or tell it that content has arrived. */
  attend(now: number, out: Steps): void;
}

export interface Job {
  readonly session: Session;
  readonly link: LinkOptions;
  /** Taken by another thread; undefined: a port is opened as `link` says. */
  readonly port?: BorrowedPort | undefined;
  /** The OACK of a sender, the request of a receiver. */
  readonly opening: Uint8Array;
  readonly content?: SharedView;
  /** See TransferOrder.ringBytes. Default 0. */
  readonly ringBytes?: number;
  readonly keep?: Keep;
  readonly supervision?: Supervision;
  /** When another thread has sent the session's first packet; undefined: it is to be sent. */
  readonly openedAt?: number | undefined;
  /** See LinkReceiver.onStranger. */
  readonly onStranger?: (bytes: Uint8Array, length: number) => void;
}
