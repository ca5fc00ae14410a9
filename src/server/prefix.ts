/** The network that an address counts with: its neighbours can forge it, and it can forge theirs. */
import { isIPv6 } from 'node:net';

/**
 * The /24 of an IPv4 address, the /64 of an IPv6 one, as a text that is equal for equal networks.
 *
 * @param address as sockets give it: shortest form, a link-local one with its scope.
 */
export function prefixOf(address: string): string {
  if (!isIPv6(address)) return address.slice(0, address.lastIndexOf('.'));
  const [bare = '', scope = ''] = address.split('%');
  const [head = '', tail] = bare.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const last = tail === '' ? 0 : tail.split(':').length + (tail.includes('.') ? 1 : 0);
    while (groups.length + last < 8) groups.push('0');
    if (tail !== '') groups.push(...tail.split(':'));
  }
  return `${groups.slice(0, 4).join(':')}%${scope}`;
}
