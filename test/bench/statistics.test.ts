import { expect, it } from 'vitest';
import { median, medianInterval } from '../../bench/statistics.ts';
import { Random } from '../support/random.ts';

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

it.each([
  // Ranks from published tables of the sign test.
  [5, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  [6, 1, 6],
  [8, 1, 8],
  [9, 2, 8],
  [11, 2, 10],
  [12, 3, 10],
  [20, 6, 15],
])('the interval of the median of %i numbers is between those of rank %f and %f', (count, low, high) => {
  expect(medianInterval(upTo(count).toReversed())).toEqual([low, high]);
});

it('holds the median nineteen times of twenty or more often', () => {
  const random = new Random(5);
  let held = 0;
  for (let turn = 0; turn < 2000; turn++) {
    // The median of these values is 500.
    const [low, high] = medianInterval(Array.from({ length: 11 }, () => random.between(0, 1000)));
    if (low <= 500 && high >= 500) held++;
  }
  expect(held / 2000).toBeGreaterThan(0.95);
  expect(median([3, 1, 2])).toBe(2);
});
