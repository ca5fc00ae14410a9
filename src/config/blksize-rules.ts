/**
 * `maxBlksize`: a number for all clients, and numbers for networks. Knows how they are written; not who goes by them.
 */
import { isNetwork } from '../boot-set/node/network-list.ts';
import { MAX_BLKSIZE, MIN_BLKSIZE } from '../protocol/negotiate.ts';
import { type ValueKind, wholeNumber } from './value-kind.ts';

/** Each request with a blksize is compared with all of them. */
const MAX_RULES = 64;

export interface BlksizeRule {
  /** As CIDR; undefined: every client that is in none of the other networks. */
  readonly network: string | undefined;
  /** In bytes, 8 to 65464. */
  readonly blksize: number;
}

const blksizes = wholeNumber(MIN_BLKSIZE, MAX_BLKSIZE);

function readRule(value: unknown): BlksizeRule | undefined {
  const match = typeof value === 'string' ? /^([^=]*)=([^=]*)$/.exec(value) : null;
  const network = match?.[1];
  const blksize = blksizes.read(match === null ? value : match[2]);
  return blksize === undefined || (network !== undefined && !isNetwork(network)) ? undefined : { network, blksize };
}

/** `1428`, `192.0.2.0/24=1228`, or a list of them that names no network twice. */
export const blksizeRules: ValueKind<readonly BlksizeRule[]> = {
  expected: `a blksize from ${MIN_BLKSIZE} to ${MAX_BLKSIZE}, NETWORK=BLKSIZE such as 192.0.2.0/24=1228, or a list of at most ${MAX_RULES}`,
  read(value) {
    const list: unknown[] = Array.isArray(value) ? value : [value];
    const rules = list.map(readRule).filter((rule) => rule !== undefined);
    const networks = new Set(rules.map(({ network }) => network));
    const isWhole = rules.length === list.length && networks.size === list.length;
    return isWhole && rules.length <= MAX_RULES ? rules : undefined;
  },
};
