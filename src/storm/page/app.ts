/**
 * The script of a storm's report, in a browser: draws each chart into its element, redraws it for another width,
 * another theme or paper, and saves the report. Knows the page's elements and uPlot. The page embeds this file as it
 * was compiled, as one module: it can import types, and nothing else.
 */
import type { Chart, Tick } from '../chart.ts';

declare const uPlot: typeof import('uplot');
type Plot = import('uplot');
type Axis = import('uplot').Axis;
type Options = import('uplot').Options;
type PathBuilder = import('uplot').Series.PathBuilder;

/** Pixels that a label on the x axis needs. */
const LABEL_PIXELS = 62;

/** @returns the data in the script element with that id. */
function read(id: string): unknown {
  return JSON.parse(document.getElementById(id)!.textContent);
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function bars(edges: readonly number[]): PathBuilder {
  return (plot, series, from, to) => {
    const fill = new Path2D();
    const floor = plot.valToPos(0, 'y', true);
    for (let index = from; index <= to; index++) {
      const count = plot.data[series]![index]!;
      if (count === 0) continue;
      const left = Math.round(plot.valToPos(edges[index]!, 'x', true));
      const right = Math.round(plot.valToPos(edges[index + 1]!, 'x', true));
      // A bar that is not zero must show, however low.
      const top = Math.min(plot.valToPos(count, 'y', true), floor - devicePixelRatio);
      fill.rect(left, top, Math.max(1, right - left - devicePixelRatio), floor - top);
    }
    return { fill, stroke: null };
  };
}

function pathsOf({ kind, edges }: Chart): PathBuilder {
  if (kind === 'bars') return bars(edges);
  return kind === 'steps' ? uPlot.paths.stepped!({ align: -1 }) : uPlot.paths.linear!();
}

/** @returns the labels that have room, round ones first: the more digits a number has, the less its label says. */
function fitting(ticks: readonly Tick[], width: number): Tick[] {
  const [first, last] = [ticks[0]!.at, ticks.at(-1)!.at];
  const place = (tick: Tick): number => ((tick.at - first) / (last - first)) * width;
  const digits = (tick: Tick): string => tick.label.replace(/[^1-9]/g, '');
  const weight = (tick: Tick): number =>
    digits(tick) === '1' ? 0 : digits(tick).length + (/^[25]$/.test(digits(tick)) ? 0 : 0.5);
  const kept: Tick[] = [];
  for (const tick of ticks.toSorted((a, b) => weight(a) - weight(b))) {
    if (kept.every((other) => Math.abs(place(other) - place(tick)) >= LABEL_PIXELS)) kept.push(tick);
  }
  return kept.toSorted((a, b) => a.at - b.at);
}

/** @returns 1, 2, 5, 10 and so on: steps of an axis that counts whole things. */
function wholeSteps(): number[] {
  return [...Array(10).keys()].flatMap((exponent) => [1, 2, 5].map((digit) => digit * 10 ** exponent));
}

function xAxis({ ticks }: Chart): Axis {
  if (ticks.length === 0) return { space: 60, values: (_, splits) => splits.map((at) => `${at} s`) };
  return {
    splits: (plot) => fitting(ticks, plot.bbox.width / devicePixelRatio).map(({ at }) => at),
    values: (_, splits) => splits.map((at) => ticks.find((tick) => tick.at === at)!.label),
    grid: { show: false },
  };
}

function seriesOf(chart: Chart): Options['series'] {
  const isBars = chart.kind === 'bars';
  const paths = pathsOf(chart);
  const series = chart.series.map(({ label, tone }) => ({
    label,
    stroke: () => colour(tone),
    width: isBars ? 0 : 2,
    ...(tone === 'bad' ? { dash: [6, 4] } : { fill: () => colour(isBars ? tone : `${tone}-soft`) }),
    points: { show: false },
    paths,
  }));
  return [{}, ...series];
}

/** @param readout element that shows the values at the cursor. */
function optionsOf(chart: Chart, readout: Element): Omit<Options, 'width' | 'height'> {
  const axis: Axis = {
    stroke: () => colour('muted'),
    grid: { stroke: () => colour('line'), width: 1 },
    ticks: { stroke: () => colour('line'), width: 1, size: 5 },
    font: '12px system-ui, sans-serif',
  };
  const [first, last] = chart.range;
  const least = chart.whole ? 1 : 0;
  return {
    padding: [10, 28, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: {
      x: { time: false, range: () => [first, last] },
      y: { range: (_, __, high) => [0, Math.max(least, (high || 1) * 1.06)] },
    },
    axes: [
      { ...axis, ...xAxis(chart) },
      { ...axis, size: 52, ...(chart.whole ? { incrs: wholeSteps() } : {}) },
    ],
    series: seriesOf(chart),
    hooks: {
      setCursor: [
        ({ cursor }) => {
          readout.textContent = cursor.idx == null ? '' : chart.readings[cursor.idx]!;
        },
      ],
    },
  };
}

/** Moves the cursor from point to point with the arrow keys. */
function moveByKey(plot: Plot, places: readonly number[], event: KeyboardEvent): void {
  const last = places.length - 1;
  const at = plot.cursor.idx ?? -1;
  const step = event.shiftKey ? 10 : 1;
  const to = { ArrowRight: at + step, ArrowLeft: at < 0 ? last : at - step, Home: 0, End: last }[event.key];
  if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const index = Math.min(last, Math.max(0, to));
  plot.setCursor({ left: plot.valToPos(places[index]!, 'x'), top: 1 });
}

/** @returns a function that redraws the chart. */
function draw(chart: Chart, place: HTMLElement): () => void {
  const readout = place.parentElement!.querySelector('output')!;
  const size = (): { width: number; height: number } => ({
    width: Math.max(120, place.clientWidth),
    height: place.clientHeight,
  });
  const plot = new uPlot({ ...size(), ...optionsOf(chart, readout) }, chart.data, place);
  new ResizeObserver(() => {
    if (plot.width !== size().width) plot.setSize(size());
  }).observe(place);
  place.addEventListener('keydown', (event) => moveByKey(plot, chart.data[0], event));
  place.addEventListener('blur', () => plot.setCursor({ left: -10, top: -10 }));
  return () => plot.setSize(size());
}

function drawAll(charts: readonly Chart[]): void {
  const drawn = charts.flatMap((chart) => {
    const place = document.querySelector<HTMLElement>(`[data-chart="${chart.id}"]`);
    return place === null ? [] : [draw(chart, place)];
  });
  const redraw = (): void => {
    for (const again of drawn) again();
  };
  const printing = (on: boolean): void => {
    document.documentElement.classList.toggle('printing', on);
    redraw();
  };
  addEventListener('beforeprint', () => printing(true));
  addEventListener('afterprint', () => printing(false));
  for (const query of ['(prefers-color-scheme: dark)', 'print']) matchMedia(query).addEventListener('change', redraw);
}

function save(report: unknown): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([`${JSON.stringify(report, null, 2)}\n`], { type: 'application/json' }));
  link.download = 'storm-report.json';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

drawAll(read('charts') as Chart[]);
const button = document.getElementById('save')!;
button.hidden = false;
button.addEventListener('click', () => save(read('report')));
