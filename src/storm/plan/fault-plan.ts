/**
 * What a storm does to packets and nodes on purpose, from the text of its flags. Pure data, so that it can go to
 * threads; faulty-engine.ts does the packets, the nodes see to their own fate.
 */
import { OPCODE } from '../../protocol/opcode.ts';
import { mistake } from '../input-mistake.ts';
import type { Span } from './plan.ts';
import { parseMs, parseShare, parseSpan } from './quantity.ts';
import type { Random } from './random.ts';

/** What happens to packets on their way in one direction. Shares are 0..1. */
export interface DirectionFaults {
  readonly loss: number;
  readonly duplicate: number;
  /** Held back until the next one has passed, or for a moment where none follows. */
  readonly reorder: number;
  /** How much later each arrives. Packets stay in order. */
  readonly delay: Span;
}

/** One packet of each transfer that is lost for certain. */
export interface ExactLoss {
  readonly packet: 'rrq' | 'oack' | 'data' | 'ack' | 'error';
  /** A block's number on the wire, 0..65535; `last`: the file's last; undefined: whichever comes. */
  readonly block: number | 'last' | undefined;
  /** How often: the copies that come after are let through. */
  readonly times: number;
}

export interface FaultPlan {
  /** From the server to the nodes. */
  readonly in: DirectionFaults;
  /** From the nodes to the server. */
  readonly out: DirectionFaults;
  readonly lose: readonly ExactLoss[];
  /** The share of nodes that fall silent in the middle of a file. */
  readonly vanish: number;
  /** The share of nodes that wait before each ACK, and how long, in milliseconds. */
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
/** A loss that is repeated more often than this is the end of any transfer. */
const MAX_TIMES = 1000;

interface BothWays<T> {
  readonly in: T;
  readonly out: T;
}

/** `X`, `in:X`, `out:X` or `in:X,out:Y`; a way that is not named gets `none`. */
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

/** Whether the plan leaves all packets alone; what it does to nodes is not asked. */
export function isFaultless(plan: FaultPlan): boolean {
  return !touches(plan.in) && !touches(plan.out) && plan.lose.length === 0;
}

/** What becomes of one node. */
export interface NodeFate {
  /** It falls silent once it has kept so many blocks of all its files together; undefined: it does not. */
  readonly vanishAtBlock: number | undefined;
  /** How long it waits before each ACK, in milliseconds; 0: not at all. */
  readonly crawlMs: number;
}

/** As many blocks as a boot loader has: a node that is to vanish must not have booted before. */
const VANISHED_BY = 512;

/**
 * Decides a node's fate; draws nothing from `random` itself.
 *
 * @param random the node's own.
 */
export function nodeFate({ vanish, crawl }: FaultPlan, random: Random): NodeFate {
  const dying = random.fork('vanish');
  const vanishes = dying.chance(vanish);
  return {
    // As often among the first ten blocks as among the last few hundred: starts are where servers differ.
    vanishAtBlock: vanishes ? Math.floor(VANISHED_BY ** dying.next()) : undefined,
    crawlMs: random.fork('crawl').chance(crawl.share) ? crawl.ms : 0,
  };
}

/** What was done to packets, counted in datagrams. */
export interface FaultCounts {
  lost: number;
  /** Of these, DATA. */
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
