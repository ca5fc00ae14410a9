/** The few shapes of queries in the boards. Knows PromQL; knows no panel and no metric. */

/** Matchers for the selected values of a board's variables; every selector has them. */
const CHOSEN = 'job=~"$job", instance=~"$instance"';

/** @param labels further matchers, such as `outcome="timeout"`. */
export function of(metric: string, labels = ''): string {
  return labels === '' ? `${metric}{${CHOSEN}}` : `${metric}{${CHOSEN}, ${labels}}`;
}

function by(labels: string): string {
  return labels === '' ? 'sum' : `sum by (${labels})`;
}

/** Sums a gauge over the selected servers. @param labels labels by which the sum is grouped. */
export function sum(metric: string, labels = '', matchers = ''): string {
  return `${by(labels)} (${of(metric, matchers)})`;
}

/** Rate of a counter per second, summed over the selected servers. */
export function rate(counter: string, labels = '', matchers = ''): string {
  return `${by(labels)} (rate(${of(counter, matchers)}[$__rate_interval]))`;
}

/** Growth of a counter from one point of a line to the next: for events that occur a few times a day. */
export function counted(counter: string, labels = ''): string {
  return `${by(labels)} (increase(${of(counter)}[$__rate_interval]))`;
}

/** Growth of a counter in the time range of the board. */
export function grown(counter: string, labels = '', matchers = ''): string {
  return `${by(labels)} (increase(${of(counter, matchers)}[$__range]))`;
}

/**
 * A quantile of a histogram over the selected servers. @param labels labels by which the result is grouped.
 * @param matchers further matchers.
 */
export function quantile(q: number, histogram: string, labels = '', matchers = ''): string {
  const apart = labels === '' ? 'le' : `le, ${labels}`;
  return `histogram_quantile(${q}, ${rate(`${histogram}_bucket`, apart, matchers)})`;
}

/** The buckets of a histogram, for a heatmap. */
export function buckets(histogram: string): string {
  return `sum by (le) (increase(${of(`${histogram}_bucket`)}[$__rate_interval]))`;
}

/** Returns 0 instead of no series, for instance where there is no store, so that no panel is empty. */
export function orNone(expr: string): string {
  return `${expr} or vector(0)`;
}

/** A share of a total that may be zero: the result is then 0, not a gap. */
export function share(part: string, whole: string): string {
  return `(${part}) / (${whole} > 0) or 0 * (${whole})`;
}
