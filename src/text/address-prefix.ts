/** The network that an address is counted with: a sender with one of its addresses can forge the others. Text alone. */

/**
 * Returns the /24 of an IPv4 address or the /64 of an IPv6 one, as a text that is equal for equal networks. IPv4
 * written as a part of IPv6 counts as IPv4; a scope (`%eth0`) stays, because link-local networks differ by interface.
 */
export function prefixOf(address: string): string {
  if (!address.includes(':')) return address.slice(0, address.lastIndexOf('.'));
  const [bare = '', scope] = address.toLowerCase().split('%', 2);
  const v4 = bare.lastIndexOf('.');
  if (v4 >= 0) return bare.slice(bare.lastIndexOf(':') + 1, v4);
  const [head = '', tail] = bare.split('::', 2);
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...first, ...Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => '0'), ...last];
  const network = groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
  return scope === undefined ? network : `${network}%${scope}`;
}

export function isV6Prefix(prefix: string): boolean {
  return prefix.includes(':');
}
