/**
 * Histograms as a handful of array cells with fixed bounds. The workers' are in shared memory, with one writer and any
 * number of readers that may be a few packets behind. Times are milliseconds, as in sessions.
 */

/** Powers of ten in steps of 1, 2, 5. */
const WHOLE_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] as const;
const FRACTIONS_MS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100] as const;

/**
 * Upper bounds of the buckets, ms; a last bucket holds longer times.
 *
 * - `firstReply`: from the request's arrival in the main thread to the first reply's leaving the worker.
 * - `roundTrip`: from the last block of a window to its ACK, for windows that were sent once (Karn's rule).
 * - `turnaround`: from reading ACKs to handing the kernel the DATA they release.
 *
 * The first two are differences of whole milliseconds: 0 stands for less than one.
 */
export const LATENCY_BOUNDS = {
  firstReply: WHOLE_MS,
  roundTrip: WHOLE_MS,
  turnaround: FRACTIONS_MS,
} as const;
export type Latency = keyof typeof LATENCY_BOUNDS;
export const LATENCIES = Object.keys(LATENCY_BOUNDS) as readonly Latency[];

/** Cells of a worker's histogram: all have the same number of bounds, then a bucket for longer times, and the sum. */
export const LATENCY_CELLS = WHOLE_MS.length + 2;

export interface LatencyCounts {
  readonly boundsMs: readonly number[];
  /** Counts by bucket, not cumulative: one more than bounds. */
  readonly counts: readonly number[];
  readonly sumMs: number;
}

export class LatencyHistogram {
  readonly #cells: Float64Array;
  readonly #bounds: readonly number[];
  readonly #sum: number;

  /** @param cells two more than bounds, initially 0. Default: a new array. */
  constructor(boundsMs: readonly number[], cells: Float64Array = new Float64Array(boundsMs.length + 2)) {
    this.#cells = cells;
    this.#bounds = boundsMs;
    this.#sum = boundsMs.length + 1;
  }

  /** Called for packets: costs no more than a few compares and two stores. @param times weight of the observation. */
  observe(ms: number, times: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && ms >= bounds[bucket]!) bucket++;
    this.#cells[bucket]! += times;
    this.#cells[this.#sum]! += ms * times;
  }

  counts(): LatencyCounts {
    const cells = [...this.#cells];
    return { boundsMs: this.#bounds, counts: cells.slice(0, this.#sum), sumMs: cells[this.#sum]! };
  }
}

/** Adds the LATENCY_CELLS cells from `at` on to a sum. */
export function addLatency(sum: Float64Array, cells: Float64Array, at: number): void {
  for (let cell = 0; cell < LATENCY_CELLS; cell++) sum[cell]! += cells[at + cell]!;
}
