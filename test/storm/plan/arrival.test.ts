import { describe, expect, it } from 'vitest';
import { dueTimes, parseArrival } from '../../../src/storm/plan/arrival.ts';
import { InputMistake } from '../../../src/storm/input-mistake.ts';
import { Random } from '../../../src/storm/plan/random.ts';

const SEED = 20_261;

function due(text: string, nodes: number, seed = SEED): number[] {
  return [...dueTimes(parseArrival(text), nodes, new Random(seed))];
}

describe('arrival', () => {
  it('as a burst starts all nodes at once', () => {
    expect(due('burst', 1000)).toEqual(Array.from({ length: 1000 }, () => 0));
  });

  it('as a burst with jitter starts all nodes within it, at different moments', () => {
    const times = due('burst:50ms', 1000);
    expect(times[0]).toBeLessThan(2);
    expect(times.at(-1)).toBeLessThan(50);
    expect(times.at(-1)).toBeGreaterThan(48);
    expect(new Set(times).size).toBeGreaterThan(990);
  });

  it('as a ramp is spread evenly', () => {
    expect(due('ramp:10s', 5)).toEqual([0, 2000, 4000, 6000, 8000]);
    expect(due('ramp:0', 3)).toEqual([0, 0, 0]);
  });

  it('in waves starts rack after rack', () => {
    expect(due('waves:3@5s', 7)).toEqual([0, 0, 0, 5000, 5000, 5000, 10_000]);
    expect(due('waves:40@250ms', 40)).toEqual(Array.from({ length: 40 }, () => 0));
  });

  it('by Poisson has the requested rate and exponentially distributed gaps', () => {
    const times = due('poisson:100/s', 20_000);
    const gaps = times.map((at, node) => at - (times[node - 1] ?? 0));
    const mean = times.at(-1)! / times.length;
    expect(mean).toBeGreaterThan(9.7);
    expect(mean).toBeLessThan(10.3);
    // For exponential gaps, a share of 1 - 1/e is shorter than the mean, and the standard deviation equals the mean.
    expect(gaps.filter((gap) => gap < mean).length / gaps.length).toBeCloseTo(1 - Math.exp(-1), 1);
    const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
    expect(deviation / mean).toBeCloseTo(1, 1);
    expect(due('poisson:0.5/s', 1)[0]).toBeGreaterThan(0);
  });

  it.each(['burst:50ms', 'poisson:100/s'])('is the same for the same seed, and differs for another: %s', (law) => {
    expect(due(law, 50)).toEqual(due(law, 50));
    expect(due(law, 50)).not.toEqual(due(law, 50, SEED + 1));
  });

  it.each(['burst', 'burst:50ms', 'ramp:10s', 'poisson:3.5/s', 'waves:7@1s'])('ascends: %s', (law) => {
    const times = due(law, 500);
    expect(times).toHaveLength(500);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(due(law, 0)).toEqual([]);
  });

  it.each([
    '',
    'all',
    'burst:',
    'burst:50',
    'ramp',
    'ramp:fast',
    'poisson:100',
    'poisson:0/s',
    'poisson:-1/s',
    'waves:8x5s',
    'waves:0@5s',
    'waves:40@0',
    'waves:40@',
    'ramp:1s:2s',
    'burst:2000m',
  ])('that is none of these is rejected in one line: "%s"', (text) => {
    let thrown: unknown;
    try {
      parseArrival(text);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(InputMistake);
    expect((thrown as Error).message).toBe(
      `--arrival: expected burst, burst:50ms, ramp:10s, poisson:100/s or waves:40@5s (40 nodes every 5 s), got "${text}"`,
    );
  });
});

describe('seeded chance', () => {
  it('gives a fork the same numbers, however many were drawn elsewhere', () => {
    const drawn = new Random(SEED);
    for (let draw = 0; draw < 10; draw++) drawn.next();
    const numbers = (random: Random): number[] => Array.from({ length: 8 }, () => random.word());
    expect(numbers(drawn.fork('node').fork(7))).toEqual(numbers(new Random(SEED).fork('node').fork(7)));
    expect(numbers(new Random(drawn.fork(3).seed))).toEqual(numbers(drawn.fork(3)));
  });

  it('gives each of many forks different numbers', () => {
    const parent = new Random(SEED);
    const first = new Set<number>();
    const seeds = new Set<number>();
    for (let label = 0; label < 20_000; label++) {
      seeds.add(parent.fork(label).seed);
      first.add(parent.fork(label).word());
    }
    expect(seeds.size).toBe(20_000);
    // Among 20,000 draws of 32 bits, less than one equal pair is expected.
    expect(first.size).toBeGreaterThan(19_995);
    expect(parent.fork('1').seed).not.toBe(parent.fork(1).seed);
  });

  it('is even over its range, and over the first draws of neighboring seeds', () => {
    for (const draw of [
      (n: number) => new Random(n).between(0, 9),
      (n: number) => new Random(1).fork(n).between(0, 9),
    ]) {
      const counts = Array.from({ length: 10 }, () => 0);
      for (let n = 0; n < 10_000; n++) counts[draw(n)]!++;
      expect(Math.min(...counts)).toBeGreaterThan(880);
      expect(Math.max(...counts)).toBeLessThan(1120);
    }
  });

  it.each([-1, 0.5, Number.NaN, 2 ** 53])('rejects %d as a seed', (seed) => {
    expect(() => new Random(seed)).toThrow(RangeError);
  });
});
