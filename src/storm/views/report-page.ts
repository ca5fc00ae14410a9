/**
 * What is the same on every report's page: how it looks, and the script that draws its charts. Knows the markup of
 * report-html.ts and the charts' shape of report-charts.ts; both run in a browser, so they are texts here.
 */

/**
 * Printing is two things: `@media print` for the page, and the class `printing`, which stands before it is laid out, so
 * that the charts can be drawn for paper.
 */
export const PAGE_STYLE = `
:root {
  color-scheme: light;
  --paper: #fff; --card: #fff; --text: #1c2126; --muted: #5a646e; --line: #dde2e7;
  --accent: #0b6bcb; --accent-soft: #0b6bcb26; --bad: #c0282d; --bad-soft: #c0282d14;
}
@media screen and (prefers-color-scheme: dark) {
  :root:not(.printing) {
    color-scheme: dark;
    --paper: #14181c; --card: #1a1f24; --text: #e6eaee; --muted: #9aa5b0; --line: #2e363e;
    --accent: #5aa9f8; --accent-soft: #5aa9f833; --bad: #ff7b7b; --bad-soft: #ff7b7b1f;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 72rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; line-height: 1.2; letter-spacing: -0.01em; margin: 0 0 0.25rem; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 2.75rem 0 0.75rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: 0 0 0.75rem; }
.about, .hint, footer { color: var(--muted); font-size: 0.9rem; }
.about { margin: 0; display: flex; flex-wrap: wrap; gap: 0 1.25rem; }
.about div { display: flex; gap: 0.4rem; }
.about dd { margin: 0; color: var(--text); }
.bad { color: var(--bad); }
.verdict { margin: 1.5rem 0 0; font-size: 1.15rem; font-weight: 600; }
.loud {
  margin: 1.5rem 0 0; padding: 0.9rem 1.1rem; border: 1px solid var(--bad); border-left-width: 5px; border-radius: 4px;
  background: var(--bad-soft);
}
.loud ul { margin: 0.35rem 0 0; padding-left: 1.2rem; }
.key { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1.25rem 1.5rem; margin: 1.25rem 0 0; }
.key div { border-top: 2px solid var(--line); padding-top: 0.5rem; }
.key dt { color: var(--muted); font-size: 0.85rem; }
.key dd { margin: 0; font-size: 1.5rem; line-height: 1.25; font-weight: 600; letter-spacing: -0.01em; }
.key dd small { display: block; font-size: 0.85rem; font-weight: 400; letter-spacing: 0; color: var(--muted); }
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.25rem; }
figure { display: flex; flex-direction: column; margin: 0; padding: 1rem 1rem 0.75rem; min-width: 0; background: var(--card); border: 1px solid var(--line); border-radius: 6px; }
figure > p { margin: 0.5rem 0 auto; padding-bottom: 0.5rem; font-size: 0.9rem; color: var(--muted); }
.legend { display: flex; flex-wrap: wrap; gap: 0 1rem; min-height: 1.5rem; font-size: 0.85rem; color: var(--muted); }
.legend span::before { content: ""; display: inline-block; width: 1.25em; margin-right: 0.4em; vertical-align: 0.25em; border-top: 2px solid var(--accent); }
.legend .failed::before { border-top: 2px dashed var(--bad); }
.legend output { margin-left: auto; color: var(--text); }
.plot { height: 220px; margin-top: 0.25rem; }
.plot .u-cursor-x { border-right: 1px solid var(--muted) !important; }
details { font-size: 0.9rem; }
summary { cursor: pointer; color: var(--accent); width: fit-content; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.scroll { overflow-x: auto; margin: 0 0 1rem; }
@media (min-width: 48rem) { .narrow table { width: auto; min-width: 42rem; } }
.tall { max-height: 20rem; overflow: auto; margin-top: 0.5rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.925rem; overflow-wrap: normal; }
caption { text-align: left; color: var(--muted); font-size: 0.9rem; padding: 0 0 0.35rem; }
th, td { padding: 0.4rem 0 0.4rem 1.25rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { padding-left: 0; }
thead th { color: var(--muted); font-weight: 500; white-space: nowrap; border-bottom-width: 2px; }
tbody th { font-weight: 500; }
.name { text-align: left; overflow-wrap: anywhere; min-width: 6.5rem; }
.words { text-align: left; overflow-wrap: anywhere; min-width: 11rem; }
.label { text-align: left; white-space: nowrap; }
.figure { white-space: nowrap; }
th small, td small { display: block; color: var(--muted); font-size: 0.92em; font-weight: 400; }
.facts { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: 0.3rem 1.5rem; margin: 0; font-size: 0.95rem; }
.facts dt { color: var(--muted); }
.facts dd { margin: 0; }
button {
  font: inherit; font-size: 0.9rem; padding: 0.35rem 0.8rem; color: var(--accent); background: transparent;
  border: 1px solid var(--accent); border-radius: 4px; cursor: pointer;
}
button:hover { background: var(--accent-soft); }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); }
.printing main { width: 672px; padding: 0; }
@media (max-width: 48rem) {
  :root:not(.printing) .charts { grid-template-columns: minmax(0, 1fr); }
}
@media (max-width: 30rem) {
  main { padding: 1.25rem 1rem 2rem; }
  h1 { font-size: 1.45rem; }
  .key { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .key dd { font-size: 1.3rem; }
  table { font-size: 0.8rem; }
  th, td { padding-left: 0.6rem; }
  .name { min-width: 4.5rem; }
  .words { min-width: 5.5rem; }
  .facts { grid-template-columns: 1fr; gap: 0; }
  .facts dd { margin-bottom: 0.5rem; }
}
@media print {
  @page { margin: 14mm 12mm; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  h2 { margin-top: 1.25rem; break-after: avoid; }
  footer { margin-top: 1rem; padding-top: 0.5rem; break-before: avoid; }
  figure, .loud, .key, table, tr { break-inside: avoid; }
  thead { display: table-header-group; }
  .scroll, .tall { overflow: visible; max-height: none; }
  th, td { padding: 0.25rem 0 0.25rem 0.6rem; }
  .name, .words { min-width: 0; }
  details:not([open]), button, .hint { display: none; }
  .charts { gap: 0.75rem; }
  .narrow table { width: 100%; min-width: 0; }
  table { font-size: 0.85rem; }
  thead th { white-space: normal; }
  .plot, .loud { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;

/** Draws each chart into the element that names it, anew for another width, another theme and paper. */
export const PAGE_SCRIPT = `
'use strict';
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
  const drawn = [];

  const bars = (edges) => (u, series, from, to) => {
    const fill = new Path2D();
    const floor = u.valToPos(0, 'y', true);
    for (let index = from; index <= to; index++) {
      const count = u.data[series][index];
      if (count === 0) continue;
      const left = Math.round(u.valToPos(edges[index], 'x', true));
      const right = Math.round(u.valToPos(edges[index + 1], 'x', true));
      // A bar that stands for something is seen, however low.
      const top = Math.min(u.valToPos(count, 'y', true), floor - devicePixelRatio);
      fill.rect(left, top, Math.max(1, right - left - devicePixelRatio), floor - top);
    }
    return { fill, stroke: null };
  };

  // Labels that have room, round ones first: the longer a number is written, the less it says.
  const fitting = (ticks, width) => {
    const space = 62;
    const [first, last] = [ticks[0].at, ticks[ticks.length - 1].at];
    const place = (tick) => ((tick.at - first) / (last - first)) * width;
    const digits = (tick) => tick.label.replace(/[^1-9]/g, '');
    const weight = (tick) => (digits(tick) === '1' ? 0 : digits(tick).length + (/^[25]$/.test(digits(tick)) ? 0 : 0.5));
    const kept = [];
    for (const tick of [...ticks].sort((a, b) => weight(a) - weight(b))) {
      if (kept.every((other) => Math.abs(place(other) - place(tick)) >= space)) kept.push(tick);
    }
    return kept.sort((a, b) => a.at - b.at);
  };

  const options = (chart, readout) => {
    const axis = {
      stroke: () => colour('muted'),
      grid: { stroke: () => colour('line'), width: 1 },
      ticks: { stroke: () => colour('line'), width: 1, size: 5 },
      font: '12px system-ui, sans-serif',
    };
    const logarithmic = chart.ticks.length > 0;
    const x = logarithmic
      ? {
          splits: (u) => fitting(chart.ticks, u.bbox.width / devicePixelRatio).map(({ at }) => at),
          values: (u, splits) => splits.map((at) => chart.ticks.find((tick) => tick.at === at).label),
          grid: { show: false },
        }
      : { space: 60, values: (u, splits) => splits.map((at) => at + ' s') };
    const whole = chart.whole ? { incrs: [1, 2, 5].flatMap((n) => [...Array(10).keys()].map((e) => n * 10 ** e)).sort((a, b) => a - b) } : {};
    return {
      padding: [10, 28, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: { time: false, range: () => chart.range },
        y: { range: (u, low, high) => [0, Math.max(chart.whole ? 1 : 0, (high || 1) * 1.06)] },
      },
      axes: [{ ...axis, ...x }, { ...axis, size: 52, ...whole }],
      series: [
        {},
        ...chart.series.map(({ label, tone }) => ({
          label,
          stroke: () => colour(tone),
          width: chart.kind === 'bars' ? 0 : 2,
          fill: tone === 'bad' ? undefined : () => colour(chart.kind === 'bars' ? tone : tone + '-soft'),
          dash: tone === 'bad' ? [6, 4] : undefined,
          points: { show: false },
          paths:
            chart.kind === 'bars' ? bars(chart.edges)
            : chart.kind === 'steps' ? uPlot.paths.stepped({ align: -1 })
            : uPlot.paths.linear(),
        })),
      ],
      hooks: { setCursor: [(u) => { readout.textContent = u.cursor.idx == null ? '' : chart.readings[u.cursor.idx]; }] },
    };
  };

  for (const chart of read('charts')) {
    const place = document.querySelector('[data-chart="' + chart.id + '"]');
    if (place === null) continue;
    const readout = place.parentElement.querySelector('output');
    const size = () => ({ width: Math.max(120, place.clientWidth), height: place.clientHeight });
    const plot = new uPlot({ ...size(), ...options(chart, readout) }, chart.data, place);
    drawn.push(() => plot.setSize(size()));
    new ResizeObserver(() => {
      if (plot.width !== size().width) plot.setSize(size());
    }).observe(place);
    const last = chart.data[0].length - 1;
    place.addEventListener('keydown', (event) => {
      const at = plot.cursor.idx ?? -1;
      const step = event.shiftKey ? 10 : 1;
      const to = { ArrowRight: at + step, ArrowLeft: at < 0 ? last : at - step, Home: 0, End: last }[event.key];
      if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const index = Math.min(last, Math.max(0, to));
      plot.setCursor({ left: plot.valToPos(chart.data[0][index], 'x'), top: 1 });
    });
    place.addEventListener('blur', () => plot.setCursor({ left: -10, top: -10 }));
  }

  const redraw = () => drawn.forEach((draw) => draw());
  const printing = (on) => {
    document.documentElement.classList.toggle('printing', on);
    redraw();
  };
  addEventListener('beforeprint', () => printing(true));
  addEventListener('afterprint', () => printing(false));
  for (const query of ['(prefers-color-scheme: dark)', 'print']) matchMedia(query).addEventListener('change', redraw);

  const save = document.getElementById('save');
  save.hidden = false;
  save.addEventListener('click', () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([JSON.stringify(read('report'), null, 2) + '\\n'], { type: 'application/json' }));
    link.download = 'storm-report.json';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
})();
`;
