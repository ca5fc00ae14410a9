/**
 * The common part of all links of the Linux engine, and of the ports that the main thread gives to transfers: both send
 * through the thread's send queue.
 */
import type { SharedView } from '../../bytes/shared-bytes.ts';
import type { Address, Link, LinkReceiver, TransferPort } from '../types.ts';
import type { Destination, Outlet } from './send-queue.ts';
import type { ThreadIo } from './thread-io.ts';

export abstract class QueuedLink implements Link, Destination {
  abstract readonly local: Address;
  abstract readonly outlet: Outlet;
  readonly at: number;
  readonly controlLength: number;
  readonly receiver: LinkReceiver;
  queuedIn = -1;
  protected readonly io: ThreadIo;
  readonly #onClosed: (link: QueuedLink) => void;
  #closed = false;

  /**
   * @param at the link's record, taken from `io`.
   * @param controlLength see Destination.
   * @param onClosed called once, while the record is still valid.
   */
  constructor(
    io: ThreadIo,
    at: number,
    controlLength: number,
    receiver: LinkReceiver,
    onClosed: (link: QueuedLink) => void,
  ) {
    this.io = io;
    this.at = at;
    this.controlLength = controlLength;
    this.receiver = receiver;
    this.#onClosed = onClosed;
  }

  get closed(): boolean {
    return this.#closed;
  }

  data(wireBlock: number, view: SharedView, offset: number, length: number): void {
    if (!this.#closed) this.io.data(this, wireBlock, view, offset, length);
  }

  control(bytes: Uint8Array, length: number): void {
    if (!this.#closed) this.io.control(this, bytes, length);
  }

  onUnreadable(): void {
    if (!this.#closed) this.receiver.onUnreadable();
  }

  close(): void {
    if (this.#closed) return;
    // Queued entries point to the link's record and into the content.
    if (this.io.queue.holds(this)) this.io.queue.flush();
    this.#closed = true;
    if (this.at !== this.io.connected) this.io.releaseDestination(this.at);
    this.#onClosed(this);
  }
}

/** A transfer's port in the thread that sends its first reply. */
export abstract class QueuedPort implements TransferPort, Destination {
  abstract readonly fd: number;
  abstract readonly local: Address;
  abstract readonly peerWord: number;
  abstract readonly addressWord: number;
  abstract readonly outlet: Outlet;
  readonly at: number;
  readonly controlLength: number;
  queuedIn = -1;
  protected readonly io: ThreadIo;
  #released = false;

  /** @param at and @param controlLength as for a link. */
  constructor(io: ThreadIo, at: number, controlLength: number) {
    this.io = io;
    this.at = at;
    this.controlLength = controlLength;
  }

  /** Called once, when nothing of the port is queued any more. */
  protected abstract onReleased(): void;

  control(bytes: Uint8Array, length: number): void {
    this.io.control(this, bytes, length);
  }

  data(wireBlock: number, view: SharedView, offset: number, length: number): void {
    this.io.data(this, wireBlock, view, offset, length);
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    if (this.io.queue.holds(this)) this.io.queue.flush();
    this.onReleased();
  }

  onUnreadable(): void {}
}
