/** Converts addresses between text and the kernel's sockaddr. */
import type { Address } from '../types.ts';
import { AF_INET, AF_INET6, type Libc, SOCKADDR_IN, SOCKADDR_IN6, SOCKADDR_ROOM } from './libc.ts';

export type Family = typeof AF_INET | typeof AF_INET6;

export function familyOf(address: string): Family {
  return address.includes(':') ? AF_INET6 : AF_INET;
}

export function sockaddrLength(family: Family): number {
  return family === AF_INET ? SOCKADDR_IN.size : SOCKADDR_IN6.size;
}

/** @throws Error for a text that is not an address; EADDRNOTAVAIL for a scope that is not an interface. */
export function toSockaddr(libc: Libc, { address, port }: Address): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_ROOM);
  const family = familyOf(address);
  const view = new DataView(bytes.buffer);
  view.setUint16(SOCKADDR_IN.family, family, true);
  view.setUint16(SOCKADDR_IN.port, port, false);
  const [text = '', scope] = address.split('%');
  const at = family === AF_INET ? SOCKADDR_IN.address : SOCKADDR_IN6.address;
  if (libc.inet_pton(family, text, bytes.subarray(at)) !== 1) throw new Error(`Expected an address, got ${address}`);
  if (family === AF_INET6 && scope !== undefined) {
    const index = /^[0-9]+$/.test(scope) ? Number(scope) : libc.if_nametoindex(scope);
    if (index === 0) {
      throw Object.assign(new Error(`Expected a network interface, got ${scope}`), { code: 'EADDRNOTAVAIL' });
    }
    view.setUint32(SOCKADDR_IN6.scope, index, true);
  }
  return bytes;
}

/** Overwrites a sockaddr with an address. IPv4, which comes by the thousand, needs no call. @throws like toSockaddr. */
export function writeSockaddr(libc: Libc, peer: Address, into: Uint8Array): void {
  if (familyOf(peer.address) === AF_INET6) {
    into.set(toSockaddr(libc, peer));
    return;
  }
  into.fill(0);
  into[SOCKADDR_IN.family] = AF_INET;
  into[SOCKADDR_IN.port] = peer.port >> 8;
  into[SOCKADDR_IN.port + 1] = peer.port & 0xff;
  let at: number = SOCKADDR_IN.address;
  let byte = 0;
  for (let index = 0; index < peer.address.length; index++) {
    const code = peer.address.charCodeAt(index);
    if (code === DOT) {
      into[at++] = byte;
      byte = 0;
    } else {
      byte = byte * 10 + code - ZERO;
    }
  }
  into[at] = byte;
}

const DOT = 0x2e;
const ZERO = 0x30;

/** Returns the address in a sockaddr at bytes[at], in the same text as Node.js. */
export function fromSockaddr(libc: Libc, bytes: Uint8Array, at: number): Address {
  const port = (bytes[at + SOCKADDR_IN.port]! << 8) | bytes[at + SOCKADDR_IN.port + 1]!;
  if ((bytes[at + SOCKADDR_IN.family]! | (bytes[at + SOCKADDR_IN.family + 1]! << 8)) === AF_INET) {
    return { address: ipv4Text(bytes, at + SOCKADDR_IN.address), port };
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, SOCKADDR_ROOM);
  const from = at + SOCKADDR_IN6.address;
  const text = ipv6Text(libc, bytes.subarray(from, from + 16));
  const scope = view.getUint32(SOCKADDR_IN6.scope, true);
  return { address: scope === 0 ? text : `${text}%${interfaceName(libc, scope)}`, port };
}

export function ipv4Text(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

export function ipv6Text(libc: Libc, bytes: Uint8Array): string {
  const text = new Uint8Array(64);
  libc.inet_ntop(AF_INET6, bytes, text, text.length);
  return cString(text);
}

export function interfaceName(libc: Libc, index: number): string {
  const name = new Uint8Array(16);
  return libc.if_indextoname(index, name) === null ? String(index) : cString(name);
}

function cString(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString('latin1');
}
