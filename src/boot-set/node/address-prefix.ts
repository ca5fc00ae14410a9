/** The network that an address is counted under: whoever has one address of it has them all. Text alone. */
import { isIPv6 } from 'node:net';

/** @returns of IPv4 the first 24 bits, of IPv6 the first 64, as text that is the same for all addresses of the network. */
export function prefixOf(address: string): string {
  const bare = address.split('%', 1)[0]!.toLowerCase();
  const v4 = bare.lastIndexOf('.');
  // Also where it is written as a part of IPv6.
  if (v4 >= 0) return bare.slice(bare.lastIndexOf(':') + 1, v4);
  const [head = '', tail] = bare.split('::', 2);
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...first, ...Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => '0'), ...last];
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}

export function isV6Prefix(prefix: string): boolean {
  return isIPv6(`${prefix}::`);
}
