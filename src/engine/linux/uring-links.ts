/**
 * Links on sockets of their own, all of a thread's on one io_uring: like transfer-link.ts, with one system call for a
 * batch of packets from and to many peers.
 */
import type { Address, Link, LinkReceiver } from '../types.ts';
import { ECONNREFUSED, EFAULT, EINVAL, EIO, EMSGSIZE, SOCKADDR_ROOM } from './libc.ts';
import type { Readable } from './poller.ts';
import { QueuedLink } from './queued-link.ts';
import { type Outlet, UNLIMITED } from './send-queue.ts';
import type { ThreadIo } from './thread-io.ts';
import { Uring, type UringHandler } from './uring.ts';

/** Receive rounds before timers and other sockets get their turn. */
const ROUNDS = 16;

export class UringLinks implements Readable, UringHandler {
  readonly fd: number;
  readonly isEdge = true;
  readonly #io: ThreadIo;
  readonly #uring: Uring;
  /** Links by number; a closed one stays until its receive has ended. */
  readonly #links: (UringLink | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #nothing = new Uint8Array(SOCKADDR_ROOM);
  #unreadable: UringLink[] = [];
  /** Shortest segment length refused so far, bytes; also applies to later links. */
  segmentLimit = UNLIMITED;

  /** @throws Error where io_uring is not available. */
  constructor(io: ThreadIo) {
    this.#io = io;
    this.#uring = new Uring(io.libc, this);
    this.fd = this.#uring.eventFd;
    io.queue.uring = this.#uring;
    io.afterFlush = () => this.submit();
    io.poller.add(this);
  }

  /** Opens a link. @param fd a socket connected to its peer. @param token see Uring.receive. @throws Error when the thread has no room for one more. */
  open(fd: number, token: number, local: Address, receiver: LinkReceiver, onClosed: (link: QueuedLink) => void): Link {
    const at = this.#io.takeDestination(this.#nothing);
    const id = this.#free.pop() ?? this.#links.length;
    const link = new UringLink(this.#io, at, id, fd, token, local, receiver, this.segmentLimit, (closed) => {
      this.#io.poller.expected--;
      // Submitted at once: the owner closes the socket next, and its number is soon reused.
      this.#uring.cancel(id, token);
      this.#uring.submit();
      onClosed(closed);
    });
    this.#links[id] = link;
    this.#io.poller.expected++;
    this.#uring.receive(fd, id, token);
    this.#io.touch();
    return link;
  }

  onReadable(): void {
    const io = this.#io;
    this.#uring.submit();
    for (let round = 0; round < ROUNDS; round++) {
      io.beginBatch();
      let received = 0;
      try {
        received = this.#uring.deliver();
      } finally {
        // Sends the replies to this batch in the same system call that receives the next one.
        io.endBatch(received);
      }
      if (this.#unreadable.length > 0) this.#reportUnreadable();
      // Starts ended receives again.
      if (this.#uring.isPending) this.#uring.submit();
      if (received === 0) return;
    }
  }

  drainErrors(): void {}

  /** Submits what is pending and was not sent with a batch: receives to begin and to end. */
  submit(): void {
    if (this.#uring.isPending) this.#uring.submit();
  }

  onReceived(id: number, bytes: Uint8Array, length: number): void {
    const link = this.#links[id];
    if (link !== undefined && !link.closed) link.receiver.onDatagram(bytes, length);
  }

  onReceiveEnded(id: number, errno: number): void {
    const link = this.#links[id];
    if (link === undefined) return;
    if (link.closed) {
      this.#links[id] = undefined;
      this.#free.push(id);
      return;
    }
    this.#uring.receive(link.fd, id, link.token);
    if (errno === ECONNREFUSED) link.receiver.onUnreachable();
  }

  onSendFailed(id: number, errno: number): void {
    const link = this.#links[id];
    this.#io.queue.dropped(1, errno);
    if (link === undefined || link.closed) return;
    // ECONNREFUSED reports an ICMP error, and this packet is lost like any other. A peer that is gone reports it again
    // for the next packet, while a live peer, whose error was forged, must not be doubted for a packet never sent to
    // it.
    if (errno === EFAULT) this.#unreadable.push(link);
    else if (link.segmented > 0 && (errno === EINVAL || errno === EMSGSIZE || errno === EIO)) {
      this.#io.queue.counts.segmentFallbacks++;
      // EIO: the device can't segment at all; otherwise segments this long do not fit the path, and blocks go one by
      // one.
      this.segmentLimit = errno === EIO ? 0 : Math.min(this.segmentLimit, link.segmented);
      link.segmentLimit = this.segmentLimit;
    }
  }

  close(): void {
    for (const link of this.#links) link?.close();
    this.submit();
    this.#io.poller.remove(this);
    this.#io.queue.uring = undefined;
    this.#io.afterFlush = undefined;
    this.#uring.close();
  }

  #reportUnreadable(): void {
    const unreadable = this.#unreadable;
    this.#unreadable = [];
    for (const link of unreadable) link.onUnreadable();
    this.#io.flush();
  }
}

class UringLink extends QueuedLink implements Outlet {
  readonly fd: number;
  readonly token: number;
  readonly local: Address;
  readonly sockaddrLength = 0;
  readonly ringId: number;
  readonly outlet: Outlet = this;
  segmentLimit: number;
  segmented = 0;

  constructor(
    io: ThreadIo,
    at: number,
    id: number,
    fd: number,
    token: number,
    local: Address,
    receiver: LinkReceiver,
    segmentLimit: number,
    onClosed: (link: QueuedLink) => void,
  ) {
    super(io, at, 0, receiver, onClosed);
    this.ringId = id;
    this.fd = fd;
    this.token = token;
    this.local = local;
    this.segmentLimit = segmentLimit;
  }

  drainErrors(): void {}
}
