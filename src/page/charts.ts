/**
 * The charts of the last ten minutes, by uPlot; each has a sentence that says the same, and is readable by keyboard.
 */
import type { ChartPoint } from '../live/wire.ts';
import { about } from '../live/words.ts';
import { formatRate } from '../text/figures.ts';
import { el, setAttribute, setText } from './dom.ts';

declare const uPlot: typeof import('uplot');
type Plot = import('uplot');
type Options = import('uplot').Options;
type Series = import('uplot').Series;

/** PXELINUX, the most impatient loader, asks again after this time. */
const IMPATIENT_MS = 110;

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

interface Kind {
  readonly title: string;
  readonly series: readonly {
    readonly label: string;
    readonly tone: string;
    readonly dash?: number[];
    readonly area?: boolean;
  }[];
  readonly valuesOf: (point: ChartPoint) => readonly (number | null)[];
  readonly format: (value: number) => string;
  readonly summary: (points: readonly ChartPoint[]) => string;
  readonly isLogarithmic: boolean;
}

function most(values: readonly number[]): number {
  return values.reduce((best, value) => Math.max(best, value), 0);
}

const KINDS: readonly Kind[] = [
  {
    title: 'Throughput',
    series: [{ label: 'sent', tone: 'accent', area: true }],
    valuesOf: ({ bytesPerS }) => [bytesPerS],
    format: formatRate,
    summary: (points) => {
      const peak = most(points.map(({ bytesPerS }) => bytesPerS));
      return peak === 0
        ? 'Nothing was sent in the last ten minutes.'
        : `Now ${formatRate(points.at(-1)!.bytesPerS)}, at most ${formatRate(peak)}.`;
    },
    isLogarithmic: false,
  },
  {
    title: 'Time to first reply',
    series: [
      { label: 'half of the requests (p50)', tone: 'accent' },
      { label: '99 of 100 requests (p99)', tone: 'watch', dash: [5, 3] },
    ],
    valuesOf: ({ firstReplyP50, firstReplyP99 }) => [atLeast(firstReplyP50), atLeast(firstReplyP99)],
    format: (value) => (value <= 1 ? '≤ 1 ms' : about(value)),
    summary: (points) => {
      const replies = points.filter(({ firstReplyP99 }) => firstReplyP99 !== null);
      if (replies.length === 0) return 'No request was answered in the last ten minutes.';
      const worst = most(replies.map(({ firstReplyP99 }) => firstReplyP99!));
      const why = worst > IMPATIENT_MS ? `, longer than the ${IMPATIENT_MS} ms after which PXELINUX asks again.` : '.';
      return `p99 was at most ${about(worst)}${why}`;
    },
    isLogarithmic: true,
  },
];

/** The scale is logarithmic, and times are whole milliseconds. */
function atLeast(ms: number | null): number | null {
  return ms === null ? null : Math.max(1, ms);
}

/** A server that was blocked has missing seconds: no line is drawn across the gap. */
function withGaps(points: readonly ChartPoint[]): readonly (ChartPoint | Missing)[] {
  const whole: (ChartPoint | Missing)[] = [];
  let last = Number.POSITIVE_INFINITY;
  for (const point of points) {
    if (point.at - last > 3) whole.push({ at: last + 1, isMissing: true });
    whole.push(point);
    last = point.at;
  }
  return whole;
}

interface Missing {
  readonly at: number;
  readonly isMissing: true;
}

class LiveChart {
  readonly element: HTMLElement;
  readonly #kind: Kind;
  readonly #place: HTMLElement;
  readonly #summary = el('p', { class: 'muted' });
  readonly #readout = el('output');
  #points: readonly (ChartPoint | Missing)[] = [];
  #plot: Plot | undefined;

  constructor(kind: Kind, id: string) {
    this.#kind = kind;
    this.#summary.id = `${id}-summary`;
    this.#place = el('div', {
      class: 'plot',
      tabindex: '0',
      role: 'group',
      'aria-roledescription': 'chart',
      'aria-label': `${kind.title}. Arrow keys read it point by point.`,
      'aria-describedby': `${id}-summary`,
    });
    const legend = kind.series.map(({ label, tone, dash }) =>
      el('span', { class: `key ${tone}${dash === undefined ? '' : ' dashed'}` }, label),
    );
    this.element = el(
      'figure',
      {},
      el('figcaption', {}, el('h3', {}, kind.title)),
      this.#summary,
      el('div', { class: 'keys' }, ...(legend.length > 1 ? legend : []), this.#readout),
      this.#place,
    );
    this.#place.addEventListener('keydown', (event) => this.#onKey(event));
    this.#place.addEventListener('blur', () => this.#plot?.setCursor({ left: -10, top: -10 }));
    new ResizeObserver(() => this.#fit()).observe(this.#place);
  }

  show(all: readonly ChartPoint[]): void {
    const points = withGaps(all);
    this.#points = points;
    setText(this.#summary, all.length === 0 ? 'No data yet.' : this.#kind.summary(all));
    if (this.#plot === undefined) this.#draw();
    else this.#plot.setData(this.#data());
  }

  /** The colors come from the theme. */
  redraw(): void {
    this.#plot?.redraw(false, true);
  }

  #data(): [number[], ...(number | null)[][]] {
    const at = this.#points.map((point) => point.at);
    const values = this.#points.map((point) => ('isMissing' in point ? [] : this.#kind.valuesOf(point)));
    return [at, ...this.#kind.series.map((_, index) => values.map((row) => row[index] ?? null))];
  }

  #draw(): void {
    const { clientWidth, clientHeight } = this.#place;
    if (clientWidth === 0) return;
    this.#plot = new uPlot(this.#options(clientWidth, clientHeight), this.#data(), this.#place);
  }

  #fit(): void {
    const { clientWidth: width, clientHeight: height } = this.#place;
    if (width === 0) return;
    if (this.#plot === undefined) this.#draw();
    else if (this.#plot.width !== width) this.#plot.setSize({ width, height });
  }

  #options(width: number, height: number): Options {
    const { series, format, isLogarithmic } = this.#kind;
    const axis = {
      stroke: () => colour('muted'),
      grid: { stroke: () => colour('line'), width: 1 },
      ticks: { show: false },
      font: '12px system-ui, sans-serif',
    };
    const y = isLogarithmic
      ? {
          distr: 3 as const,
          // The range begins below the least drawn value, so that a point there stands above the axis.
          range: (_: Plot, __: number, high: number): [number, number] => [0.6, Math.max(200, high * 1.2)],
        }
      : { range: (_: Plot, __: number, high: number): [number, number] => [0, high > 0 ? high * 1.08 : 1e6] };
    return {
      width,
      height,
      padding: [8, 16, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { range: () => this.#range() }, y },
      axes: [
        {
          ...axis,
          size: 26,
          space: 60,
          values: (_: Plot, splits: number[]) => splits.map((at) => this.#ago(at)),
          splits: () => this.#splits(),
        },
        {
          ...axis,
          size: 64,
          splits: isLogarithmic
            ? (plot: Plot) => [1, 10, 100, 1000, 10_000, 60_000].filter((at) => at <= plot.scales['y']!.max!)
            : undefined,
          values: (_: Plot, splits: number[]) => splits.map((value) => (value === 0 ? '0' : format(value))),
        } as Options['axes'] extends (infer A)[] | undefined ? A : never,
      ],
      series: [
        {},
        ...series.map(
          ({ label, tone, dash, area }): Series => ({
            label,
            stroke: () => colour(tone),
            width: 2,
            ...(dash === undefined ? {} : { dash }),
            ...(area === true ? { fill: () => colour(`${tone}-soft`) } : {}),
            spanGaps: false,
            points: { show: isLogarithmic, size: 7, fill: () => colour(tone), width: 0 },
          }),
        ),
      ],
      hooks: { setCursor: [(plot: Plot) => this.#read(plot.cursor.idx ?? undefined)] },
    };
  }

  #range(): [number, number] {
    const last = this.#points.at(-1)?.at ?? 0;
    return [last - 600, last];
  }

  #splits(): number[] {
    const [first, last] = this.#range();
    return [0, 120, 240, 360, 480, 600]
      .map((back) => last - back)
      .filter((at) => at >= first)
      .toReversed();
  }

  #ago(at: number): string {
    const back = Math.round((this.#range()[1] - at) / 60);
    return back === 0 ? 'now' : `−${back} min`;
  }

  #read(index: number | undefined): void {
    const point = index === undefined ? undefined : this.#points[index];
    if (point === undefined || 'isMissing' in point) {
      setText(this.#readout, '');
      return;
    }
    const values = this.#kind.valuesOf(point).map((value) => (value === null ? '–' : this.#kind.format(value)));
    const time = new Date(point.at * 1000).toLocaleTimeString(undefined, { hour12: false });
    setText(this.#readout, `${time}: ${values.join(' · ')}`);
  }

  #onKey(event: KeyboardEvent): void {
    const plot = this.#plot;
    if (plot === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    const last = this.#points.length - 1;
    const at = plot.cursor.idx ?? undefined;
    const step = event.shiftKey ? 30 : 1;
    const to = {
      ArrowRight: (at ?? -1) + step,
      ArrowLeft: at === undefined ? last : at - step,
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    const index = Math.min(last, Math.max(0, to));
    plot.setCursor({ left: plot.valToPos(this.#points[index]!.at, 'x'), top: 1 });
    setAttribute(this.#readout, 'aria-live', 'polite');
  }
}

export class Charts {
  readonly #charts: readonly LiveChart[];

  constructor(place: HTMLElement) {
    this.#charts = KINDS.map((kind, index) => new LiveChart(kind, `chart-${index}`));
    place.append(...this.#charts.map(({ element }) => element));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      for (const chart of this.#charts) chart.redraw();
    });
  }

  show(points: readonly ChartPoint[]): void {
    for (const chart of this.#charts) chart.show(points);
  }
}
