/**
 * System calls for TCP that Node.js does not offer: a listening socket that several threads accept from, bounded send
 * buffers, and views of shared content without a copy. Knows no HTTP.
 */
import type { SharedHandle } from '../bytes/shared-bytes.ts';
import {
  AF_INET,
  F_DUPFD_CLOEXEC,
  F_SETFD,
  F_SETFL,
  FD_CLOEXEC,
  IP_FREEBIND,
  IPV6_FREEBIND,
  IPV6_V6ONLY,
  type Libc,
  loadLibc,
  SO_REUSEADDR,
  SO_SNDBUF,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOCKADDR_ROOM,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
  SOL_TCP,
  systemError,
  TCP_NOTSENT_LOWAT,
} from './linux/libc.ts';
import { attachAddress } from './linux/linux-view.ts';
import { familyOf, fromSockaddr, sockaddrLength, toSockaddr } from './linux/socket-address.ts';
import { reservedDescriptors } from './linux/transfer-ports.ts';
import type { SocketKeep, SocketUse } from './socket-keep.ts';
import type { Address } from './types.ts';

/**
 * @limit Connections that wait for an HTTP thread to accept them; the system's net.core.somaxconn may be less. Shows: the
 *   system's `ListenOverflows`.
 */
export const BACKLOG = 4096;
/**
 * Bytes that TCP has not sent yet, for each connection; the kernel adds at most one packet of 64 KiB. A thousand clients
 * that do not read pin 60 MiB and not gigabytes. Accepted sockets inherit both bounds from the listening one.
 *
 * @limit Bytes of a connection that the kernel holds and has not sent.
 */
const UNSENT_BYTES = 32 * 1024;
/**
 * The kernel doubles this: enough for 10 Gbit/s at 0.4 ms.
 *
 * @limit Half of the bytes of a connection that may be sent and not acknowledged.
 */
const SEND_BUFFER_BYTES = 256 * 1024;

/** A socket that listens on its own: the threads accept from duplicates of its descriptor. */
export interface ListeningStream {
  readonly fd: number;
  readonly local: Address;
  /** True if the machine does not have the address yet: connections come once it has. */
  readonly isAhead: boolean;
}

export class StreamSystem {
  readonly #libc: Libc;
  readonly #offset = new BigInt64Array(1);
  readonly #offsetBytes = new Uint8Array(this.#offset.buffer);
  readonly #iovs = [new BigUint64Array(2), new BigUint64Array(2)] as const;

  readonly #keep: SocketKeep | undefined;

  /**
   * @param keep listening sockets that outlive this process. Default: none does.
   * @throws Error with the reason why this machine can't provide it.
   */
  constructor(keep?: SocketKeep) {
    this.#libc = loadLibc();
    this.#keep = keep;
  }

  /**
   * Listens on an address; IPv6 addresses do not stand for IPv4, except for the admin server. The caller closes the descriptor. A dead thread closes
   * its duplicate alone, so connections that wait for it go to the others.
   *
   * @throws Error with the system's code (EADDRINUSE, EACCES).
   */
  listen(wanted: Address, use: SocketUse): ListeningStream {
    const given = this.#keep?.take(use, wanted);
    if (given !== undefined) return this.#reuse(given);
    const stream = this.#open(wanted, use !== 'admin');
    this.#keep?.keep(use, wanted, stream.fd);
    return stream;
  }

  /** Listens on a socket that another process has opened. */
  #reuse(fd: number): ListeningStream {
    this.#libc.fcntl(fd, F_SETFD, FD_CLOEXEC);
    this.#libc.fcntl(fd, F_SETFL, SOCK_NONBLOCK);
    this.#limit(fd);
    // Lengthens the queue of waiting connections, which a service manager may have made shorter.
    if (this.#libc.listen(fd, BACKLOG) !== 0) throw systemError('listen', this.#libc.errno());
    return { fd, local: this.#localOf(fd), isAhead: false };
  }

  #open(wanted: Address, isV6Only: boolean): ListeningStream {
    const libc = this.#libc;
    const family = familyOf(wanted.address);
    const sockaddr = toSockaddr(libc, wanted);
    const fd = libc.socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) throw systemError('socket', libc.errno());
    try {
      this.#set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
      if (family !== AF_INET) this.#set(fd, SOL_IPV6, IPV6_V6ONLY, isV6Only ? 1 : 0);
      this.#limit(fd);
      const bind = (): boolean => libc.bind(fd, sockaddr, sockaddrLength(family)) === 0;
      let isAhead = false;
      if (!bind()) {
        const error = systemError('bind', libc.errno());
        if (error.code !== 'EADDRNOTAVAIL') throw error;
        isAhead = true;
        this.#set(fd, family === AF_INET ? SOL_IP : SOL_IPV6, family === AF_INET ? IP_FREEBIND : IPV6_FREEBIND, 1);
        if (!bind()) throw error;
      }
      if (libc.listen(fd, BACKLOG) !== 0) throw systemError('listen', libc.errno());
      return { fd, local: this.#localOf(fd), isAhead };
    } catch (cause) {
      libc.close(fd);
      throw cause;
    }
  }

  /** Limits what the kernel holds for a connection. */
  #limit(fd: number): void {
    this.#set(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES);
    this.#set(fd, SOL_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES);
  }

  /** Returns another descriptor of the same open socket. @throws Error with the system's code (EMFILE). */
  duplicate(fd: number): number {
    const other = this.#libc.fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (other < 0) throw systemError('fcntl', this.#libc.errno());
    return other;
  }

  /** Returns how many of `wanted` connections may be open without taking descriptors from transfers over UDP and files. */
  roomFor(wanted: number): number {
    return reservedDescriptors(this.#libc, wanted);
  }

  close(fd: number): void {
    this.#keep?.release(fd);
    this.#libc.close(fd);
  }

  /** Returns where shared content lies, for other threads; its owner keeps it alive. */
  addressOf(handle: SharedHandle): bigint {
    const { low, high } = attachAddress(this.#libc, handle);
    return (BigInt(high) << 32n) | BigInt(low);
  }

  /**
   * Returns `length` bytes at an address, not copied. A file under a mapping may be cut short: the bytes are for system
   * calls alone, which fail with EFAULT where a load would end the process.
   */
  view(address: bigint, length: number): Uint8Array {
    return new Uint8Array(this.#libc.view(address, length));
  }

  /** Returns a copy of the bytes, safe for a file that is cut short. @returns undefined when they are no longer there. */
  copy(address: bigint, length: number): Uint8Array | undefined {
    const into = Buffer.allocUnsafeSlow(length);
    const [local, remote] = this.#iovs;
    local[0] = this.#libc.address(into);
    local[1] = BigInt(length);
    remote[0] = address;
    remote[1] = BigInt(length);
    const count = this.#libc.process_vm_readv(process.pid, bytesOf(local), 1, bytesOf(remote), 1, 0);
    return count === length ? into : undefined;
  }

  /** Returns false where a sandbox forbids copy(). */
  canCopy(): boolean {
    const bytes = Uint8Array.of(1, 2, 3);
    return this.copy(this.#libc.address(bytes), bytes.length)?.[2] === 3;
  }

  /**
   * Sends bytes of a file from the page cache, not copied, to a socket that does not block.
   *
   * @returns how many; 0: the file ends there; -1: the socket takes no more, or has failed.
   */
  sendFile(socket: number, fd: number, from: number, length: number): number {
    this.#offset[0] = BigInt(from);
    return this.#libc.sendfile(socket, fd, this.#offsetBytes, length);
  }

  #set(fd: number, level: number, name: number, value: number): void {
    this.#libc.setsockopt(fd, level, name, new Uint8Array(new Int32Array([value]).buffer), 4);
  }

  #localOf(fd: number): Address {
    const bytes = new Uint8Array(SOCKADDR_ROOM);
    const length = new Uint8Array(new Uint32Array([SOCKADDR_ROOM]).buffer);
    if (this.#libc.getsockname(fd, bytes, length) !== 0) throw systemError('getsockname', this.#libc.errno());
    return fromSockaddr(this.#libc, bytes, 0);
  }
}

function bytesOf(words: BigUint64Array): Uint8Array {
  return new Uint8Array(words.buffer);
}
