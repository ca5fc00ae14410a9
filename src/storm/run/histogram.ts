/**
 * Many values, kept as counts: filled by the threads of a storm, added up by the main thread. Knows neither what is
 * measured nor its unit.
 *
 * RecordableHistogram of node:perf_hooks does not fit: it crosses a thread, but its clone shares counts with the
 * original, its `max` is rounded up to a bucket, it takes whole numbers only, and it does not show its counts for a
 * chart.
 */
import type { Histogram, Percentiles } from '../report.ts';

/** A bucket is known by the leading bits of a double after its sign: the exponent, then seven bits of the fraction. */
const FRACTION_BITS = 7;
const SHIFT = 20 - FRACTION_BITS;
/** Smaller values count as 0: about a nanosecond, where values are milliseconds. */
const LEAST = 2 ** -20;
/** Larger values fall into the last bucket: three days, where values are milliseconds. The maximum stays exact. */
const MOST = 2 ** 28;

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);
/** Index of the word that holds sign and exponent. */
const HIGH = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0;

function key(value: number): number {
  double[0] = value;
  return words[HIGH]! >>> SHIFT;
}

/** @returns the least value of the bucket with that key. */
function leastOf(bucketKey: number): number {
  words[HIGH] = (bucketKey << SHIFT) >>> 0;
  words[1 - HIGH] = 0;
  return double[0]!;
}

const FIRST_KEY = key(LEAST);
/** Bucket 0 is for values below LEAST; bucket i + 1 has the key FIRST_KEY + i. */
const BUCKETS = key(MOST) - FIRST_KEY + 2;

function bucketOf(value: number): number {
  return value < LEAST ? 0 : Math.min(BUCKETS - 1, key(value) - FIRST_KEY + 1);
}

/** @returns the value that stands for all values of a bucket: at most 0.4 % away from any of them. */
function middleOf(bucket: number): number {
  if (bucket === 0) return 0;
  const bucketKey = FIRST_KEY + bucket - 1;
  return (leastOf(bucketKey) + leastOf(bucketKey + 1)) / 2;
}

/** A recorder's counts in transit between threads. Structured clone copies it; `counts.buffer` may be transferred. */
export interface RecordedValues {
  /** The bucket of counts[0]. */
  readonly first: number;
  readonly counts: Float64Array<ArrayBuffer>;
  /** Infinity and -Infinity when there are no values. */
  readonly min: number;
  readonly max: number;
}

/** Counts of values from 0 up, in buckets 0.8 % wide. Takes 49 KB, however many values are recorded. */
export class ValueRecorder {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;

  /** Number of values recorded. */
  get count(): number {
    return this.#count;
  }

  /** @param value 0 or more. @throws RangeError otherwise. */
  record(value: number): void {
    if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) throw new RangeError(`Expected 0 or more, got ${value}`);
    this.#counts[bucketOf(value)]! += 1;
    this.#count += 1;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
  }

  /** Adds the values of `other`, as if they had all been recorded here. */
  merge(other: ValueRecorder): void {
    this.#add(0, other.#counts, other.#min, other.#max);
  }

  /** @returns null when nothing was recorded. Nearest rank, within 1 %; `max` is exact. */
  percentiles(): Percentiles | null {
    if (this.#count === 0) return null;
    return { p50: this.#percentile(50), p90: this.#percentile(90), p99: this.#percentile(99), max: this.#max };
  }

  /**
   * Makes a histogram for a chart: equal steps on a logarithmic scale where the values spread, equal steps on a linear
   * one where they lie close together; edges are always round numbers. A value within 0.8 % of an edge may be counted
   * on the other side of it. Without values there are no buckets.
   *
   * @param buckets maximum number of buckets, 2 or more.
   */
  toHistogram(buckets: number): Histogram {
    if (this.#count === 0) return { edges: [], counts: [] };
    const zeros = this.#counts[0]! > 0 ? 1 : 0;
    const edges = this.#count === this.#counts[0] ? [LEAST] : edgesAround(this.#least(), this.#max, buckets - zeros);
    if (zeros === 1 && edges[0]! > 0) edges.unshift(0);
    const counts = Array.from({ length: edges.length - 1 }, () => 0);
    let at = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const found = this.#counts[bucket]!;
      if (found === 0) continue;
      const value = this.#within(middleOf(bucket));
      while (at < counts.length - 1 && value >= edges[at + 1]!) at++;
      counts[at]! += found;
    }
    // The least value may lie a rounding error below an edge, and its bucket's middle above it.
    if (counts.length > 1 && counts[0] === 0) {
      counts.shift();
      edges.shift();
    }
    return { edges, counts };
  }

  /** @returns a copy of the counts so far, without the empty buckets at both ends. */
  toTransferable(): RecordedValues {
    const first = this.#count === 0 ? 0 : bucketOf(this.#min);
    const end = this.#count === 0 ? 0 : bucketOf(this.#max) + 1;
    return { first, counts: this.#counts.slice(first, end), min: this.#min, max: this.#max };
  }

  static fromTransferable({ first, counts, min, max }: RecordedValues): ValueRecorder {
    const recorder = new ValueRecorder();
    recorder.#add(first, counts, min, max);
    return recorder;
  }

  #add(first: number, counts: Float64Array, min: number, max: number): void {
    for (let at = 0; at < counts.length; at++) {
      const found = counts[at]!;
      this.#counts[first + at]! += found;
      this.#count += found;
    }
    this.#min = Math.min(this.#min, min);
    this.#max = Math.max(this.#max, max);
  }

  /** @returns the least value that does not count as 0. */
  #least(): number {
    if (this.#min >= LEAST) return this.#min;
    return this.#within(leastOf(FIRST_KEY - 1 + this.#counts.findIndex((found, bucket) => bucket > 0 && found > 0)));
  }

  #within(value: number): number {
    return Math.min(this.#max, Math.max(this.#min, value));
  }

  #percentile(share: number): number {
    const rank = Math.ceil((this.#count * share) / 100);
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen < rank) continue;
      // The last bucket has no upper end, and so no middle.
      if (bucket === BUCKETS - 1) return this.#max;
      return this.#within(Number(middleOf(bucket).toPrecision(4)));
    }
    return this.#max;
  }
}

/** Steps within a decade, from fine to coarse. */
const DECADES: readonly (readonly number[])[] = [
  [1, 1.1, 1.25, 1.4, 1.6, 1.8, 2, 2.25, 2.5, 2.8, 3.2, 3.6, 4, 4.5, 5, 5.6, 6.3, 7, 8, 9],
  [1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.3, 8],
  [1, 1.6, 2.5, 4, 6.3],
  [1, 2, 5],
  [1, 3],
  [1],
];
/** Below this ratio of largest to smallest value, linear steps show more. */
const NARROW = 10;
/** Steps finer than this share of the values would show the recorder's buckets instead of the values. */
const FINEST = 0.02;

/** @returns edges such that least lies in the first bucket and most in the last one. */
function edgesAround(least: number, most: number, buckets: number): number[] {
  if (most / least < NARROW) return linearEdges(least, most, buckets);
  for (const steps of DECADES) {
    const edges = logarithmicEdges(least, most, steps);
    if (edges.length - 1 <= buckets) return edges;
  }
  const first = Math.floor(Math.log10(least));
  const stride = Math.ceil((Math.floor(Math.log10(most)) + 1 - first) / buckets);
  return Array.from({ length: buckets + 1 }, (_, index) => tidy(10 ** (first + index * stride)));
}

function logarithmicEdges(least: number, most: number, steps: readonly number[]): number[] {
  const edges: number[] = [];
  const last = Math.ceil(Math.log10(most)) + 1;
  for (let decade = Math.floor(Math.log10(least)) - 1; decade <= last; decade++) {
    for (const step of steps) {
      const edge = tidy(step * 10 ** decade);
      if (edge <= least) edges.splice(0, edges.length, edge);
      else {
        edges.push(edge);
        if (edge > most) return edges;
      }
    }
  }
  return edges;
}

function linearEdges(least: number, most: number, buckets: number): number[] {
  const wanted = Math.max((most - least) / buckets, most * FINEST);
  let decade = Math.floor(Math.log10(wanted));
  for (;;) {
    for (const step of [1, 2, 2.5, 5]) {
      const width = step * 10 ** decade;
      if (width < wanted) continue;
      const first = Math.floor(least / width);
      const steps = Math.floor(most / width) - first + 1;
      if (steps <= buckets) return Array.from({ length: steps + 1 }, (_, index) => tidy((first + index) * width));
    }
    decade++;
  }
}

/** Removes the noise of binary fractions. */
function tidy(value: number): number {
  return Number(value.toPrecision(12));
}
