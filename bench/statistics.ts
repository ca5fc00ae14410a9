/** What runs of a benchmark are summed up by. */

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * Where the median of what the numbers are drawn from lies, at 95 % confidence or better, whatever they are distributed
 * like: between two of them, by their order. Fewer than six can't tell.
 */
export function medianInterval(numbers: readonly number[]): readonly [number, number] {
  const sorted = numbers.toSorted((a, b) => a - b);
  const count = sorted.length;
  // The chance that at most `below` of them lie below the median: a binomial of one half.
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

/** `4.50..5.60`. */
export function range(numbers: readonly number[]): string {
  return `${Math.min(...numbers).toFixed(2)}..${Math.max(...numbers).toFixed(2)}`;
}
