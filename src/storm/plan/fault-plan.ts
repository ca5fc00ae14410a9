/**
 * Faults that a storm injects into packets and nodes on purpose, from the text of its flags. Pure data, so that it can
 * be sent to threads. faulty-engine.ts applies the faults of packets; nodes apply their own.
 */
import { OPCODE } from '../../protocol/opcode.ts';
import { mistake } from '../input-mistake.ts';
import type { Span } from './plan.ts';
import { parseMs, parseShare, parseSpan } from './quantity.ts';
import type { Random } from './random.ts';

/** Faults of the packets in one direction. Shares are 0..1. */
export interface DirectionFaults {
  readonly loss: number;
  readonly duplicate: number;
  /** Share of packets held back until the next one has passed, or for a moment where none follows. */
  readonly reorder: number;
  /** Delay added to each packet. Packets stay in order. */
  readonly delay: Span;
}

/** One packet of each transfer that is always lost. */
export interface ExactLoss {
  readonly packet: 'rrq' | 'oack' | 'data' | 'ack' | 'error';
  /** The block number on the wire, 0..65535; `last` for the file's last block; undefined for any block. */
  readonly block: number | 'last' | undefined;
  /** Number of losses; later copies are let through. */
  readonly times: number;
}

export interface FaultPlan {
  /** Faults on the way from the server to the nodes. */
  readonly in: DirectionFaults;
  /** Faults on the way from the nodes to the server. */
  readonly out: DirectionFaults;
  readonly lose: readonly ExactLoss[];
  /** Share of nodes that go silent in the middle of a file. */
  readonly vanish: number;
  /** Share of nodes that wait before each ACK, and the wait in milliseconds. */
  readonly crawl: { readonly share: number; readonly ms: number };
}

const UNTOUCHED: DirectionFaults = { loss: 0, duplicate: 0, reorder: 0, delay: { fromMs: 0, toMs: 0 } };
export const NO_FAULTS: FaultPlan = {
  in: UNTOUCHED,
  out: UNTOUCHED,
  lose: [],
  vanish: 0,
  crawl: { share: 0, ms: 0 },
};

/** The flags as they were written; `lose` may be given more than once. */
export interface FaultFlags {
  readonly loss?: string | undefined;
  readonly duplicate?: string | undefined;
  readonly reorder?: string | undefined;
  readonly delay?: string | undefined;
  readonly lose?: readonly string[] | undefined;
  readonly vanish?: string | undefined;
  readonly crawl?: string | undefined;
}

const SHARE = 'a share of packets such as 1%, in:1% (from the server), out:0.5% (to it), or in:1%,out:0.5%';
const DELAY = 'a delay such as 5ms or 2ms..5ms, for one way in:5ms, or in:5ms,out:1ms..2ms';
const LOSE = 'a packet such as "ack 100 x3", "data 5", "data last", "ack last", "oack x1", "rrq x2" or "error"';
const VANISH = 'a share of nodes such as 5%';
const CRAWL = 'a share of nodes and their wait before each ACK such as 5%:100ms';
/** Limit on `times`: every transfer fails after fewer losses of one packet. */
const MAX_TIMES = 1000;

interface BothWays<T> {
  readonly in: T;
  readonly out: T;
}

/** Parses `X`, `in:X`, `out:X` or `in:X,out:Y`; a direction that is not named gets `none`. */
function parseWays<T>(text: string, none: T, read: (text: string) => T | undefined): BothWays<T> | undefined {
  const ways: { in?: T; out?: T } = {};
  for (const item of text.split(',')) {
    const [, way, rest = ''] = /^(?:(in|out):)?(.*)$/.exec(item) ?? [];
    const value = read(rest);
    if (value === undefined) return undefined;
    for (const each of way === undefined ? (['in', 'out'] as const) : [way as 'in' | 'out']) {
      if (ways[each] !== undefined) return undefined;
      ways[each] = value;
    }
  }
  return { in: ways.in ?? none, out: ways.out ?? none };
}

function readWays<T>(
  flag: string,
  text: string | undefined,
  expected: string,
  none: T,
  read: (text: string) => T | undefined,
): BothWays<T> {
  if (text === undefined) return { in: none, out: none };
  const ways = parseWays(text, none, read);
  if (ways === undefined) throw mistake(flag, expected, text);
  return ways;
}

/** @throws InputMistake. */
export function parseLose(text: string): ExactLoss {
  const match = /^(rrq|oack|data|ack|error)(?: ([0-9]{1,5}|last))?(?: x([0-9]{1,4}))?$/.exec(text);
  const [, packet, block, times = '1'] = match ?? [];
  const numbered = packet === 'data' || packet === 'ack';
  const right =
    (block === undefined || (numbered && (block === 'last' || Number(block) <= 0xffff))) &&
    Number(times) >= 1 &&
    Number(times) <= MAX_TIMES;
  if (match === null || !right) throw mistake('--lose', LOSE, text);
  return {
    packet: packet as ExactLoss['packet'],
    block: block === undefined || block === 'last' ? block : Number(block),
    times: Number(times),
  };
}

function parseVanish(text: string): number {
  const share = parseShare(text);
  if (share === undefined) throw mistake('--vanish', VANISH, text);
  return share;
}

function parseCrawl(text: string): FaultPlan['crawl'] {
  const [head = '', tail = '', ...rest] = text.split(':');
  const share = parseShare(head);
  const ms = parseMs(tail);
  if (share === undefined || ms === undefined || ms === 0 || rest.length > 0) throw mistake('--crawl', CRAWL, text);
  return { share, ms };
}

/** @throws InputMistake with one line for the first flag that is wrong. */
export function parseFaults(flags: FaultFlags): FaultPlan {
  const loss = readWays('--loss', flags.loss, SHARE, 0, parseShare);
  const duplicate = readWays('--duplicate', flags.duplicate, SHARE, 0, parseShare);
  const reorder = readWays('--reorder', flags.reorder, SHARE, 0, parseShare);
  const delay = readWays('--delay', flags.delay, DELAY, UNTOUCHED.delay, parseSpan);
  const way = (name: 'in' | 'out'): DirectionFaults => ({
    loss: loss[name],
    duplicate: duplicate[name],
    reorder: reorder[name],
    delay: delay[name],
  });
  return {
    in: way('in'),
    out: way('out'),
    lose: (flags.lose ?? []).map(parseLose),
    vanish: flags.vanish === undefined ? 0 : parseVanish(flags.vanish),
    crawl: flags.crawl === undefined ? NO_FAULTS.crawl : parseCrawl(flags.crawl),
  };
}

export function touches({ loss, duplicate, reorder, delay }: DirectionFaults): boolean {
  return loss > 0 || duplicate > 0 || reorder > 0 || delay.toMs > 0;
}

/** Tells whether the plan leaves all packets alone; faults of nodes are ignored. */
export function isFaultless(plan: FaultPlan): boolean {
  return !touches(plan.in) && !touches(plan.out) && plan.lose.length === 0;
}

/** The faults that one node gets. */
export interface NodeFate {
  /** Number of blocks, over all its files, after which the node falls silent; undefined: it never does. */
  readonly vanishAtBlock: number | undefined;
  /** Wait before each ACK, in milliseconds; 0: none. */
  readonly crawlMs: number;
}

/** About the number of blocks in a boot loader: a node that vanishes must do so before it has booted. */
const VANISHED_BY = 512;

/**
 * Decides the fate of one node; draws nothing from `random` itself.
 *
 * @param random the node's own generator.
 */
export function nodeFate({ vanish, crawl }: FaultPlan, random: Random): NodeFate {
  const dying = random.fork('vanish');
  const vanishes = dying.chance(vanish);
  return {
    // A node vanishes as often among the first ten blocks as among the last few hundred: servers differ in how they
    // start.
    vanishAtBlock: vanishes ? Math.floor(VANISHED_BY ** dying.next()) : undefined,
    crawlMs: random.fork('crawl').chance(crawl.share) ? crawl.ms : 0,
  };
}

/** Faults applied to packets, counted in datagrams. */
export interface FaultCounts {
  lost: number;
  /** Lost DATA packets, which `lost` includes. */
  lostData: number;
  duplicated: number;
  reordered: number;
  delayed: number;
}

export function createFaultCounts(): FaultCounts {
  return { lost: 0, lostData: 0, duplicated: 0, reordered: 0, delayed: 0 };
}

/** Counts a packet that is lost on purpose. */
export function countLost(counts: FaultCounts, opcode: number): void {
  counts.lost++;
  if (opcode === OPCODE.DATA) counts.lostData++;
}
