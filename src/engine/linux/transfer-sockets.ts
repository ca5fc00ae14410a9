/**
 * Sockets for transfers, one for each: bound to a random port of a local address, connected to the peer when a transfer
 * takes one, closed after it. Idle ones are connected to themselves, so that strangers meet a closed port and nothing
 * queues up. Knows no transfers and reads nothing.
 */
import type { SocketKeep } from '../socket-keep.ts';
import type { Address, NoPort } from '../types.ts';
import {
  AF_INET,
  EADDRINUSE,
  EMFILE,
  IPV6_MTU_DISCOVER,
  IP_MTU_DISCOVER,
  type Libc,
  PMTUDISC_DONT,
  SOCKADDR_IN,
  SOCKADDR_IN6,
  SOCKADDR_ROOM,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  systemError,
} from './libc.ts';
import type { PortChoice } from './port-range.ts';
import { familyOf, sockaddrLength, toSockaddr } from './socket-address.ts';

/**
 * How long the peer of an ended transfer gets no other socket on the same port: a late copy of its last ACK must not
 * count in its next transfer.
 * @limit Time after a transfer in which its client does not get the same port.
 */
const QUARANTINE_MS = 5000;
/** Number of idle sockets tried before giving up, to find one whose port this peer has not just used. */
const MAX_TRIES = 8;
/** Number of sockets tried to find one that connects: at most two, because all fail for a forged sender. */
const MAX_CONNECTS = 2;
/** Bytes in flight at most with common windows; larger windows need a larger send buffer. */
const USUAL_SEND_BYTES = 128 * 1024;
const LARGE_SEND_BYTES = 32 * 1024 * 1024;

/** Number of sockets that may still be opened, over all local addresses. */
export interface SocketBudget {
  left: number;
}

export interface TransferSocket {
  readonly fd: number;
  readonly local: Address;
}

interface Idle extends TransferSocket {
  /** The last peer of its port, which must not get this port again yet. */
  readonly rest: Rest | undefined;
}

interface Rest {
  readonly peer: Address;
  readonly until: number;
}

export class TransferSockets {
  readonly local: string;
  /** Number of idle sockets that refill() aims for. */
  spare = 0;
  /** errno for which the last take() found its peer unreachable. */
  lastErrno = 0;
  readonly #libc: Libc;
  readonly #choice: PortChoice;
  readonly #budget: SocketBudget;
  readonly #now: () => number;
  readonly #keep: SocketKeep | undefined;
  readonly #family: number;
  readonly #length: number;
  /** Our sockaddr: the port is overwritten for each socket. */
  readonly #sockaddr: Uint8Array;
  readonly #idle: Idle[] = [];
  /** 1 for each open port, by port. */
  readonly #isOpen = new Uint8Array(0x10000);
  #open = 0;
  /** The last peers of ports; at most as many as the range has ports. */
  readonly #rests = new Map<number, Rest>();
  #closed = false;

  /** @param keep a parent that keeps copies of the sockets. @throws Error for a text that is not an address. */
  constructor(
    libc: Libc,
    local: string,
    choice: PortChoice,
    budget: SocketBudget,
    now: () => number,
    keep?: SocketKeep,
  ) {
    this.#keep = keep;
    this.#libc = libc;
    this.#choice = choice;
    this.#budget = budget;
    this.#now = now;
    this.local = local;
    this.#family = familyOf(local);
    this.#length = sockaddrLength(familyOf(local));
    this.#sockaddr = toSockaddr(libc, { address: local, port: 0 });
  }

  /** Number of open sockets, idle or used. */
  get open(): number {
    return this.#open;
  }

  get idle(): number {
    return this.#idle.length;
  }

  /**
   * Takes a socket that is connected to the peer and holds only datagrams that came earlier.
   *
   * @param sockaddr the peer's. @param windowBytes bytes that may be in flight.
   * @returns the reason where there is none; for an unreachable peer, lastErrno holds the system's errno, or 0 for a
   *   peer that has just had every free port.
   * @throws Error with the system's code when none can be opened (EMFILE, EADDRNOTAVAIL).
   */
  take(sockaddr: Uint8Array, peer: Address, windowBytes: number): TransferSocket | NoPort {
    this.lastErrno = 0;
    for (let tries = 0; tries < MAX_CONNECTS; tries++) {
      const socket = this.#pick(peer);
      if (socket === undefined) return this.#idle.length > 0 ? 'unreachable' : 'usedUp';
      if (this.#libc.connect(socket.fd, sockaddr, this.#length) === 0) {
        if (windowBytes > USUAL_SEND_BYTES) this.#enlarge(socket.fd);
        return socket;
      }
      this.lastErrno = this.#libc.errno();
      this.#discard(socket);
      this.#followInterface();
    }
    return 'unreachable';
  }

  /** A recreated interface has another index: sockets bound to the old one no longer reach anything. */
  #followInterface(): void {
    if (!this.local.includes('%')) return;
    const now = toSockaddr(this.#libc, { address: this.local, port: 0 });
    if (now.subarray(SCOPE).every((byte, at) => byte === this.#sockaddr[SCOPE + at])) return;
    this.#sockaddr.set(now);
    for (const socket of this.#idle.splice(0)) this.#discard(socket);
  }

  /** Closes a socket after its transfer. */
  giveBack(socket: TransferSocket, peer: Address): void {
    const { port } = socket.local;
    this.#rests.set(port, { peer, until: this.#now() + QUARANTINE_MS });
    this.#discard(socket);
  }

  /** Opens at most `most` idle sockets. @returns whether more are wanted. @throws Error with the system's code. */
  refill(most: number): boolean {
    for (let count = 0; count < most && this.#idle.length < this.spare; count++) {
      const socket = this.#openIdle();
      if (socket === undefined) return false;
      this.#idle.push(socket);
    }
    return this.#idle.length < this.spare;
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#idle.splice(0)) this.#discard(socket);
  }

  #pick(peer: Address): TransferSocket | undefined {
    for (let back = 1; back <= MAX_TRIES && back <= this.#idle.length; back++) {
      const at = this.#idle.length - back;
      const socket = this.#idle[at]!;
      if (this.#mustWait(socket, peer)) continue;
      this.#idle[at] = this.#idle[this.#idle.length - 1]!;
      this.#idle.pop();
      return socket;
    }
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const socket = this.#openIdle();
      if (socket === undefined) return undefined;
      if (!this.#mustWait(socket, peer)) return socket;
      this.#idle.push(socket);
    }
    return undefined;
  }

  #mustWait({ rest }: Idle, { address, port }: Address): boolean {
    if (rest === undefined || rest.peer.port !== port || rest.peer.address !== address) return false;
    return rest.until > this.#now();
  }

  /** Counts a socket of a process that has ended as one of these. */
  adopt({ local }: TransferSocket): void {
    this.#opened(local.port);
  }

  #discard({ fd, local }: TransferSocket): void {
    this.#keep?.release(fd);
    this.#libc.close(fd);
    this.#isOpen[local.port] = 0;
    this.#open--;
    this.#budget.left++;
  }

  /** @returns undefined when every port of the range is taken. */
  #openIdle(): Idle | undefined {
    if (this.#closed || this.#open >= this.#choice.size) return undefined;
    if (this.#budget.left <= 0) throw systemError('socket', EMFILE);
    const fd = this.#libc.socket(this.#family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) throw systemError('socket', this.#libc.errno());
    const port = this.#bind(fd);
    if (port === undefined) {
      this.#libc.close(fd);
      return undefined;
    }
    const isV4 = this.#family === AF_INET;
    this.#libc.setsockopt(fd, isV4 ? SOL_IP : SOL_IPV6, isV4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, MTU, 4);
    // The socket is connected to itself, so that datagrams of strangers find none.
    this.#libc.connect(fd, this.#sockaddr, this.#length);
    const local = { address: this.local, port };
    this.#keep?.keepTransfer(local, fd);
    return { fd, local, rest: this.#restOf(port) };
  }

  /** @returns the port, or undefined when every port of the range is taken. @throws Error with the system's code. */
  #bind(fd: number): number | undefined {
    if (this.#choice.isSystems) {
      if (!this.#bindTo(fd, 0)) return undefined;
      const name = new Uint8Array(SOCKADDR_ROOM);
      this.#libc.getsockname(fd, name, new Uint8Array(new Int32Array([name.length]).buffer));
      const port = (name[SOCKADDR_IN.port]! << 8) | name[SOCKADDR_IN.port + 1]!;
      this.#name(port);
      return this.#opened(port);
    }
    for (const port of this.#choice.draw()) {
      if (this.#isOpen[port] === 0 && this.#bindTo(fd, port)) return this.#opened(port);
    }
    return undefined;
  }

  /** @returns false if the port is taken. @throws Error with the system's code, after closing the socket. */
  #bindTo(fd: number, port: number): boolean {
    this.#name(port);
    if (this.#libc.bind(fd, this.#sockaddr, this.#length) === 0) return true;
    const errno = this.#libc.errno();
    if (errno === EADDRINUSE) return false;
    this.#libc.close(fd);
    throw systemError('bind', errno);
  }

  #name(port: number): void {
    this.#sockaddr[SOCKADDR_IN.port] = port >> 8;
    this.#sockaddr[SOCKADDR_IN.port + 1] = port & 0xff;
  }

  #opened(port: number): number {
    this.#isOpen[port] = 1;
    this.#open++;
    this.#budget.left--;
    return port;
  }

  #restOf(port: number): Rest | undefined {
    const rest = this.#rests.get(port);
    if (rest === undefined || rest.until > this.#now()) return rest;
    this.#rests.delete(port);
    return undefined;
  }

  #enlarge(fd: number): void {
    if (this.#libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, LARGE, 4) === 0) return;
    this.#libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, LARGE, 4);
  }
}

const SCOPE = SOCKADDR_IN6.scope;
const MTU = new Uint8Array(new Int32Array([PMTUDISC_DONT]).buffer);
const LARGE = new Uint8Array(new Int32Array([LARGE_SEND_BYTES]).buffer);
