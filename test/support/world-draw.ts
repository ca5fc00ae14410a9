/** The world that a seed stands for: a network with its faults, and the transfers over it. */
import type { Faults } from '../../src/engine/memory.ts';
import { MAX_BLKSIZE, type NegotiationLimits, type Wish } from '../../src/protocol/negotiate.ts';
import { Random } from './random.ts';

/**
 * `faults`: the network has some faults throughout. `blackout`: the network is far worse for some seconds, then
 * faultless. `flips`: corrupted datagrams arrive, as if UDP had no checksum.
 */
export const PHASES = ['faults', 'blackout', 'flips'] as const;
export type Phase = (typeof PHASES)[number];

export interface Blackout {
  readonly atMs: number;
  readonly forMs: number;
  /** Probability of loss during the blackout. */
  readonly loss: number;
}

export interface ClientDraw {
  readonly wish: Wish;
  readonly size: number;
  /** Offset of this client's file in the pool of random bytes. */
  readonly contentAt: number;
  readonly startMs: number;
  readonly lingerMs: number;
}

export interface Draw {
  readonly seed: number;
  readonly phase: Phase;
  readonly faults: Faults;
  readonly limits: NegotiationLimits;
  readonly clients: readonly ClientDraw[];
  readonly blackout: Blackout | undefined;
  /** Milliseconds between datagrams of strangers; 0 for none. */
  readonly noiseEveryMs: number;
}

/** Size of the pool of random bytes that files are cut from. */
export const POOL_BYTES = 1 << 20;
const MAX_BYTES = 300_000;

const BLKSIZES = [8, 9, 16, 100, 511, 512, 513, 1024, 1408, 1432, 1456, 1468, 8192, 32768, MAX_BLKSIZE];
const WINDOWSIZES = [1, 2, 3, 4, 8, 16, 32, 64];

function drawWish(random: Random): Wish {
  const options = random.between(0, 7);
  return {
    blksize: (options & 1) === 0 ? undefined : random.chance(0.7) ? random.pick(BLKSIZES) : random.between(8, 3000),
    windowsize: (options & 2) === 0 ? undefined : random.chance(0.7) ? random.pick(WINDOWSIZES) : random.between(1, 64),
    tsize: (options & 4) === 0 ? undefined : true,
  };
}

function drawSize(random: Random, wish: Wish, limits: NegotiationLimits): number {
  const blksize = Math.min(wish.blksize ?? 512, limits.maxBlksize);
  const windowsize = wish.windowsize ?? 1;
  // Sizes cluster around boundaries: of the file, a block, a window.
  const blocks = random.pick([0, 1, windowsize, 2 * windowsize, random.between(0, 12), random.between(0, 160)]);
  const rest = random.pick([-1, 0, 0, 1, random.between(0, blksize - 1)]);
  return Math.max(0, Math.min(MAX_BYTES, blocks * blksize + rest));
}

function drawClient(random: Random, limits: NegotiationLimits, first: boolean): ClientDraw {
  const wish = drawWish(random);
  const size = drawSize(random, wish, limits);
  return {
    wish,
    size,
    contentAt: random.between(0, POOL_BYTES - size),
    startMs: first ? 0 : random.between(0, 500),
    lingerMs: random.pick([0, 50, 500, 2000]),
  };
}

function drawFaults(random: Random, phase: Phase): Faults {
  const sometimes = (probability: number, most: number): number =>
    random.chance(probability) ? random.unit() * most : 0;
  const delayMs = random.pick([0, 0, 1, 2, 5, 20, 100]);
  return {
    loss: sometimes(0.75, 0.2),
    // With flipped bits, one of two copies may turn into an ERROR while the other does not.
    duplicate: phase === 'flips' ? 0 : sometimes(0.5, 0.3),
    reorder: sometimes(0.5, 0.3),
    reorderMs: random.between(1, 60),
    corrupt: phase === 'flips' ? 0.01 + random.unit() * 0.2 : sometimes(0.3, 0.05),
    checksum: phase !== 'flips',
    delayMs,
    jitterMs: random.chance(0.4) ? random.between(1, 5 + delayMs) : 0,
    unreachable: random.chance(0.8),
  };
}

function drawBlackout(random: Random): Blackout {
  return {
    atMs: random.pick([0, random.between(0, 50), random.between(0, 3000)]),
    forMs: random.between(500, 20_000),
    loss: random.chance(0.5) ? 1 : 0.5 + random.unit() / 2,
  };
}

export function drawWorld(seed: number, phase: Phase): Draw {
  const random = new Random(seed * PHASES.length + PHASES.indexOf(phase));
  const faults = drawFaults(random, phase);
  const limits: NegotiationLimits = {
    maxBlksize: random.pick([MAX_BLKSIZE, MAX_BLKSIZE, 1468]),
    maxWindowsize: random.pick([64, 64, 16]),
    acknowledgeTimeout: false,
  };
  const clients = Array.from({ length: random.pick([1, 1, 1, 2, 3]) }, (_, n) => drawClient(random, limits, n === 0));
  const blackout = phase === 'blackout' ? drawBlackout(random) : undefined;
  return {
    seed,
    phase,
    faults,
    limits,
    clients,
    blackout,
    noiseEveryMs: random.chance(0.25) ? random.between(1, 40) : 0,
  };
}
