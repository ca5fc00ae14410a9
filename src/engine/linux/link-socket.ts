/** A socket that many links share. Each peer has at most one link on it, and is found by its sockaddr. */
import { UNKNOWN_TID, isAnswerable } from '../stranger.ts';
import type { Address, Link, LinkReceiver } from '../types.ts';
import { ECONNREFUSED, SOCKADDR_ROOM } from './libc.ts';
import { PeerTable } from './peer-table.ts';
import type { Readable } from './poller.ts';
import { Quarantine } from './quarantine.ts';
import { QueuedLink } from './queued-link.ts';
import type { Destination, Outlet } from './send-queue.ts';
import { sockaddrLength } from './socket-address.ts';
import type { ThreadIo } from './thread-io.ts';
import { UdpSocket } from './udp-socket.ts';

/** Rounds of receiving before other sockets and timers get their turn. */
const ROUNDS = 16;
/** Strangers answered with ERROR 5 per round: enough for honest mistakes, too few to be of use to anyone else. */
const STRANGER_ANSWERS = 4;
const RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024;
/**
 * So long a peer gets no new link on this socket after its last, and what still comes from it is neither heard nor
 * answered: a late copy of its last ACK must not count in its next transfer, and our ERROR 5 to that copy would reach
 * a loader that asks for its next file from the same port.
 */
const QUARANTINE_MS = 5000;
const MAX_QUARANTINED = 4096;
const QUARANTINED = -2;
/** No segment is so long: no limit. */
const UNLIMITED = 0x10000;

export class LinkSocket implements Readable, Outlet {
  readonly fd: number;
  readonly sockaddrLength: number;
  readonly openedAt: number;
  segmentLimit = UNLIMITED;
  readonly #io: ThreadIo;
  readonly #socket: UdpSocket;
  readonly #peers: PeerTable;
  readonly #links: (SharedLink | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #quarantine = new Quarantine(MAX_QUARANTINED);
  readonly #onLinkClosed: (socket: LinkSocket) => void;
  #open = 0;
  /** Whoever is to be told that he is a stranger: one record serves all. */
  readonly #stranger: Destination;
  #closed = false;

  /** @param onLinkClosed called after each link's end. @throws Error with the system's code. */
  constructor(io: ThreadIo, local: string, now: number, onLinkClosed: (socket: LinkSocket) => void) {
    this.#io = io;
    this.#onLinkClosed = onLinkClosed;
    this.#socket = new UdpSocket(io.libc, {
      local: { address: local, port: 0 },
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
      packetInfo: false,
    });
    this.fd = this.#socket.fd;
    this.sockaddrLength = sockaddrLength(this.#socket.family);
    this.openedAt = now;
    this.#peers = new PeerTable(this.#socket.family);
    try {
      const at = io.takeDestination(new Uint8Array(SOCKADDR_ROOM));
      this.#stranger = { outlet: this, at, controlLength: 0, queuedIn: -1, onUnreadable: () => {} };
    } catch (cause) {
      this.#socket.close();
      throw cause;
    }
    io.poller.add(this);
  }

  get links(): number {
    return this.#open;
  }

  get drops(): number {
    return this.#socket.drops;
  }

  get local(): Address {
    return this.#socket.local;
  }

  /** Whether a peer has a link here, or had one until a moment ago. */
  has(sockaddr: Int32Array, now: number): boolean {
    this.#release(now);
    return this.#peers.find(sockaddr, 0) !== -1;
  }

  /** @param sockaddr the peer's, as words. It must not have a link here. @throws Error when the thread has no room for one more. */
  open(sockaddr: Int32Array, receiver: LinkReceiver): Link {
    const at = this.#io.takeDestination(new Uint8Array(sockaddr.buffer));
    const id = this.#free.pop() ?? this.#links.length;
    const link = new SharedLink(this.#io, this, id, at, receiver, this.#onClosed);
    this.#links[id] = link;
    this.#open++;
    this.#io.poller.expected++;
    this.#peers.set(sockaddr, 0, id);
    return link;
  }

  /** One function for all links: thousands of closures would be the larger part of them. */
  readonly #onClosed = (link: QueuedLink): void => {
    const { id, at } = link as SharedLink;
    this.#links[id] = undefined;
    this.#free.push(id);
    this.#open--;
    this.#io.poller.expected--;
    const { words, word } = this.#io.destination(at);
    this.#peers.set(words, word, QUARANTINED);
    if (this.#quarantine.full) this.#quarantine.shift(this.#forget);
    this.#quarantine.push(words, word, this.#io.clock.now() + QUARANTINE_MS);
    this.#onLinkClosed(this);
  };

  onReadable(): void {
    const { ring } = this.#io;
    for (let round = 0; round < ROUNDS && !this.#closed; round++) {
      const count = ring.receive(this.fd);
      if (count > 0) this.#io.batch(count, () => this.#deliver(count));
      if (count < ring.slots) return;
    }
  }

  drainErrors(): void {
    this.#io.drainErrors(this.#socket, (errno, words, at) => {
      if (errno === ECONNREFUSED) this.#links[this.#peers.find(words, at)]?.receiver.onUnreachable();
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const link of this.#links) link?.close();
    // The descriptor's number is soon another's.
    this.#io.queue.flush();
    this.#io.releaseDestination(this.#stranger.at);
    this.#io.poller.remove(this);
    this.#socket.close();
  }

  #deliver(count: number): void {
    const { ring } = this.#io;
    let answers = STRANGER_ANSWERS;
    for (let slot = 0; slot < count && !this.#closed; slot++) {
      const id = this.#peers.find(ring.words, ring.peerWord(slot));
      const link = id < 0 ? undefined : this.#links[id];
      if (link !== undefined) link.receiver.onDatagram(ring.datagrams[slot]!, ring.length(slot));
      else if (id !== QUARANTINED && answers > 0 && this.#rejectStranger(slot)) answers--;
    }
  }

  /** Lets go of peers whose quarantine is over. */
  #release(now: number): void {
    while (this.#quarantine.isOver(now)) this.#quarantine.shift(this.#forget);
  }

  readonly #forget = (words: Int32Array, at: number): void => {
    if (this.#peers.find(words, at) === QUARANTINED) this.#peers.delete(words, at);
  };

  #rejectStranger(slot: number): boolean {
    const { ring, queue } = this.#io;
    const bytes = ring.datagrams[slot]!;
    if (!isAnswerable(bytes, ring.length(slot))) return false;
    const peer = ring.peerWord(slot) << 2;
    const sockaddr = ring.bytes.subarray(peer, peer + SOCKADDR_ROOM);
    // What was said to the last one must have left.
    if (queue.holds(this.#stranger)) queue.flush();
    queue.describe(this.#stranger.at, sockaddr);
    queue.control(this.#stranger, UNKNOWN_TID, UNKNOWN_TID.length);
    return true;
  }
}

/** A link that shares its socket. */
class SharedLink extends QueuedLink {
  readonly outlet: LinkSocket;
  /** Its number on the socket. */
  readonly id: number;

  constructor(
    io: ThreadIo,
    outlet: LinkSocket,
    id: number,
    at: number,
    receiver: LinkReceiver,
    onClosed: (link: QueuedLink) => void,
  ) {
    super(io, at, 0, receiver, onClosed);
    this.outlet = outlet;
    this.id = id;
  }

  get local(): Address {
    return this.outlet.local;
  }
}
