/** The network that stands for an address where no label says how the racks are wired: /24, and /64 with IPv6. Pure. */
import { isIPv4 } from 'node:net';

/** @returns the groups of an IPv6 address, with `::` expanded. */
function groupsOf(address: string): string[] {
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const first = head === '' ? [] : head.split(':');
  if (tail === undefined) return first;
  const last = tail === '' ? [] : tail.split(':');
  return [...first, ...Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => '0'), ...last];
}

export function subnetOf(address: string): string {
  if (isIPv4(address)) return `${address.slice(0, address.lastIndexOf('.'))}.0/24`;
  const groups = groupsOf(address).slice(0, 4);
  while (groups.at(-1) === '0') groups.pop();
  return `${groups.join(':')}::/64`;
}
