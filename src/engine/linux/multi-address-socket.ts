/**
 * A socket for any number of loopback addresses: bound to the wildcard, it receives with each datagram the 127.x.y.z it
 * was sent to, and passes the kernel with each datagram the address to send from. A simulated node costs a record here,
 * not a descriptor. Each address has at most one link on a socket.
 */
import { STRANGER_ANSWERS, UNKNOWN_TID, isAnswerable } from '../stranger.ts';
import type { Address, Link, LinkOptions, LinkReceiver } from '../types.ts';
import { AF_INET, ECONNREFUSED, IP_PKTINFO, SOCKADDR_IN, SOCKADDR_ROOM, SOL_IP } from './libc.ts';
import { IN_PKTINFO, speakFrom } from './packet-info.ts';
import { PeerTable } from './peer-table.ts';
import type { Readable } from './poller.ts';
import { QueuedLink } from './queued-link.ts';
import type { Outlet } from './send-queue.ts';
import { sockaddrLength, toSockaddr } from './socket-address.ts';
import type { ThreadIo } from './thread-io.ts';
import { UdpSocket } from './udp-socket.ts';

const ROUNDS = 16;
const RECEIVE_BUFFER_BYTES = 32 * 1024 * 1024;
const ADDRESS_WORD = SOCKADDR_IN.address >> 2;

export class MultiAddressSocket implements Readable, Outlet {
  readonly fd: number;
  readonly sockaddrLength = sockaddrLength(AF_INET);
  readonly port: number;
  readonly ringId = -1;
  segmented = 0;
  segmentLimit = 0;
  readonly #io: ThreadIo;
  readonly #socket: UdpSocket;
  /** Links by local address; the key's port is always 0. */
  readonly #locals = new PeerTable(AF_INET);
  readonly #key = new Int32Array(SOCKADDR_ROOM >> 2);
  readonly #links: (MultiAddressLink | undefined)[] = [];
  readonly #free: number[] = [];
  #closed = false;

  /** @throws Error with the system's code. */
  constructor(io: ThreadIo) {
    this.#io = io;
    this.#socket = new UdpSocket(io.libc, {
      local: { address: '0.0.0.0', port: 0 },
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
      packetInfo: true,
    });
    this.fd = this.#socket.fd;
    this.port = this.#socket.local.port;
    io.poller.add(this);
  }

  /** Tells whether this local address has a link here. @param local its sockaddr, as words. */
  has(local: Int32Array): boolean {
    return this.#find(local[ADDRESS_WORD]!) >= 0;
  }

  /**
   * Opens a link. It gets nothing that arrived before: firmware that asks for the next file from the same port has
   * closed its former socket, and discards what that one had received (lwIP in lpxelinux).
   *
   * @param local the sockaddr of options.local, which must not have a link here.
   */
  open(options: LinkOptions, local: Int32Array, receiver: LinkReceiver): Link {
    while (this.#readOnce());
    const address = local[ADDRESS_WORD]!;
    const own = speakFrom(new Uint8Array(local.buffer, SOCKADDR_IN.address, 4));
    const at = this.#io.takeDestination(toSockaddr(this.#io.libc, options.peer), own);
    const id = this.#free.pop() ?? this.#links.length;
    const link = new MultiAddressLink(this.#io, this, at, own.length, options.local, receiver, () => {
      this.#key[ADDRESS_WORD] = address;
      this.#locals.delete(this.#key, 0);
      this.#links[id] = undefined;
      this.#free.push(id);
    });
    this.#links[id] = link;
    this.#key[ADDRESS_WORD] = address;
    this.#locals.set(this.#key, 0, id);
    return link;
  }

  get drops(): number {
    return this.#socket.drops;
  }

  onReadable(): void {
    for (let round = 0; round < ROUNDS && this.#readOnce(); round++);
  }

  /** @returns true if there may be more to read. */
  #readOnce(): boolean {
    if (this.#closed) return false;
    const ring = this.#io.infoRing;
    const count = ring.receive(this.fd);
    if (count > 0) this.#io.batch(count, () => this.#deliver(count));
    return count === ring.slots;
  }

  drainErrors(): void {
    // The report names the server's port, not the node: every link to that port is notified.
    this.#io.drainErrors(this.#socket, (errno, words, at) => {
      if (errno !== ECONNREFUSED) return;
      for (const link of this.#links) if (link?.speaksTo(words, at) === true) link.receiver.onUnreachable();
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const link of this.#links) link?.close();
    this.#io.queue.flush();
    this.#io.poller.remove(this);
    this.#socket.close();
  }

  #find(address: number): number {
    this.#key[ADDRESS_WORD] = address;
    return this.#locals.find(this.#key, 0);
  }

  #deliver(count: number): void {
    const ring = this.#io.infoRing;
    for (let slot = 0; slot < count && !this.#closed; slot++) {
      const info = ring.control(slot, SOL_IP, IP_PKTINFO);
      if (info < 0) continue;
      const id = this.#find(ring.words[(info + IN_PKTINFO.to) >> 2]!);
      if (id >= 0) this.#links[id]?.onDatagram(slot);
    }
  }
}

/** The link of one node. */
class MultiAddressLink extends QueuedLink {
  readonly local: Address;
  readonly outlet: MultiAddressSocket;
  /** First words of the peer's sockaddr: family and port, and address. */
  #portWord: number;
  readonly #addressWord: number;
  #learning = true;
  #strangerAnswers = STRANGER_ANSWERS;

  constructor(
    io: ThreadIo,
    outlet: MultiAddressSocket,
    at: number,
    controlLength: number,
    local: string,
    receiver: LinkReceiver,
    onClosed: () => void,
  ) {
    super(io, at, controlLength, receiver, onClosed);
    this.outlet = outlet;
    this.local = { address: local, port: outlet.port };
    this.#portWord = io.queue.destinations.i32[at >> 2]!;
    this.#addressWord = io.queue.destinations.i32[(at >> 2) + ADDRESS_WORD]!;
  }

  speaksTo(words: Int32Array, at: number): boolean {
    return words[at] === this.#portWord && words[at + ADDRESS_WORD] === this.#addressWord;
  }

  onDatagram(slot: number): void {
    const ring = this.io.infoRing;
    const from = ring.peerWord(slot);
    if (ring.words[from + ADDRESS_WORD] !== this.#addressWord) return;
    const portWord = ring.words[from]!;
    if (this.#learning) {
      this.#learning = false;
      this.#portWord = portWord;
      this.io.queue.destinations.i32[this.at >> 2] = portWord;
    } else if (portWord !== this.#portWord) {
      this.#rejectStranger(slot, portWord);
      return;
    }
    this.receiver.onDatagram(ring.datagrams[slot]!, ring.length(slot));
  }

  #rejectStranger(slot: number, portWord: number): void {
    const { queue, infoRing: ring } = this.io;
    this.receiver.onStranger?.(ring.datagrams[slot]!, ring.length(slot));
    if (!isAnswerable(ring.datagrams[slot]!, ring.length(slot)) || this.#strangerAnswers-- <= 0) return;
    // The link's record is lent to the stranger for this one packet.
    const record = queue.destinations.i32;
    queue.flush();
    record[this.at >> 2] = portWord;
    queue.control(this, UNKNOWN_TID, UNKNOWN_TID.length);
    queue.flush();
    record[this.at >> 2] = this.#portWord;
  }
}
