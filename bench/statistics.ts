/** What runs of a benchmark are summed up by. */

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** `4.50..5.60`. */
export function range(numbers: readonly number[]): string {
  return `${Math.min(...numbers).toFixed(2)}..${Math.max(...numbers).toFixed(2)}`;
}
