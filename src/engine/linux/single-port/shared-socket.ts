/**
 * A worker's socket at a shared port: one socket for all its transfers of a listening address. A transfer is found by
 * both ends of its packets, and each packet it sends carries the peer's address. The main thread owns the descriptor,
 * and reads the reports of closed ports.
 */
import type { Address, Link, LinkReceiver } from '../../types.ts';
import type { Readable } from '../poller.ts';
import { QueuedLink } from '../queued-link.ts';
import { type Outlet, UNLIMITED } from '../send-queue.ts';
import { type Family, sockaddrLength } from '../socket-address.ts';
import type { ThreadIo } from '../thread-io.ts';
import { clearError, dropsOf } from '../udp-socket.ts';
import { EndTable } from './end-table.ts';
import { type Ends, LocalEnd } from './ends.ts';

/** Receive rounds before timers and other sockets get their turn. */
const ROUNDS = 16;
/** Only the main thread knows it as text. */
const SOMEBODYS: Address = { address: '', port: 0 };

export class SharedSocket implements Readable, Outlet {
  readonly fd: number;
  /** The main thread reads the error queue: a pending error must not wake this thread again and again meanwhile. */
  readonly isEdge = true;
  readonly isShared = true;
  readonly sockaddrLength: number;
  readonly ringId = -1;
  segmented = 0;
  segmentLimit = UNLIMITED;
  readonly #io: ThreadIo;
  readonly #links: EndTable<SharedLink>;
  readonly #open = new Set<SharedLink>();
  readonly #local: LocalEnd;
  readonly #beforeDelivery: () => void;
  /** Datagrams dropped before this thread has had the socket. */
  readonly #dropsBefore: number;
  #closed = false;

  /** @param beforeDelivery called when datagrams have been read, before any is delivered. */
  constructor(io: ThreadIo, fd: number, family: Family, beforeDelivery: () => void) {
    this.#io = io;
    this.fd = fd;
    this.#local = new LocalEnd(family);
    this.sockaddrLength = sockaddrLength(family);
    this.#links = new EndTable(family);
    this.#beforeDelivery = beforeDelivery;
    this.#dropsBefore = dropsOf(io.libc, fd);
    io.poller.add(this);
  }

  get drops(): number {
    return dropsOf(this.#io.libc, this.fd) - this.#dropsBefore;
  }

  /** Opens a link. One with the same ends must be closed: to the client, its packets would look like this one's. */
  open({ peer, peerWords, local, control }: Ends, receiver: LinkReceiver): Link {
    const at = this.#io.takeDestination(peer, control);
    const link = new SharedLink(this.#io, this, at, control.length, receiver, (closed) => {
      this.#io.poller.expected--;
      this.#open.delete(closed as SharedLink);
      this.#links.delete(peerWords, 0, local, 0, closed as SharedLink);
    });
    this.#links.set(peerWords, 0, local, 0, link);
    this.#open.add(link);
    this.#io.poller.expected++;
    return link;
  }

  onReadable(): void {
    const io = this.#io;
    const ring = io.sharedRing;
    const { estate } = io.libc;
    const memory = Number(ring.address);
    for (let round = 0; round < ROUNDS && !this.#closed; round++) {
      const count = ring.receive(this.fd);
      if (count === 0) return;
      estate?.receives(memory, this.fd, count);
      io.beginBatch();
      try {
        // A first reply's ACK may be here before this thread has looked at the order for its transfer.
        this.#beforeDelivery();
        for (let slot = 0; slot < count && !this.#closed; slot++) {
          estate?.delivers();
          this.#deliver(slot);
        }
      } finally {
        io.endBatch(count);
      }
      if (count < ring.slots) return;
    }
    if (!this.#closed) io.poller.rearm(this);
  }

  /** The pending error has made a send fail. The report itself stays in the queue, for the main thread. */
  drainErrors(): void {
    clearError(this.#io.libc, this.fd);
  }

  /** Closes all links. The socket itself stays open. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const link of this.#open) link.close();
    this.#io.poller.remove(this);
  }

  /** Packets of nobody's transfer are dropped without an answer: two servers could answer each other forever. */
  #deliver(slot: number): void {
    const ring = this.#io.sharedRing;
    this.#local.read(ring, slot);
    const link = this.#links.find(ring.words, ring.peerWord(slot), this.#local.words, 0);
    link?.receiver.onDatagram(ring.datagrams[slot]!, ring.length(slot));
  }
}

class SharedLink extends QueuedLink {
  readonly local = SOMEBODYS;
  readonly outlet: SharedSocket;

  constructor(
    io: ThreadIo,
    outlet: SharedSocket,
    at: number,
    controlLength: number,
    receiver: LinkReceiver,
    onClosed: (link: QueuedLink) => void,
  ) {
    super(io, at, controlLength, receiver, onClosed);
    this.outlet = outlet;
  }
}
