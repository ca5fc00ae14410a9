/**
 * A storm's charts as data, and the same in words and in a table for readers who cannot see a drawing. Knows the report
 * and the shape of uPlot's data, no HTML and no colors.
 */
import { formatBytes, formatCount, formatMany, formatMs, formatRate, threeDigits } from '../../text/figures.ts';
import type { Chart } from '../chart.ts';
import type { Curve, Histogram, StormReport } from '../report.ts';

/** Maximum number of rows in the table under a curve. */
const MAX_ROWS = 25;

export function chartsOf(report: StormReport): Chart[] {
  const { first_reply_ms, finish_s } = report.histograms;
  return [
    completionChart(report),
    throughputChart(report),
    histogramChart('first-reply', 'Time to first reply', 'requests', first_reply_ms, 1),
    histogramChart('finish', 'Time to boot', 'nodes', finish_s, 1000),
  ];
}

/** @returns the ends of a curve's steps, preceded by the storm's start. */
function timesOf({ step_s, bytes }: Curve): number[] {
  return bytes.length === 0 ? [] : Array.from({ length: bytes.length + 1 }, (_, index) => round(index * step_s));
}

/** @returns indices of a curve's points that make a table of readable length; the last point is always among them. */
function sampled(points: number): number[] {
  const stride = Math.max(1, Math.ceil((points - 1) / MAX_ROWS));
  const indices: number[] = [];
  for (let index = points - 1; index >= 0; index -= stride) indices.unshift(index);
  return indices;
}

function round(value: number): number {
  return Number(value.toPrecision(6));
}

function completionChart({ curve, nodes, completed, failed }: StormReport): Chart {
  const times = timesOf(curve);
  const done = times.map((_, index) => (index === 0 ? 0 : curve.completed[index - 1]!));
  const lost = times.map((_, index) => (index === 0 ? 0 : curve.failed[index - 1]!));
  const half = times[done.findIndex((count) => count > 0 && count * 2 >= completed)];
  const middle = half === undefined ? '' : ` Half of the booted nodes had finished after ${formatMs(half * 1000)}.`;
  return {
    id: 'completion',
    title: 'Nodes booted and failed',
    summary: `${formatCount(completed)} of ${formatMany(nodes, 'node')} booted, ${formatCount(failed)} failed.${middle}`,
    kind: 'line',
    series: [
      { label: 'booted', tone: 'accent' },
      { label: 'failed', tone: 'bad' },
    ],
    data: [times, done, lost],
    range: [0, times.at(-1) ?? 0],
    edges: [],
    ticks: [],
    whole: true,
    readings: times.map(
      (time, index) => `${time} s: ${formatCount(done[index]!)} booted, ${formatCount(lost[index]!)} failed`,
    ),
    table: {
      caption: 'Nodes booted and failed, by time since the start',
      columns: ['time', 'booted', 'failed'],
      rows: sampled(times.length).map((index) => [
        `${times[index]} s`,
        formatCount(done[index]!),
        formatCount(lost[index]!),
      ]),
    },
  };
}

/** @returns a unit that suits the largest value. */
function rateUnit(most: number): { readonly unit: string; readonly bytes: number } {
  const [, unit] = formatBytes(most).split(' ') as [string, string];
  return { unit: `${unit}/s`, bytes: { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 }[unit] ?? 1 };
}

function throughputChart({ curve, bytes, duration_s }: StormReport): Chart {
  const times = timesOf(curve);
  // A step's rate stands at its end and at its beginning, so that it is drawn over the whole step.
  const rates = times.map((_, index) => curve.bytes[Math.max(0, index - 1)]! / curve.step_s);
  const most = Math.max(0, ...rates);
  const { unit, bytes: one } = rateUnit(most);
  const mean = duration_s > 0 ? `: ${formatRate(bytes / duration_s)} on average, ${formatRate(most)} at most` : '';
  return {
    id: 'throughput',
    title: `Throughput in ${unit}`,
    summary: `${formatBytes(bytes)} of payload in ${formatMs(duration_s * 1000)}${mean}.`,
    kind: 'steps',
    series: [{ label: 'payload received', tone: 'accent' }],
    data: [times, rates.map((rate) => round(rate / one))],
    range: [0, times.at(-1) ?? 0],
    edges: [],
    ticks: [],
    whole: false,
    readings: times.map((time, index) => `${time} s: ${formatRate(rates[index]!)}`),
    table: {
      caption: 'Payload received, by time since the start',
      columns: ['time', 'rate', 'received so far'],
      rows: sampled(times.length).map((index) => [
        `${times[index]} s`,
        formatRate(rates[index]!),
        formatBytes(curve.bytes.slice(0, index).reduce((sum, step) => sum + step, 0)),
      ]),
    },
  };
}

/** Writes `5 ms`, not `5.00 ms`: an edge is a round number. */
function formatEdge(ms: number): string {
  if (ms === 0) return '0';
  const [scale, unit] = ms < 1 ? [1000, 'µs'] : ms < 1000 ? [1, 'ms'] : [0.001, 's'];
  return `${round(ms * scale)} ${unit}`;
}

/**
 * Bars on a logarithmic axis: data and edges are logarithms, and the ticks are labeled with the original values.
 *
 * @param unitMs the histogram's unit in milliseconds.
 */
function histogramChart(
  id: string,
  title: string,
  things: string,
  { edges, counts }: Histogram,
  unitMs: number,
): Chart {
  // A bucket that begins at 0 would be infinitely wide on the logarithmic axis: it is drawn as wide as the next one.
  const least = edges[0] === 0 ? (edges[1]! * edges[1]!) / (edges[2] ?? edges[1]! * 2) : 0;
  const places = edges.map((edge) => round(Math.log10(Math.max(edge, least))));
  const names = edges.map((edge) => formatEdge(edge * unitMs));
  const sum = counts.reduce((total, count) => total + count, 0);
  const fullest = counts.indexOf(Math.max(...counts));
  const spans = counts.map((_, index) => `${names[index]} to ${names[index + 1]}`);
  return {
    id,
    title: `${title}, ${things}`,
    summary:
      sum === 0
        ? 'Nothing was measured.'
        : `${formatCount(sum)} ${things} from ${names[0]} to ${names.at(-1)}; the fullest bucket, ${spans[fullest]}, holds ${formatCount(counts[fullest]!)} of them.`,
    kind: 'bars',
    series: [{ label: things, tone: 'accent' }],
    data: [counts.map((_, index) => round((places[index]! + places[index + 1]!) / 2)), [...counts]],
    range: [places[0] ?? 0, places.at(-1) ?? 0],
    edges: places,
    ticks: places.map((at, index) => ({ at, label: names[index]! })),
    whole: true,
    readings: counts.map((count, index) => `${spans[index]}: ${formatCount(count)} ${things}`),
    table: {
      caption: `${title} in buckets, without empty ones`,
      columns: ['from', 'to', things, 'share'],
      rows: counts.flatMap((count, index) =>
        count === 0
          ? []
          : [[names[index]!, names[index + 1]!, formatCount(count), `${threeDigits((count / sum) * 100)} %`]],
      ),
    },
  };
}
