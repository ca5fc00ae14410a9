/**
 * When nodes are switched on. Converts a law in text, one of
 *
 *     burst            all at once
 *     burst:50ms       each at random within 50 ms
 *     ramp:10s         evenly over 10 s
 *     poisson:100/s    at random, 100 a second on average, whether or not earlier nodes have finished
 *     waves:40@5s      racks of 40 nodes, one rack each 5 s
 *
 * to moments in milliseconds. Knows nothing of what a node does when its moment has come.
 */
import { mistake } from '../input-mistake.ts';
import { parseMs } from './quantity.ts';
import type { Random } from './random.ts';

export type ArrivalLaw =
  | { readonly kind: 'burst'; readonly withinMs: number }
  | { readonly kind: 'ramp'; readonly overMs: number }
  | { readonly kind: 'poisson'; readonly perSecond: number }
  | { readonly kind: 'waves'; readonly nodes: number; readonly everyMs: number };

const EXPECTED = 'burst, burst:50ms, ramp:10s, poisson:100/s or waves:40@5s (40 nodes every 5 s)';

function parseRate(text: string): number | undefined {
  const match = /^([0-9]{1,7}(?:\.[0-9]{1,3})?)\/s$/.exec(text);
  const perSecond = match === null ? 0 : Number(match[1]);
  return perSecond > 0 ? perSecond : undefined;
}

function parseWaves(text: string): ArrivalLaw | undefined {
  const [, nodes, every] = /^([1-9][0-9]{0,7})@(.+)$/.exec(text) ?? [];
  const everyMs = every === undefined ? undefined : parseMs(every);
  return everyMs === undefined || everyMs === 0 ? undefined : { kind: 'waves', nodes: Number(nodes), everyMs };
}

function parseLaw(kind: string, rest: string | undefined): ArrivalLaw | undefined {
  if (rest === undefined) return kind === 'burst' ? { kind, withinMs: 0 } : undefined;
  const ms = parseMs(rest);
  const perSecond = parseRate(rest);
  switch (kind) {
    case 'burst':
      return ms === undefined ? undefined : { kind, withinMs: ms };
    case 'ramp':
      return ms === undefined ? undefined : { kind, overMs: ms };
    case 'poisson':
      return perSecond === undefined ? undefined : { kind, perSecond };
    case 'waves':
      return parseWaves(rest);
    default:
      return undefined;
  }
}

/** @param where name of the text in a message: `--arrival`. @throws InputMistake. */
export function parseArrival(text: string, where = '--arrival'): ArrivalLaw {
  const colon = text.indexOf(':');
  const law = colon < 0 ? parseLaw(text, undefined) : parseLaw(text.slice(0, colon), text.slice(colon + 1));
  if (law === undefined) throw mistake(where, EXPECTED, text);
  return law;
}

function moments(law: ArrivalLaw, nodes: number, random: Random): (node: number) => number {
  switch (law.kind) {
    case 'burst':
      return () => random.next() * law.withinMs;
    case 'ramp':
      return (node) => (node * law.overMs) / nodes;
    case 'poisson': {
      let at = 0;
      return () => {
        at += random.exponential(1000 / law.perSecond);
        return at;
      };
    }
    case 'waves':
      return (node) => Math.floor(node / law.nodes) * law.everyMs;
  }
}

/** @returns the moment at which each node is due, in milliseconds from the start of the storm, ascending. */
export function dueTimes(law: ArrivalLaw, nodes: number, random: Random): Float64Array {
  const moment = moments(law, nodes, random);
  return Float64Array.from({ length: nodes }, (_, node) => moment(node)).toSorted();
}
