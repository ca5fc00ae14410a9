/**
 * A link on a socket of its own, which is connected to its peer: the kernel keeps strangers out, and an ICMP error
 * reaches its transfer directly. The owner closes the socket after the link.
 */
import type { Address, BorrowedPort, LinkReceiver } from '../types.ts';
import { AF_INET } from './libc.ts';
import type { Readable } from './poller.ts';
import { QueuedLink } from './queued-link.ts';
import { type Outlet, UNLIMITED } from './send-queue.ts';
import type { ThreadIo } from './thread-io.ts';
import { clearError } from './udp-socket.ts';

/** Receive rounds before other sockets and timers get their turn. */
const ROUNDS = 4;

export class TransferLink extends QueuedLink implements Readable, Outlet {
  readonly fd: number;
  readonly local: Address;
  /** The kernel knows the peer: packets carry no address. */
  readonly sockaddrLength = 0;
  readonly outlet: Outlet = this;
  readonly ringId = -1;
  segmented = 0;
  segmentLimit = UNLIMITED;
  /** The first words of the peer's sockaddr: family and port, and for IPv4 the address. */
  readonly #portWord: number;
  readonly #addressWord: number;

  /**
   * @param fd a socket connected to the peer, emptied of earlier datagrams.
   * @param port the peer whose datagrams count.
   * @param onClosed called once, when the thread no longer uses the socket.
   */
  constructor(
    io: ThreadIo,
    fd: number,
    local: Address,
    { peerWord, addressWord }: Omit<BorrowedPort, 'fd'>,
    receiver: LinkReceiver,
    onClosed: (link: QueuedLink) => void,
  ) {
    super(io, io.connected, 0, receiver, onClosed);
    this.fd = fd;
    this.local = local;
    this.#portWord = peerWord;
    // A sockaddr_in6 has its flow label there, which does not identify the peer: its port is compared, the kernel has
    // checked the rest.
    this.#addressWord = (peerWord & 0xffff) === AF_INET ? addressWord : 0;
    io.poller.add(this);
    io.poller.expected++;
  }

  onReadable(): void {
    const { io, fd } = this;
    const { ring } = io;
    for (let round = 0; round < ROUNDS && !this.closed; round++) {
      const count = ring.receive(fd);
      if (count === 0) return;
      io.beginBatch();
      try {
        for (let slot = 0; slot < count; slot++) this.#deliver(slot);
      } finally {
        io.endBatch(count);
      }
      if (count < ring.slots) return;
    }
  }

  #deliver(slot: number): void {
    if (this.closed) return;
    const { ring } = this.io;
    const from = ring.peerWord(slot);
    if (ring.words[from] !== this.#portWord) return;
    if (this.#addressWord !== 0 && ring.words[from + 1] !== this.#addressWord) return;
    this.receiver.onDatagram(ring.datagrams[slot]!, ring.length(slot));
  }

  /** Reports that the peer's port is closed. The error itself may already have been consumed by a failed call. */
  drainErrors(): void {
    clearError(this.io.libc, this.fd);
    if (!this.closed) this.receiver.onUnreachable();
  }

  override close(): void {
    if (this.closed) return;
    // The owner closes the socket once it is notified, so the poller must let go of it first.
    this.io.poller.remove(this);
    this.io.poller.expected--;
    super.close();
  }
}
