/** A UDP socket by system calls: options, binding, the error queue. Knows no transfers. */
import type { Address } from '../types.ts';
import {
  AF_INET,
  F_SETFD,
  F_SETFL,
  FD_CLOEXEC,
  IPV6_MTU,
  IPV6_MTU_DISCOVER,
  IPV6_RECVERR,
  IPV6_RECVPKTINFO,
  IPV6_V6ONLY,
  IP_MTU,
  IP_MTU_DISCOVER,
  IP_PKTINFO,
  IP_RECVERR,
  type Libc,
  MEMINFO_DROPS,
  PMTUDISC_DONT,
  SOCKADDR_ROOM,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
  SO_ERROR,
  SO_MEMINFO,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_REUSEPORT,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SO_TIMESTAMPNS,
  systemError,
} from './libc.ts';
import { type Family, familyOf, fromSockaddr, sockaddrLength, toSockaddr } from './socket-address.ts';

export interface UdpSocketOptions {
  readonly local: Address;
  /** The buffer asked of the kernel, which grants less without CAP_NET_ADMIN: see net.core.rmem_max. */
  readonly receiveBufferBytes: number;
  /** True if each datagram is to come with the address it was sent to. */
  readonly packetInfo: boolean;
  /** True if each datagram is to come with the time of its arrival, by the system's clock. Default false. */
  readonly timestamps?: boolean;
  /** True if it joins the sockets that share its address and port. Default false. */
  readonly sharesPort?: boolean;
  /** The descriptor of a socket that is bound to `local` already; undefined: one is opened. */
  readonly given?: number | undefined;
}

const SEND_BUFFER_BYTES = 32 * 1024 * 1024;

export class UdpSocket {
  readonly fd: number;
  readonly family: Family;
  readonly local: Address;
  /** True if the receive buffer is smaller than asked for. */
  readonly receiveBufferCut: boolean;
  readonly #libc: Libc;
  /** Datagrams that a given socket had dropped before. */
  readonly #dropsBefore: number;
  #closed = false;

  /** @throws Error with the system's code. */
  constructor(libc: Libc, options: UdpSocketOptions) {
    const { given } = options;
    this.#libc = libc;
    this.family = familyOf(options.local.address);
    this.fd = given ?? libc.socket(this.family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (this.fd < 0) throw systemError('socket', libc.errno());
    this.#dropsBefore = given === undefined ? 0 : dropsOf(libc, given);
    try {
      this.#configure(options.packetInfo);
      if (options.sharesPort === true) this.sharePort();
      if (options.timestamps === true) this.#set(SOL_SOCKET, SO_TIMESTAMPNS, 1);
      this.receiveBufferCut = !this.#setBuffers(options.receiveBufferBytes);
      if (given === undefined) {
        const sockaddr = toSockaddr(libc, options.local);
        if (libc.bind(this.fd, sockaddr, sockaddrLength(this.family)) < 0) throw systemError('bind', libc.errno());
      } else {
        libc.fcntl(given, F_SETFD, FD_CLOEXEC);
        libc.fcntl(given, F_SETFL, SOCK_NONBLOCK);
      }
      const bound = new Uint8Array(SOCKADDR_ROOM);
      libc.getsockname(this.fd, bound, int32(SOCKADDR_ROOM));
      this.local = { address: options.local.address, port: fromSockaddr(libc, bound, 0).port };
    } catch (cause) {
      this.close();
      throw cause;
    }
  }

  /** Datagrams dropped so far because the receive buffer was full. */
  get drops(): number {
    return this.#closed ? 0 : dropsOf(this.#libc, this.fd) - this.#dropsBefore;
  }

  /** Lets later sockets of this user bind the same address and port. @throws Error with the system's code. */
  sharePort(): void {
    if (!this.#set(SOL_SOCKET, SO_REUSEPORT, 1)) throw systemError('setsockopt', this.#libc.errno());
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#libc.close(this.fd);
  }

  #configure(packetInfo: boolean): void {
    if (this.family === AF_INET) {
      // Reports dead clients (ICMP) on an unconnected socket.
      this.#set(SOL_IP, IP_RECVERR, 1);
      this.#set(SOL_IP, IP_MTU_DISCOVER, PMTUDISC_DONT);
      if (packetInfo) this.#set(SOL_IP, IP_PKTINFO, 1);
      return;
    }
    this.#set(SOL_IPV6, IPV6_V6ONLY, 1);
    this.#set(SOL_IPV6, IPV6_RECVERR, 1);
    this.#set(SOL_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DONT);
    if (packetInfo) this.#set(SOL_IPV6, IPV6_RECVPKTINFO, 1);
  }

  /** @returns true if the receive buffer is as large as asked for. */
  #setBuffers(receiveBytes: number): boolean {
    if (!this.#set(SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES)) this.#set(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES);
    if (this.#set(SOL_SOCKET, SO_RCVBUFFORCE, receiveBytes)) return true;
    this.#set(SOL_SOCKET, SO_RCVBUF, receiveBytes);
    const granted = int32(0);
    this.#libc.getsockopt(this.fd, SOL_SOCKET, SO_RCVBUF, granted, int32(4));
    // The kernel doubles the size asked for, to allow for its own bookkeeping.
    return new DataView(granted.buffer).getInt32(0, true) >= 2 * receiveBytes;
  }

  #set(level: number, name: number, value: number): boolean {
    return this.#libc.setsockopt(this.fd, level, name, int32(value), 4) === 0;
  }
}

/**
 * Returns what the kernel's route from `local` to `peer` carries unfragmented, bytes of an IP packet. Uses a socket of
 * its own, bound to `local`, because routes can depend on the source address.
 *
 * @returns undefined when there is no such route, or no socket can be opened.
 */
export function routeMtu(libc: Libc, local: string, peer: Address): number | undefined {
  const family = familyOf(peer.address);
  const fd = libc.socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return undefined;
  try {
    const length = sockaddrLength(family);
    if (libc.bind(fd, toSockaddr(libc, { address: local, port: 0 }), length) < 0) return undefined;
    if (libc.connect(fd, toSockaddr(libc, peer), length) < 0) return undefined;
    const mtu = int32(0);
    const isV4 = family === AF_INET;
    const status = libc.getsockopt(fd, isV4 ? SOL_IP : SOL_IPV6, isV4 ? IP_MTU : IPV6_MTU, mtu, int32(4));
    return status < 0 ? undefined : new DataView(mtu.buffer).getInt32(0, true);
  } catch {
    // The scope's interface is gone.
    return undefined;
  } finally {
    libc.close(fd);
  }
}

/** Returns how many datagrams a socket has dropped because its receive buffer was full. */
export function dropsOf(libc: Libc, fd: number): number {
  const info = new Int32Array(16);
  const status = libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, new Uint8Array(info.buffer), int32(info.byteLength));
  return status < 0 ? 0 : info[MEMINFO_DROPS]!;
}

/** Clears the pending error of a socket, such as the one that a closed port at the peer leaves. */
export function clearError(libc: Libc, fd: number): void {
  libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, ERROR, ERROR_LENGTH);
}

/** Where the kernel writes the error, and its length. One for each thread: nothing reads them. */
const ERROR = int32(0);
const ERROR_LENGTH = int32(4);

function int32(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
}
