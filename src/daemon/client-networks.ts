/**
 * Settings by client network: which addresses may send requests, and their largest block. Also tells whether the server
 * is exposed to the Internet.
 */
import { NetworkList } from '../boot-set/node/network-list.ts';
import type { BlksizeRule } from '../config/blksize-rules.ts';
import type { Address } from '../engine/types.ts';
import { localAddresses, WILDCARDS } from '../server/addresses.ts';

/** Addresses that the Internet does not route (RFC 1918, 3849, 3927, 4193, 4291, 5737, 6598). */
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

/** @param networks networks whose addresses may send requests; empty allows all. */
export function mayAsk(networks: readonly string[]): (address: string) => boolean {
  const list = new NetworkList(networks);
  return networks.length === 0 ? () => true : (address) => list.has(address);
}

/**
 * Returns a lookup of the blksize in bytes of the smallest network that contains an address. For a network named twice,
 * the last rule counts.
 */
export function maxBlksizeOf(rules: readonly BlksizeRule[]): (address: string) => number | undefined {
  const byNetwork = new Map(rules.map(({ network, blksize }) => [network, blksize]));
  // One lookup in a list costs microseconds however long it is, so networks share a list where their length and blksize
  // are equal.
  const lists = new Map<string, { length: number; blksize: number; networks: string[] }>();
  for (const [network, blksize] of byNetwork) {
    if (network === undefined) continue;
    const length = prefixLength(network);
    const key = `${length} ${blksize}`;
    const list = lists.get(key) ?? { length, blksize, networks: [] };
    list.networks.push(network);
    lists.set(key, list);
  }
  const smallestFirst = [...lists.values()]
    .toSorted((one, other) => other.length - one.length)
    .map(({ networks, blksize }) => ({ list: new NetworkList(networks), blksize }));
  return (address) => smallestFirst.find(({ list }) => list.has(address))?.blksize;
}

/** Returns the prefix length in bits; for a single address 128, more than any network of its family. */
function prefixLength(network: string): number {
  return Number(network.split('/')[1] ?? 128);
}

/** @returns the first numeric address listened on that is reachable from the Internet. */
export function publicAddress(listening: readonly Address[], present = localAddresses()): string | undefined {
  const asked = listening.flatMap(({ address }) => {
    const family = WILDCARDS.get(address);
    return family === undefined ? [address] : present.filter((one) => one.family === family).map((one) => one.address);
  });
  return asked.find((address) => !PRIVATE.has(address));
}
