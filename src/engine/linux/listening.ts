/**
 * A port for requests. Bound to a wildcard it serves every local address, including those added later: each request
 * comes with the address it was sent to, and replies leave from there. Requests sent to broadcast or multicast
 * addresses are ignored (RFC 1123 §4.2.3.5), unless the port is bound to that very address.
 */
import type { SocketKeep } from '../socket-keep.ts';
import { throwLater } from '../throw-later.ts';
import type { Address, ListeningPort, RequestReceiver } from '../types.ts';
import { Arena } from './arena.ts';
import {
  AF_INET,
  IOVEC,
  IPV6_PKTINFO,
  IP_PKTINFO,
  MMSGHDR,
  SO_TIMESTAMPNS,
  SOCKADDR_ROOM,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
} from './libc.ts';
import type { Readable } from './poller.ts';
import { IN6_PKTINFO, IN_PKTINFO, controlMessage } from './packet-info.ts';
import type { ReceiveRing } from './receive-ring.ts';
import { fromSockaddr, interfaceName, ipv4Text, ipv6Text, sockaddrLength, writeSockaddr } from './socket-address.ts';
import type { ThreadIo } from './thread-io.ts';
import { UdpSocket } from './udp-socket.ts';

/**
 * Room for a storm's first second of requests.
 * @limit Receive buffer that the Linux engine requests from the kernel. Shows: `reveille_receive_drops_total`.
 */
const RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024;
const ROUNDS = 16;
/** A request has not waited longer than this to be read. */
const MAX_WAIT_MS = 10_000;
/** Local addresses remembered; beyond that the table is cleared. */
const MAX_PORTS = 4096;
const MAX_REPLY_BYTES = 1024;
const NO_CONTROL = new Uint8Array(0);

/** Sockets that other threads use at the same address. */
export interface Sharing {
  /** Takes a datagram of a transfer that another thread runs. @returns false for any other datagram. */
  forward(bytes: Uint8Array, length: number, words: Int32Array, at: number, local: string): boolean;
  /** Reads the error queue, which may hold reports about other threads' transfers. */
  drainErrors(): void;
}

export class LinuxListening implements Readable, ListeningPort {
  readonly fd: number;
  readonly local: Address;
  readonly receiveBufferCut: boolean;
  readonly #io: ThreadIo;
  readonly #socket: UdpSocket;
  readonly #ring: ReceiveRing;
  readonly #reply: Arena;
  readonly #replyName: Uint8Array;
  readonly #receive: RequestReceiver;
  readonly #onClosed: () => void;
  readonly #sharing: Sharing | undefined;
  readonly #keep: SocketKeep | undefined;
  /** One port per local address that was asked. */
  readonly #ports = new Map<string, ListeningPort>();
  /** The IPv4 ports, by the address as a word. */
  readonly #portsV4 = new Map<number, ListeningPort>();
  #closed = false;

  /**
   * @param owner the sockets that share the address with this one, which close it; or a parent that keeps a copy of the
   *   socket.
   */
  constructor(
    io: ThreadIo,
    socket: UdpSocket,
    receive: RequestReceiver,
    onClosed: () => void,
    { sharing, keep }: { readonly sharing?: Sharing; readonly keep?: SocketKeep | undefined },
  ) {
    this.#io = io;
    this.#receive = receive;
    this.#onClosed = onClosed;
    this.#sharing = sharing;
    this.#keep = keep;
    this.#socket = socket;
    this.fd = this.#socket.fd;
    this.local = this.#socket.local;
    this.receiveBufferCut = this.#socket.receiveBufferCut;
    this.#ring = io.infoRing;
    this.#reply = new Arena(io.libc, REPLY.data + MAX_REPLY_BYTES);
    this.#replyName = this.#reply.bytes.subarray(REPLY.name, REPLY.name + SOCKADDR_ROOM);
    io.poller.add(this);
  }

  /**
   * Opens a port of one thread. @param keep a parent that may have the socket already. @throws Error with the system's
   * code.
   */
  static open(
    io: ThreadIo,
    local: Address,
    receive: RequestReceiver,
    onClosed: () => void,
    keep: SocketKeep | undefined,
  ): LinuxListening {
    const given = keep?.take('tftp', local);
    const socket = new UdpSocket(io.libc, { local, receiveBufferBytes: RECEIVE_BUFFER_BYTES, packetInfo: true, given });
    if (given === undefined) keep?.keep('tftp', local, socket.fd);
    return new LinuxListening(io, socket, receive, onClosed, { keep });
  }

  get drops(): number {
    return this.#socket.drops;
  }

  onReadable(): void {
    for (let round = 0; round < ROUNDS && !this.#closed; round++) {
      const count = this.#ring.receive(this.fd);
      for (let slot = 0; slot < count; slot++) this.#deliver(slot);
      if (count < this.#ring.slots) return;
    }
  }

  drainErrors(): void {
    // A client that left before its refusal arrived needs nothing.
    if (this.#sharing === undefined) this.#io.drainErrors(this.#socket, () => {});
    else this.#sharing.drainErrors();
  }

  reply(bytes: Uint8Array, length: number, peer: Address): void {
    this.#send(bytes, length, peer, NO_CONTROL);
  }

  /** Sends a datagram. @param from control message with the source address. */
  #send(bytes: Uint8Array, length: number, peer: Address, from: Uint8Array): void {
    // Port 0 can't be reached, though a datagram may claim to come from there (RFC 768).
    if (this.#closed || peer.port === 0) return;
    const { bytes: memory, i32 } = this.#reply;
    writeSockaddr(this.#io.libc, peer, this.#replyName);
    memory.set(bytes.subarray(0, length), REPLY.data);
    memory.set(from, REPLY.control);
    this.#reply.point(MMSGHDR.name, REPLY.name);
    i32[MMSGHDR.nameLength >> 2] = sockaddrLength(this.#socket.family);
    this.#reply.point(MMSGHDR.iov, REPLY.iovec);
    i32[MMSGHDR.iovLength >> 2] = 1;
    this.#reply.point(MMSGHDR.control, REPLY.control);
    i32[MMSGHDR.controlLength >> 2] = from.length;
    this.#reply.point(REPLY.iovec + IOVEC.base, REPLY.data);
    i32[(REPLY.iovec + IOVEC.length) >> 2] = length;
    if (this.#io.libc.sendmmsg(this.fd, this.#reply.address, 1, 0) === 1) return;
    // The call reported an earlier reply's error instead: read it and retry once. After that the packet counts as lost.
    this.drainErrors();
    if (this.#io.libc.sendmmsg(this.fd, this.#reply.address, 1, 0) === 1) return;
    this.#io.queue.dropped(1, this.#io.libc.errno());
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#io.poller.remove(this);
    if (this.#sharing === undefined) {
      this.#keep?.release(this.fd);
      this.#socket.close();
    }
    this.#reply.free();
    this.#onClosed();
  }

  #deliver(slot: number): void {
    if (this.#closed) return;
    const { libc } = this.#io;
    const peer = fromSockaddr(libc, this.#ring.bytes, this.#ring.peerWord(slot) << 2);
    const port = this.#socket.family === AF_INET ? this.#portV4(slot) : this.#portV6(slot);
    if (port === undefined) return;
    const bytes = this.#ring.datagrams[slot]!;
    const length = this.#ring.length(slot);
    try {
      const { words } = this.#ring;
      if (this.#sharing?.forward(bytes, length, words, this.#ring.peerWord(slot), port.local.address) === true) return;
      this.#receive(bytes, length, peer, port, this.#arrivedAt(slot));
    } catch (error) {
      throwLater(error);
    }
  }

  #arrivedAt(slot: number): number {
    const now = this.#io.clock.now();
    const at = this.#ring.control(slot, SOL_SOCKET, SO_TIMESTAMPNS) >> 2;
    if (at < 0) return now;
    // A struct timespec: seconds and nanoseconds, 64 bits each.
    const { words } = this.#ring;
    const stampMs = ((words[at]! >>> 0) + words[at + 1]! * 0x1_0000_0000) * 1000 + words[at + 2]! / 1_000_000;
    // The stamp is by another clock, of which only differences count; it may be set while a request waits.
    return now - Math.min(MAX_WAIT_MS, Math.max(0, Math.floor(Date.now() - stampMs)));
  }

  #portV4(slot: number): ListeningPort | undefined {
    const at = this.#ring.control(slot, SOL_IP, IP_PKTINFO);
    if (at < 0) return undefined;
    const words = this.#ring.words;
    // The two differ when the datagram was sent to a broadcast or multicast address.
    const isForAll = words[(at + IN_PKTINFO.from) >> 2] !== words[(at + IN_PKTINFO.to) >> 2];
    if (isForAll && ipv4Text(this.#ring.bytes, at + IN_PKTINFO.to) !== this.local.address) return undefined;
    // In a storm, requests go to one or two addresses, which this look-up finds without allocating.
    const from = at + (isForAll ? IN_PKTINFO.from : IN_PKTINFO.to);
    const word = words[from >> 2]!;
    const known = this.#portsV4.get(word);
    if (known !== undefined) return known;
    const address = this.#ring.bytes.slice(from, from + 4);
    const port = this.#port(ipv4Text(address, 0), () => {
      const info = new Uint8Array(IN_PKTINFO.size);
      info.set(address, IN_PKTINFO.from);
      return controlMessage(SOL_IP, IP_PKTINFO, info);
    });
    if (this.#portsV4.size >= MAX_PORTS) this.#portsV4.clear();
    this.#portsV4.set(word, port);
    return port;
  }

  #portV6(slot: number): ListeningPort | undefined {
    const at = this.#ring.control(slot, SOL_IPV6, IPV6_PKTINFO);
    if (at < 0 || this.#ring.bytes[at] === 0xff) return undefined;
    const info = this.#ring.bytes.slice(at, at + IN6_PKTINFO.size);
    const linkLocal = info[0] === 0xfe && (info[1]! & 0xc0) === 0x80;
    const scope = new DataView(info.buffer).getUint32(IN6_PKTINFO.interface, true);
    const text = ipv6Text(this.#io.libc, info.subarray(0, 16));
    return this.#port(linkLocal ? `${text}%${interfaceName(this.#io.libc, scope)}` : text, () => {
      // Only a link-local address needs its interface; a reply from another address may take any route.
      if (!linkLocal) info.fill(0, IN6_PKTINFO.interface);
      return controlMessage(SOL_IPV6, IPV6_PKTINFO, info);
    });
  }

  #port(address: string, control: () => Uint8Array): ListeningPort {
    const known = this.#ports.get(address);
    if (known !== undefined) return known;
    if (this.#ports.size >= MAX_PORTS) this.#ports.clear();
    const from = control();
    const port: ListeningPort = {
      local: { address, port: this.local.port },
      reply: (bytes, length, peer) => this.#send(bytes, length, peer, from),
      close: () => this.close(),
    };
    this.#ports.set(address, port);
    return port;
  }
}

/** Offsets of a reply's parts in its arena. */
const REPLY = { name: MMSGHDR.size, iovec: MMSGHDR.size + SOCKADDR_ROOM, control: 128, data: 256 } as const;
