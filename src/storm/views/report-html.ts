/**
 * A storm's report as one self-contained HTML page, which loads nothing: it embeds charts, styles, script and the
 * report. Knows markup; figures, charts, script and styles come from its neighbors. All text from outside is escaped.
 */
import { createHash } from 'node:crypto';
import { formatBytes, formatCount, formatMany, formatMs, formatRate, formatShare } from '../../text/figures.ts';
import type { Chart } from '../chart.ts';
import { readReportAssets } from './report-assets.ts';
import { chartsOf } from './report-charts.ts';
import type { Percentiles, StormReport } from '../report.ts';
import { ADMIN_HINT } from '../unanswered.ts';

/** Markup, in which all text has been escaped. */
type Html = string;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): Html {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

/** Embeds data in a script element. No data can end the element, since that takes a `<`. */
function embed(id: string, data: unknown): Html {
  return `<script type="application/json" id="${id}">${JSON.stringify(data).replaceAll('<', '\\u003c')}</script>`;
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

/** @returns the page. @throws Error when its parts are not installed. */
export function renderHtml(report: StormReport): string {
  const { style, script, uplot } = readReportAssets();
  const charts = chartsOf(report);
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(uplot.script)} ${hashOf(script)}`,
    `style-src ${hashOf(uplot.style)} ${hashOf(style)}`,
    // Allows the empty icon below, without which a browser would request one from the page's server.
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ];
  const title = `Boot storm against ${report.server}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy.join('; ')}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="reveille ${escapeHtml(report.version)}">
<title>${escapeHtml(`${title}: ${formatCount(report.completed)} of ${formatCount(report.nodes)} booted`)}</title>
<link rel="icon" href="data:,">
<style>${uplot.style}</style>
<style>${style}</style>
</head>
<body>
<main>
<header>
<h1>${escapeHtml(title)}</h1>
${about(report)}
</header>
${harnessWarning(report)}
${verdict(report)}
${keyFigures(report)}
${objectives(report)}
<h2>Progress</h2>
<noscript><p class="hint">The charts need JavaScript. The tables below them show the same data without it.</p></noscript>
<div class="charts">
${charts.map(chartFigure).join('\n')}
</div>
${stages(report)}
${latency(report)}
${failures(report)}
${violations(report)}
${packets(report)}
${unanswered(report)}
${harness(report)}
<footer>
<p>Made by reveille ${escapeHtml(report.version)}. This page contains the whole report. <button type="button" id="save" hidden>Save as JSON</button></p>
</footer>
</main>
${embed('report', report)}
${embed(
  'charts',
  charts.filter(({ readings }) => readings.length > 0),
)}
<!--
The charts are drawn by uPlot.
${uplot.licence.replaceAll('--', '- -')}
-->
<script>${uplot.script}</script>
<script type="module">${script}</script>
</body>
</html>
`;
}

/** Makes the terms and descriptions of a definition list. */
function terms(pairs: readonly (readonly [term: string, description: Html])[]): Html {
  return pairs.map(([term, description]) => `<div><dt>${term}</dt><dd>${description}</dd></div>`).join('\n');
}

function about({ plan, http, nodes, arrival, seed, started_at }: StormReport): Html {
  const readable = started_at.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z$/, '$1 $2 UTC');
  return `<dl class="about">
${terms([
  ['Plan', escapeHtml(plan.name)],
  ...(http === null ? [] : ([['HTTP server', escapeHtml(http)]] as const)),
  ['Nodes', formatCount(nodes)],
  ['Arrival', escapeHtml(arrival)],
  ['Seed', String(seed)],
  ['Started', `<time datetime="${escapeHtml(started_at)}">${escapeHtml(readable)}</time>`],
])}
</dl>`;
}

function harnessWarning({ harness: own }: StormReport): Html {
  if (!own.bottleneck) return '';
  return `<div class="loud" role="note">
<strong class="bad">The storm itself was the bottleneck.</strong> These figures describe the storm rather than the server.
<ul>${own.reasons.map((reason) => `<li>${escapeHtml(reason)}</li>`).join('')}</ul>
</div>`;
}

function verdict({ slo, unfinished }: StormReport): Html {
  const missed = slo.checks.filter(({ met }) => !met).length;
  const stopped = `the storm was stopped with ${formatMany(unfinished, 'node')} unfinished`;
  if (slo.met && unfinished > 0) return `<p class="verdict bad">SLO met, but ${stopped}</p>`;
  if (slo.met) return '<p class="verdict">SLO met</p>';
  const of = missed === 0 ? '' : `: ${formatCount(missed)} of ${formatMany(slo.checks.length, 'objective')}`;
  return `<p class="verdict bad">SLO missed${of}</p>`;
}

function keyFigures(report: StormReport): Html {
  const { nodes, completed, failed, unfinished, bytes, duration_s, first_reply_ms, finish_s } = report;
  const figure = (value: string, note: string): Html => `${value}<small>${note}</small>`;
  const wrong = (count: number): Html => (count > 0 ? `<span class="bad">${formatCount(count)}</span>` : '0');
  const known = (count: number | null): Html =>
    count === null ? figure('–', 'not checked') : figure(wrong(count), '');
  const { wrong_bytes, files_not_compared: left } = report;
  const files =
    wrong_bytes === null || left === null || left === 0
      ? known(wrong_bytes)
      : figure(wrong(wrong_bytes), `${formatMany(left, 'file')} not compared`);
  const notBooted = unfinished === 0 ? '' : `and ${formatCount(unfinished)} unfinished`;
  return `<dl class="key">
${terms([
  ['Booted', figure(formatCount(completed), `of ${formatMany(nodes, 'node')}`)],
  ['Failed', figure(wrong(failed), notBooted)],
  [
    'Time to boot, p99',
    figure(finish_s === null ? '–' : formatMs(finish_s.p99 * 1000), `${formatMs(duration_s * 1000)} in all`),
  ],
  [
    'First reply, p99',
    figure(
      first_reply_ms === null ? '–' : formatMs(first_reply_ms.p99),
      first_reply_ms === null ? '' : `at most ${formatMs(first_reply_ms.max)}`,
    ),
  ],
  ['Throughput', figure(duration_s > 0 ? formatRate(bytes / duration_s) : '–', `${formatBytes(bytes)} in all`)],
  ['Wrong bytes', files],
  ['Mixed versions', known(report.mixed_versions)],
])}
</dl>`;
}

interface Column {
  readonly title: string;
  /** Names and words are left-aligned and may be broken; labels are never broken; figures are right-aligned. */
  readonly kind: 'name' | 'words' | 'label' | 'figure';
}

/** @param rows markup by row and column; the first column names its row. @param box class of the box around it. */
function table(caption: string, columns: readonly Column[], rows: readonly (readonly Html[])[], box = 'scroll'): Html {
  const cell = (html: Html, index: number): Html => {
    const { kind } = columns[index]!;
    return index === 0 ? `<th scope="row" class="${kind}">${html}</th>` : `<td class="${kind}">${html}</td>`;
  };
  const heads = columns.map(({ title, kind }) => `<th scope="col" class="${kind}">${title}</th>`);
  // A region that scrolls must be reachable by keyboard.
  return `<div class="${box}" role="region" tabindex="0" aria-label="${escapeHtml(caption)}">
<table>
<caption>${escapeHtml(caption)}</caption>
<thead><tr>${heads.join('')}</tr></thead>
<tbody>
${rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('\n')}
</tbody>
</table>
</div>`;
}

function nameColumn(title: string): Column {
  return { title, kind: 'name' };
}

function labelColumn(title: string): Column {
  return { title, kind: 'label' };
}

function wordsColumn(title: string): Column {
  return { title, kind: 'words' };
}

function figureColumn(title: string): Column {
  return { title, kind: 'figure' };
}

function objectives({ slo }: StormReport): Html {
  if (slo.checks.length === 0) return '';
  const rows = slo.checks.map(({ expression, actual, met }) => [
    `<code>${escapeHtml(expression)}</code>`,
    actual === null ? 'not known' : String(Number(actual.toPrecision(6))),
    met ? 'met' : '<strong class="bad">missed</strong>',
  ]);
  return `<h2>Objectives</h2>
${table('Objectives and measured values', [wordsColumn('objective'), figureColumn('was'), figureColumn('verdict')], rows, 'scroll narrow')}`;
}

function chartFigure({ id, title, summary, series, readings, table: own }: Chart): Html {
  const legend = series.map(({ label, tone }) => `<span${tone === 'bad' ? ' class="failed"' : ''}>${label}</span>`);
  const columns = own.columns.map((column) => figureColumn(column));
  const rows = own.rows.map((row) => row.map(escapeHtml));
  const drawing =
    readings.length === 0
      ? ''
      : `<div class="legend">${legend.join('')}<output></output></div>
<div class="plot" data-chart="${id}" tabindex="0" role="group" aria-roledescription="chart" aria-label="${title}. Arrow keys read it point by point." aria-describedby="${id}-summary"></div>
<details><summary>${title}: as a table</summary>
${table(own.caption, columns, rows, 'tall')}
</details>`;
  return `<figure>
<figcaption><h3>${title}</h3></figcaption>
<p id="${id}-summary">${escapeHtml(summary)}</p>
${drawing}
</figure>`;
}

function stages({ stages: all, http }: StormReport): Html {
  // Without a stage over HTTP the protocol says nothing.
  const via = <Item>(item: Item): Item[] => (http === null ? [] : [item]);
  const rows = all.map((stage) => [
    escapeHtml(stage.name),
    escapeHtml(stage.profile),
    ...via(stage.via),
    ...[stage.completed, stage.failed, stage.files, stage.misses].map(formatCount),
    formatBytes(stage.bytes),
    formatCount(stage.retransmits.client),
    formatCount(stage.retransmits.server),
  ]);
  const columns = [
    nameColumn('stage'),
    labelColumn('profile'),
    ...via(labelColumn('via')),
    ...['through', 'failed', 'files', 'misses', 'bytes', 'resent by nodes', 'by the server'].map(figureColumn),
  ];
  return `<h2>Stages</h2>
${table('Nodes that completed each stage of the boot, and what they fetched', columns, rows)}`;
}

function latency(report: StormReport): Html {
  const row = (what: Html, percentiles: Percentiles | null, unitMs = 1): Html[] => {
    if (percentiles === null) return [what, '–', '–', '–', '–'];
    const { p50, p90, p99, max } = percentiles;
    return [what, ...[p50, p90, p99, max].map((value) => formatMs(value * unitMs))];
  };
  const rows = [
    row('Boot, from scheduled start to end', report.finish_s, 1000),
    row('First reply, all stages', report.first_reply_ms),
    ...report.stages.map((stage) => row(`First reply in ${escapeHtml(stage.name)}`, stage.first_reply_ms)),
    ...report.stages.map((stage) => row(`Duration of ${escapeHtml(stage.name)}`, stage.duration_ms)),
  ];
  const columns = [wordsColumn('time'), ...['p50', 'p90', 'p99', 'max'].map(figureColumn)];
  return `<h2>Latency</h2>
${table('Percentiles by nearest rank; – means that nothing was measured', columns, rows, 'scroll narrow')}`;
}

function failures({ failures: all }: StormReport): Html {
  if (all.length === 0) return '';
  const rows = all.map(({ reason, stage, nodes, example }) => [
    `${escapeHtml(reason)}<small>first: ${escapeHtml(example)}</small>`,
    escapeHtml(stage),
    formatCount(nodes),
  ]);
  return `<h2>Failures</h2>
${table('Why nodes did not boot', [wordsColumn('reason'), nameColumn('stage'), figureColumn('nodes')], rows)}`;
}

function violations({ violations: all }: StormReport): Html {
  if (all.length === 0) return '<h2>Violations</h2>\n<p>None: the server followed all rules that were checked.</p>';
  const rows = all.map(({ id, what, clause, count, example }) => [
    `<code>${escapeHtml(id)}</code>`,
    `${escapeHtml(what)}<small>first: ${escapeHtml(example)}</small>`,
    escapeHtml(clause),
    formatCount(count),
  ]);
  const columns = [nameColumn('rule'), wordsColumn('violation'), nameColumn('clause'), figureColumn('count')];
  return `<h2>Violations</h2>
${table('Rules that the server broke', columns, rows)}`;
}

function packets({ retransmits, injected, duplicate_tids }: StormReport): Html {
  const counts: readonly (readonly [number, string])[] = [
    [injected.lost, 'lost'],
    [injected.duplicated, 'duplicated'],
    [injected.reordered, 'reordered'],
    [injected.delayed, 'delayed'],
  ];
  const faults = counts.filter(([count]) => count > 0).map(([count, what]) => `${formatCount(count)} ${what}`);
  if (injected.vanished_nodes > 0) faults.push(`${formatMany(injected.vanished_nodes, 'node')} vanished`);
  return `<h2>Packets</h2>
${facts([
  ['Retransmits', `${formatCount(retransmits.client)} by nodes, ${formatCount(retransmits.server)} by the server`],
  ['Duplicate TIDs', formatMany(duplicate_tids, 'transfer')],
  ['Injected faults', faults.length === 0 ? 'none' : faults.join(', ')],
])}`;
}

function unanswered({ unanswered_requests: count, left_unanswered: left }: StormReport): Html {
  if (left === null && count === 0) return '';
  const seen = `<h2>Unanswered</h2>\n<p>${formatMany(count, 'request')} had no answer in time.</p>`;
  if (left === null) return `${seen}\n<p class="hint">${escapeHtml(ADMIN_HINT)}</p>`;
  if (left.problem !== null)
    return `${seen}\n<p>The reasons could not be read from the server: ${escapeHtml(left.problem)}</p>`;
  if (left.reasons.length === 0)
    return `${seen}\n<p>According to ${escapeHtml(left.admin)}, the server left no request unanswered.</p>`;
  const rows = left.reasons.map(({ reason, count: of, what, settings }) => [
    `<code>${escapeHtml(reason)}</code>`,
    what === null ? '–' : escapeHtml(what),
    settings.length === 0 ? '–' : settings.map((setting) => `<code>${escapeHtml(setting)}</code>`).join(', '),
    formatCount(of),
  ]);
  const columns = [nameColumn('reason'), wordsColumn('meaning'), wordsColumn('settings'), figureColumn('count')];
  return `${seen}
${table(`Requests of all clients that the server left unanswered in that time, according to ${left.admin}`, columns, rows)}`;
}

function facts(pairs: readonly (readonly [term: string, description: Html])[]): Html {
  const items = pairs.map(([term, description]) => `<dt>${term}</dt><dd>${description}</dd>`);
  return `<dl class="facts">\n${items.join('\n')}\n</dl>`;
}

function harness({ harness: own, machine }: StormReport): Html {
  const delay = own.event_loop_delay_ms;
  return `<h2>Harness</h2>
${facts([
  ['Bottleneck', own.bottleneck ? '<strong class="bad">yes</strong>' : 'no'],
  ['Busiest thread', `${formatShare(own.busiest_thread, 1)} of its time, ${formatMany(own.threads, 'thread')}`],
  ['CPU time', formatMs(own.cpu_s * 1000)],
  ['Event loop delay', `p50 ${formatMs(delay.p50)}, p99 ${formatMs(delay.p99)}, max ${formatMs(delay.max)}`],
  [
    'Own share',
    `the storm itself may account for ${formatMs(delay.p50)} (p50) to ${formatMs(delay.p99)} (p99) of each time above`,
  ],
  ['Dropped', own.drops === null ? 'not known' : formatMany(own.drops, 'datagram')],
  ['Engine', escapeHtml(own.engine)],
  [
    'Machine',
    escapeHtml(`${machine.cpu}, ${formatMany(machine.cores, 'core')}, Node.js ${machine.node}, ${machine.kernel}`),
  ],
])}`;
}
