/**
 * The kinds of metrics, on top of Prometheus' client. All work alike: a function is asked for the figures when a scrape
 * comes. Knows kinds, names and labels, but no meanings.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { LatencyCounts } from '../engine/latencies.ts';

/** Values of the labels, in the order of their names, and then the figure. */
export type Sample = readonly [...labels: (string | number)[], value: number];

/** A latency in seconds, for one set of labels. */
export type LatencySample = readonly [...labels: (string | number)[], counts: LatencyCounts];

/**
 * Caches a count for the duration of one scrape, which reads all figures in one go: several metrics share one count.
 */
export function onceAScrape<T>(read: () => T): () => T {
  let known: { readonly value: T } | undefined;
  return () => {
    if (known === undefined) {
      known = { value: read() };
      queueMicrotask(() => {
        known = undefined;
      });
    }
    return known.value;
  };
}

/** Makes one sample for each name of a closed set; a missing figure is 0, so that no panel is empty. */
export function closed<T extends string>(
  names: readonly T[],
  figures: Readonly<Record<T, number>> | undefined,
): Sample[] {
  return names.map((name) => [name, figures?.[name] ?? 0]);
}

/** Makes a sample for each protocol. @param both the figure of both together. @param http HTTP's share of it. */
export function byProtocol(both = 0, http = 0): Sample[] {
  return [
    ['tftp', both - http],
    ['http', http],
  ];
}

function labelled(names: readonly string[], sample: readonly unknown[]): Record<string, string | number> {
  return Object.fromEntries(names.map((name, index) => [name, sample[index] as string | number]));
}

/** Replaces the figures of a metric by those of the samples. */
function refill(
  metric: { reset(): void },
  names: readonly string[],
  samples: Iterable<Sample>,
  put: (labels: Record<string, string | number>, figure: number) => void,
): void {
  metric.reset();
  for (const sample of samples) put(labelled(names, sample), sample.at(-1) as number);
}

/** Declares metrics in a registry. */
export class Declarations {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  gauge(name: string, help: string, read: () => number | undefined): void {
    this.gauges(name, help, [], () => [[read() ?? 0]]);
  }

  gauges(name: string, help: string, labelNames: readonly string[], read: () => Iterable<Sample>): void {
    this.#registry.registerMetric(
      new Gauge({
        name,
        help,
        labelNames,
        registers: [],
        collect() {
          refill(this, labelNames, read(), (labels, value) => this.set(labels, value));
        },
      }),
    );
  }

  counter(name: string, help: string, read: () => number | undefined): void {
    this.counters(name, help, [], () => [[read() ?? 0]]);
  }

  counters(name: string, help: string, labelNames: readonly string[], read: () => Iterable<Sample>): void {
    this.#registry.registerMetric(
      new Counter({
        name,
        help,
        labelNames,
        registers: [],
        collect() {
          refill(this, labelNames, read(), (labels, value) => this.inc(labels, value));
        },
      }),
    );
  }

  latency(name: string, help: string, read: () => LatencyCounts): void {
    this.latencies(name, help, [], () => [[read()]]);
  }

  latencies(name: string, help: string, labelNames: readonly string[], read: () => Iterable<LatencySample>): void {
    this.#registry.registerMetric(new CountedHistogram({ name, help, labelNames, registers: [] }, read));
  }
}

/** A histogram whose values are counted elsewhere. */
class CountedHistogram extends Histogram {
  readonly #name: string;
  readonly #help: string;
  readonly #labelNames: readonly string[];
  readonly #read: () => Iterable<LatencySample>;

  constructor(
    config: {
      readonly name: string;
      readonly help: string;
      readonly labelNames: readonly string[];
      registers: Registry[];
    },
    read: () => Iterable<LatencySample>,
  ) {
    super({ ...config, labelNames: [...config.labelNames] });
    this.#name = config.name;
    this.#help = config.help;
    this.#labelNames = config.labelNames;
    this.#read = read;
  }

  override async get(): ReturnType<Histogram['get']> {
    const values = [...this.#read()].flatMap((sample) => this.#values(sample));
    // prom-client has the type as a string, contrary to its typings.
    const type = 'histogram' as never;
    return { name: this.#name, help: this.#help, type, values, aggregator: 'sum', collect: () => {} };
  }

  /** prom-client calls this when it writes Prometheus' format. */
  getForPromString(): ReturnType<Histogram['get']> {
    return this.get();
  }

  #values(sample: LatencySample): { metricName: string; labels: Record<string, string | number>; value: number }[] {
    const labels = labelled(this.#labelNames, sample);
    const { boundsMs, counts, sumMs } = sample.at(-1) as LatencyCounts;
    let total = 0;
    const buckets = counts.map((count, index) => {
      total += count;
      const bound = boundsMs[index];
      const le = bound === undefined ? '+Inf' : bound / 1000;
      return { metricName: `${this.#name}_bucket`, labels: { le, ...labels }, value: total };
    });
    return [
      ...buckets,
      { metricName: `${this.#name}_sum`, labels, value: sumMs / 1000 },
      { metricName: `${this.#name}_count`, labels, value: total },
    ];
  }
}
