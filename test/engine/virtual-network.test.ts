/**
 * Senders against receivers over networks that lose, duplicate, reorder, delay and corrupt, on virtual time.
 * test/support/world-draw.ts defines the world of a seed; world-judge.ts and wire-witness.ts define what must hold. A
 * failure prints its seed; REVEILLE_SEED=n plays only that seed. For longer runs see test/campaign.ts.
 */
import { describe, expect, test } from 'vitest';
import { FAULTLESS } from '../../src/engine/memory.ts';
import { blockCount } from '../../src/protocol/block.ts';
import { CAMPAIGN } from '../support/content.ts';
import { play } from '../support/virtual-world.ts';
import { type ClientDraw, type Draw, PHASES, type Phase, drawWorld } from '../support/world-draw.ts';
import { explore, judge, replayHint } from '../support/world-judge.ts';

const SEEDS: Readonly<Record<Phase, number>> = CAMPAIGN
  ? { faults: 16_000, blackout: 4000, flips: 2400 }
  : { faults: 800, blackout: 250, flips: 150 };

function seedsOf(phase: Phase): number[] {
  const only = process.env['REVEILLE_SEED'];
  return only === undefined ? Array.from({ length: SEEDS[phase] }, (_, index) => index + 1) : [Number(only)];
}

/** @returns the problems of the first seed that failed, and how to replay it. */
async function exploreAll(phase: Phase): Promise<readonly string[]> {
  for (const seed of seedsOf(phase)) {
    const problems = await explore(seed, phase);
    if (problems.length > 0) return [replayHint(seed, phase), ...problems];
  }
  return [];
}

/** A world of one client and no faults except the given ones. */
function quietWorld(faults: Partial<Draw['faults']>, client: Partial<ClientDraw>): Draw {
  return {
    seed: 1,
    phase: 'faults',
    faults: { ...FAULTLESS, ...faults },
    limits: { maxBlksize: 65464, maxWindowsize: 64, acknowledgeTimeout: false },
    clients: [{ wish: {}, size: 0, contentAt: 0, startMs: 0, lingerMs: 500, ...client }],
    blackout: undefined,
    noiseEveryMs: 0,
  };
}

describe('a sender and a receiver on a virtual network', { timeout: CAMPAIGN ? 600_000 : 60_000 }, () => {
  test('carry every byte through loss, duplication, reordering, delay and strangers, within their bounds', async () => {
    expect(await exploreAll('faults')).toEqual([]);
  });

  test('end soon after a blackout, and no transfer under way is lost', async () => {
    expect(await exploreAll('blackout')).toEqual([]);
  });

  test('end without a throw when flipped bits get past the checksum', async () => {
    expect(await exploreAll('flips')).toEqual([]);
  });
});

describe.skipIf(process.env['REVEILLE_SEED'] !== undefined)('on a virtual network', () => {
  test('the same seed gives the same datagrams at the same moments, and another seed others', async () => {
    for (const phase of PHASES) {
      const traces = new Set<string | undefined>();
      for (let seed = 1; seed <= 20; seed++) {
        const first = await play(drawWorld(seed, phase), { trace: true });
        const second = await play(drawWorld(seed, phase), { trace: true });
        expect({ seed, phase, trace: second.trace }).toEqual({ seed, phase, trace: first.trace });
        traces.add(first.trace);
      }
      expect(traces.size).toBe(20);
    }
  });

  test('nothing is sent twice over a faultless network, whatever the options and the delay', async () => {
    for (const delayMs of [0, 1, 30, 150]) {
      for (const wish of [{}, { blksize: 1468 }, { windowsize: 8 }, { blksize: 8, windowsize: 64, tsize: true }]) {
        for (const size of [0, 1, 511, 512, 513, 14_680]) {
          const draw = quietWorld({ delayMs }, { wish, size });
          const played = await play(draw);
          const [wire] = played.conversations;
          const seen = { delayMs, wish, size, problems: judge(draw, played), dataSent: wire?.dataSent };
          expect(seen).toEqual({ delayMs, wish, size, problems: [], dataSent: blockCount(size, wish.blksize ?? 512) });
          expect(played.sendings[0]?.report).toMatchObject({
            outcome: 'complete',
            retransmits: 0,
            stale: 0,
            timeouts: 0,
          });
        }
      }
    }
  });

  test('in lockstep not one block is sent twice though every datagram arrives twice', async () => {
    const draw = quietWorld({ duplicate: 1, delayMs: 3 }, { size: 100_000 });
    const played = await play(draw);
    expect(judge(draw, played)).toEqual([]);
    const [wire] = played.conversations;
    expect(wire?.dataSent).toBe(blockCount(100_000, 512));
    expect(played.sendings[0]?.report?.stale).toBeGreaterThan(100);
  });

  test('block numbers wrap twice inside a lossy window, and every byte is in its place', async () => {
    const draw = quietWorld(
      { loss: 0.002, reorder: 0.001, reorderMs: 3, delayMs: 1 },
      { wish: { blksize: 8, windowsize: 64 }, size: 1_048_576 },
    );
    const played = await play(draw);
    expect(judge(draw, played)).toEqual([]);
    expect(played.sendings[0]?.report?.blocks).toBe(131_073);
    expect(played.sendings[0]?.report?.retransmits).toBeGreaterThan(0);
  });
});
