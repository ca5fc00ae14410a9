/** Statistics that summarize the runs of a benchmark. */

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * @returns the interval of the population's median at 95 % confidence or better, for any distribution: two of the
 * numbers, chosen by rank. Fewer than six numbers give no bounds.
 */
export function medianInterval(numbers: readonly number[]): readonly [number, number] {
  const sorted = numbers.toSorted((a, b) => a - b);
  const count = sorted.length;
  // Chance that at most `below` of the numbers lie below the median: a binomial distribution of one half.
  let term = 0.5 ** count;
  let chance = term;
  let below = 0;
  while (chance <= 0.025) {
    below++;
    term *= (count - below + 1) / below;
    chance += term;
  }
  return below === 0
    ? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
    : [sorted[below - 1]!, sorted[count - below]!];
}

/** Formats `4.50..5.60`. */
export function range(numbers: readonly number[]): string {
  return `${Math.min(...numbers).toFixed(2)}..${Math.max(...numbers).toFixed(2)}`;
}
