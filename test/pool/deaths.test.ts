/**
 * Workers die at any step, and other workers go on with their transfers: every client gets its bytes, and no transfer is
 * served by two. `REVEILLE_SEEDS=10000 npx vitest run test/pool/deaths.test.ts` plays more worlds.
 */
import { describe, expect, it } from 'vitest';
import { TFTP_PROFILES } from '../../src/storm/plan/profiles.ts';
import { type MortalDraw, type MortalPlan, playMortal } from '../support/mortal-world.ts';
import { Random } from '../support/random.ts';

const SEEDS = Number(process.env['REVEILLE_SEEDS'] ?? 300);
/** A client that hangs on a copy of a block hangs as well where its ACK was lost by the network. */
const MANNERS = [...TFTP_PROFILES.values()]
  .map(({ manners }) => manners)
  .filter(({ unexpected }) => unexpected !== 'hang');

function drawn(seed: number): MortalPlan {
  const random = new Random(seed);
  const isLossy = random.chance(0.3);
  const transfer = (): MortalDraw => {
    // Firmware gives up after few tries, whoever loses its packets.
    const manners = isLossy ? undefined : random.pick(MANNERS);
    const blksize = random.pick([8, 512, 1468]);
    const options = manners?.needsOack === true || random.chance(0.8);
    const windowsize = options ? random.pick([1, 1, 2, 4, 16]) : 1;
    return {
      size: random.between(0, 60) * (options ? blksize : 512) + random.between(0, 7),
      blksize: options ? blksize : 512,
      windowsize,
      options,
      ringBlocks: random.chance(0.3) ? 2 * windowsize : 0,
      manners,
    };
  };
  return {
    seed,
    workers: random.between(1, 2),
    transfers: Array.from({ length: random.between(1, 5) }, transfer),
    deaths: Array.from({ length: random.between(1, 6) }, () => random.between(1, 120)),
    losesUnread: random.chance(0.2),
    loss: isLossy ? 0.05 : 0,
  };
}

const TRANSFER: MortalDraw = {
  size: 5000,
  blksize: 512,
  windowsize: 1,
  options: true,
  ringBlocks: 0,
  manners: undefined,
};

describe('a worker that dies', () => {
  it.each<[string, Partial<MortalDraw>]>([
    ['in lockstep', {}],
    ['with windows', { windowsize: 4 }],
    ['without options', { options: false }],
    ['with a file that goes round in memory', { ringBlocks: 4, windowsize: 2 }],
    ['with a small file', { size: 100 }],
  ])('at any of its steps, and its heir at any of its own, costs nothing: %s', async (_, change) => {
    const plan = { seed: 1, workers: 1, transfers: [{ ...TRANSFER, ...change }], losesUnread: false, loss: 0 };
    const { steps } = await playMortal({ ...plan, deaths: [] });
    const problems: string[] = [];
    for (let first = 1; first <= steps; first++) {
      for (const second of [1, 2, 3, 4, 5, 7, 11, Number.POSITIVE_INFINITY]) {
        // oxlint-disable-next-line no-await-in-loop -- worlds are played one after the other.
        const played = await playMortal({ ...plan, deaths: [first, second] });
        problems.push(...played.problems.map((problem) => `deaths at ${first} and ${second}: ${problem}`));
        if (played.deaths === 0) problems.push(`no death at step ${first}`);
      }
    }
    expect(problems).toEqual([]);
  });

  it(`costs nothing in ${SEEDS} worlds of several transfers, clients, losses and deaths`, async () => {
    const problems: string[] = [];
    const sum = { deaths: 0, resumed: 0 };
    for (let seed = 1; seed <= SEEDS; seed++) {
      // oxlint-disable-next-line no-await-in-loop -- worlds are played one after the other.
      const played = await playMortal(drawn(seed));
      problems.push(...played.problems.map((problem) => `seed ${seed}: ${problem}`));
      sum.deaths += played.deaths;
      sum.resumed += played.resumed;
    }
    expect(problems).toEqual([]);
    expect(sum.deaths).toBeGreaterThan(SEEDS);
    expect(sum.resumed).toBeGreaterThan(SEEDS);
  }, 600_000);
});
