/** Who may ask, by the settings; and whether the whole Internet could. */
import { NetworkList } from '../boot-set/node/network-list.ts';
import type { Address } from '../engine/types.ts';
import { localAddresses } from '../server/addresses.ts';

/** Addresses that no router of the Internet leads to (RFC 1918, 3849, 3927, 4193, 4291, 5737, 6598). */
const PRIVATE = new NetworkList([
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.2.0/24',
  '192.168.0.0/16',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '::1/128',
  '2001:db8::/32',
  'fc00::/7',
  'fe80::/10',
]);

const WILDCARDS: ReadonlyMap<string, 4 | 6> = new Map([
  ['0.0.0.0', 4],
  ['::', 6],
]);

/** @param networks empty: everybody may. */
export function mayAsk(networks: readonly string[]): (address: string) => boolean {
  const list = new NetworkList(networks);
  return networks.length === 0 ? () => true : (address) => list.has(address);
}

/** @returns the first address listened on that the Internet can reach, by its number. */
export function publicAddress(listening: readonly Address[], present = localAddresses()): string | undefined {
  const asked = listening.flatMap(({ address }) => {
    const family = WILDCARDS.get(address);
    return family === undefined ? [address] : present.filter((one) => one.family === family).map((one) => one.address);
  });
  return asked.find((address) => !PRIVATE.has(address));
}
