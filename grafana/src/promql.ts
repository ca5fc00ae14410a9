/** The few shapes of query that all boards are made of. Knows PromQL; knows no panel and no metric. */

/** What the variables of a board have chosen; every selector carries it. */
const CHOSEN = 'job=~"$job", instance=~"$instance"';

/** @param labels more matchers, as `outcome="timeout"`. */
export function of(metric: string, labels = ''): string {
  return labels === '' ? `${metric}{${CHOSEN}}` : `${metric}{${CHOSEN}, ${labels}}`;
}

function by(labels: string): string {
  return labels === '' ? 'sum' : `sum by (${labels})`;
}

/** A gauge, added up over the servers chosen. @param labels those that stay apart. */
export function sum(metric: string, labels = '', matchers = ''): string {
  return `${by(labels)} (${of(metric, matchers)})`;
}

/** A counter per second, added up over the servers chosen. */
export function rate(counter: string, labels = '', matchers = ''): string {
  return `${by(labels)} (rate(${of(counter, matchers)}[$__rate_interval]))`;
}

/** What a counter has grown by from one point of a line to the next: for what happens a few times a day. */
export function counted(counter: string, labels = ''): string {
  return `${by(labels)} (increase(${of(counter)}[$__rate_interval]))`;
}

/** What a counter has grown by in the time that the board shows. */
export function grown(counter: string, labels = '', matchers = ''): string {
  return `${by(labels)} (increase(${of(counter, matchers)}[$__range]))`;
}

/** A quantile of a histogram over all servers chosen. @param labels those that stay apart. */
export function quantile(q: number, histogram: string, labels = ''): string {
  const apart = labels === '' ? 'le' : `le, ${labels}`;
  return `histogram_quantile(${q}, ${rate(`${histogram}_bucket`, apart)})`;
}

/** The buckets of a histogram, for a heatmap. */
export function buckets(histogram: string): string {
  return `sum by (le) (increase(${of(`${histogram}_bucket`)}[$__rate_interval]))`;
}

/** Where there may be no series at all, as without a store: 0, and not an empty panel. */
export function orNone(expr: string): string {
  return `${expr} or vector(0)`;
}

/** A share of something that may stand still: nothing of nothing is 0, not a gap. */
export function share(part: string, whole: string): string {
  return `(${part}) / (${whole} > 0) or 0 * (${whole})`;
}
