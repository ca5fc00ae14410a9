/**
 * Reads `maxBlksize`: one number for all clients, and numbers for networks. Knows the notation; not where the rules
 * apply.
 */
import { readNetwork } from '../boot-set/node/network-list.ts';
import { MAX_BLKSIZE, MIN_BLKSIZE } from '../protocol/negotiate.ts';
import { showValue } from '../text/escape.ts';
import { elementsOf, type Mistake, networkMistake, oneOrMany, type SettingKind, wholeNumber } from './value-kind.ts';

/** Cap on rules: each request with a blksize is compared with all of them. */
const MAX_RULES = 64;

export interface BlksizeRule {
  /** Network in CIDR notation; undefined for all clients outside the other networks. */
  readonly network: string | undefined;
  /** Block size in bytes, 8 to 65464. */
  readonly blksize: number;
}

const blksizes = wholeNumber(MIN_BLKSIZE, MAX_BLKSIZE);

/** A rule with a network: `192.0.2.0/24=1228`. */
const RULE = /^([^=]*)=([^=]*)$/;

const EXPECTED = `a blksize from ${MIN_BLKSIZE} to ${MAX_BLKSIZE}, NETWORK=BLKSIZE such as 192.0.2.0/24=1228, or a list of at most ${MAX_RULES}`;

function isMistake(read: BlksizeRule | Mistake): read is Mistake {
  return 'expected' in read;
}

function readRule(value: unknown): BlksizeRule | Mistake {
  const match = typeof value === 'string' ? RULE.exec(value) : null;
  const network = match?.[1];
  const blksize = blksizes.read(match === null ? value : match[2]);
  if (blksize === undefined) return { expected: EXPECTED, got: showValue(value) };
  return (network === undefined ? undefined : networkMistake(network, EXPECTED)) ?? { network, blksize };
}

/** All rules, or the first thing that is wrong. */
function readRules(value: unknown): readonly BlksizeRule[] | Mistake {
  const rules: BlksizeRule[] = [];
  const seen = new Set<string | undefined>();
  for (const element of elementsOf(value)) {
    const rule = readRule(element);
    if (isMistake(rule)) return rule;
    const network = rule.network === undefined ? undefined : readNetwork(rule.network)!.network;
    if (seen.has(network)) {
      const expected = network === undefined ? 'one blksize without a network' : 'each network once';
      return { expected, got: `${network === undefined ? 'another' : 'one again'}: ${showValue(element)}` };
    }
    seen.add(network);
    rules.push(rule);
  }
  return rules.length > MAX_RULES ? { expected: EXPECTED, got: `a list of ${rules.length}` } : rules;
}

/** Reads `1428`, `192.0.2.0/24=1228`, or a list of these that names no network twice. */
export const blksizeRules: SettingKind<readonly BlksizeRule[]> = {
  expected: EXPECTED,
  placeholder: 'N',
  isList: true,
  schema: oneOrMany({ anyOf: [blksizes.schema, { type: 'string', pattern: RULE.source }] }, { maxItems: MAX_RULES }),
  read(value) {
    const rules = readRules(value);
    return 'expected' in rules ? undefined : rules;
  },
  mistake(value) {
    const rules = readRules(value);
    return 'expected' in rules ? rules : undefined;
  },
};
