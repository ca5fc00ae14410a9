/** The shape of a benchmark, and the way to measure one. Knows neither what is measured nor how results are shown. */
import { Bench } from 'tinybench';

/** A benchmark that is ready to be measured. */
export interface Prepared {
  /**
   * Does the work `times` times.
   *
   * @returns number of pieces of work done: the measurement fails unless it is `times` × `pieces`.
   */
  run(times: number): number | Promise<number>;
  close?(): Promise<void>;
}

export interface Benchmark {
  readonly name: string;
  /** Number of runs timed together: enough that reading the clock does not count (some 100 µs). */
  readonly batch: number;
  /** Pieces of work in one run: proof that the benchmark did what its name says. */
  readonly pieces: number;
  prepare(): Prepared | Promise<Prepared>;
}

/** Nanoseconds per run. Each sample is the mean over one batch, so the spread is that between batches. */
export interface Measurement {
  readonly name: string;
  readonly p25Ns: number;
  readonly medianNs: number;
  readonly p75Ns: number;
  /** Runs per second at the median. */
  readonly opsPerSecond: number;
  readonly samples: number;
  readonly batch: number;
}

/** Runs one batch and checks its work. @throws Error when the work was not done. */
export async function runBatch({ name, pieces }: Benchmark, prepared: Prepared, times: number): Promise<void> {
  const came = await prepared.run(times);
  if (came !== times * pieces) throw new Error(`${name}: expected ${times * pieces} pieces of work, got ${came}`);
}

function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)]!;
  return below + (sorted[Math.ceil(at)]! - below) * (at - Math.floor(at));
}

/**
 * Measures one benchmark by itself, after a warm-up.
 *
 * @param timeMs time to collect samples, in milliseconds.
 * @throws Error when a batch did not do its work.
 */
export async function measure(benchmark: Benchmark, timeMs: number): Promise<Measurement> {
  const { name, batch } = benchmark;
  const prepared = await benchmark.prepare();
  try {
    await runBatch(benchmark, prepared, batch);
    const bench = new Bench({ time: timeMs, warmupTime: timeMs / 2, retainSamples: true, throws: true });
    // A synchronous run is not awaited: a turn of the microtask queue would be measured too.
    bench.add(name, () => {
      const start = process.hrtime.bigint();
      const came = prepared.run(batch);
      const sample = (): { overriddenDuration: number; overriddenIterationCost: number } => {
        const ms = Number(process.hrtime.bigint() - start) / 1e6;
        return { overriddenDuration: ms / batch, overriddenIterationCost: ms };
      };
      return typeof came === 'number' ? sample() : came.then(sample);
    });
    await bench.run();
    const result = bench.tasks[0]!.result;
    if (result.state !== 'completed') throw new Error(`${name}: expected to complete, got ${result.state}`);
    const samples = result.latency.samples!.map((ms) => ms * 1e6);
    const medianNs = quantile(samples, 0.5);
    return {
      name,
      p25Ns: quantile(samples, 0.25),
      medianNs,
      p75Ns: quantile(samples, 0.75),
      opsPerSecond: 1e9 / medianNs,
      samples: samples.length,
      batch,
    };
  } finally {
    await prepared.close?.();
  }
}
