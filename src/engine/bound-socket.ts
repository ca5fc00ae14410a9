/** Describes a socket that another process has opened: its kind, and where it is bound. */
import {
  AF_INET,
  AF_INET6,
  IPV6_V6ONLY,
  type Libc,
  loadLibc,
  SO_ACCEPTCONN,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOCKADDR_IN,
  SOCKADDR_ROOM,
  SOL_IPV6,
  SOL_SOCKET,
} from './linux/libc.ts';
import { fromSockaddr, toSockaddr } from './linux/socket-address.ts';
import type { Address } from './types.ts';

export interface BoundSocket {
  readonly kind: 'udp' | 'tcp' | 'other';
  readonly local: Address;
  /** True for UDP, and for TCP that accepts connections. */
  readonly isOpen: boolean;
  /** True for a socket of IPv6 that stands for IPv4 too. */
  readonly isDual: boolean;
}

/** @returns undefined for a descriptor that is not a socket of IPv4 or IPv6. @throws Error when koffi is missing. */
export function boundSocket(fd: number): BoundSocket | undefined {
  const libc = loadLibc();
  const name = new Uint8Array(SOCKADDR_ROOM);
  const length = new Uint8Array(new Int32Array([name.length]).buffer);
  if (libc.getsockname(fd, name, length) !== 0) return undefined;
  const family = name[SOCKADDR_IN.family]! | (name[SOCKADDR_IN.family + 1]! << 8);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const type = socketOption(libc, fd, SOL_SOCKET, SO_TYPE);
  const kind = type === SOCK_DGRAM ? 'udp' : type === SOCK_STREAM ? 'tcp' : 'other';
  return {
    kind,
    local: fromSockaddr(libc, name, 0),
    isOpen: kind === 'udp' || socketOption(libc, fd, SOL_SOCKET, SO_ACCEPTCONN) === 1,
    isDual: family === AF_INET6 && socketOption(libc, fd, SOL_IPV6, IPV6_V6ONLY) === 0,
  };
}

/** Returns the address in the text that boundSocket gives it; the same text for one that this machine can't read. */
export function canonicalAddress(address: Address): Address {
  try {
    const libc = loadLibc();
    return fromSockaddr(libc, toSockaddr(libc, address), 0);
  } catch {
    return address;
  }
}

/** Returns the value of a socket's option; -1 where there is none. */
export function socketOption(libc: Libc, fd: number, level: number, name: number): number {
  const value = new Int32Array(1);
  const length = new Uint8Array(new Int32Array([4]).buffer);
  return libc.getsockopt(fd, level, name, new Uint8Array(value.buffer), length) === 0 ? value[0]! : -1;
}
