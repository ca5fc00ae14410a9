/**
 * A storm's report as plain text for a terminal. Knows the report's shape and how wide a line may be, and nothing of
 * where it goes.
 */
import { formatBytes, formatCount, formatMany, formatMs, formatRate, formatShare } from '../../text/figures.ts';
import type { HarnessReport, Percentiles, StormReport } from '../report.ts';
import { ADMIN_HINT, type UnansweredReason } from '../unanswered.ts';

export interface TableOptions {
  /** Columns of the terminal: 80 to 120 are used. Default 100. */
  readonly width?: number;
  /** True to use color codes. Default false. */
  readonly colour?: boolean;
}

const COLOURS = { bold: 1, dim: 2, bad: 31, good: 32, loud: 7 } as const;
/** Stands for a space where no line may end, until the line is complete. */
const GLUE = '\u00a0';

type Paint = (style: keyof typeof COLOURS, text: string) => string;

/** @returns lines, each ended by \n. */
export function renderTable(report: StormReport, options: TableOptions = {}): string {
  const width = Math.min(120, Math.max(80, options.width ?? 100));
  const paint: Paint = (style, text) => (options.colour === true ? `\x1b[${COLOURS[style]}m${text}\x1b[0m` : text);
  const sections = [
    head(report, width, paint),
    result(report, width, paint),
    stages(report, width, paint),
    latency(report, width, paint),
    packets(report, width),
    unanswered(report, width, paint),
    violations(report, width, paint),
    failures(report, width, paint),
    harness(report, width, paint),
    verdict(report, paint),
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

function head(
  { server, http, plan, nodes, arrival, seed, started_at, version }: StormReport,
  width: number,
  paint: Paint,
): string[] {
  return [
    ...wrap(`Boot storm against ${server}${http === null ? '' : `, over HTTP against ${http}`}`, width, '').map(
      (line) => paint('bold', line),
    ),
    ...wrap(
      [`plan ${plan.name}`, formatMany(nodes, 'node'), `arrival ${arrival}`, `seed ${seed}`].join(' · '),
      width,
      '  ',
    ),
    ...wrap(`started ${started_at} · reveille ${version}`, width, '  '),
  ];
}

function result(report: StormReport, width: number, paint: Paint): string[] {
  const { nodes, completed, failed, unfinished, bytes, duration_s } = report;
  const parts = [
    `${formatCount(completed)} of ${formatMany(nodes, 'node')} booted (${formatShare(completed, nodes)})`,
    `${formatCount(failed)} failed`,
    ...(unfinished > 0 ? [`${formatCount(unfinished)} unfinished`] : []),
    `in ${formatMs(duration_s * 1000)}`,
    `${formatBytes(bytes)}${duration_s > 0 ? ` at ${formatRate(bytes / duration_s)}` : ''}`,
  ];
  const clean = failed === 0 && unfinished === 0;
  const checks = [
    `wrong bytes: ${known(report.wrong_bytes, 'file')}${notCompared(report)}`,
    `mixed versions: ${known(report.mixed_versions, 'node')}`,
    `duplicate TIDs: ${formatCount(report.duplicate_tids)}`,
  ];
  return [
    ...wrap(`Result: ${list(parts, ', ')}`, width, '').map((line) => paint(clean ? 'good' : 'bad', line)),
    ...wrap(list(checks, ' · '), width, '  '),
  ];
}

/** Where some files could not be compared, "0 wrong" does not cover them. */
function notCompared({ files_not_compared: files }: StormReport): string {
  return files === null || files === 0 ? '' : ` (${formatCount(files)} not compared)`;
}

/** Formats a count that is null where there was nothing to compare with. */
function known(count: number | null, one: string): string {
  return count === null ? 'not checked' : formatMany(count, one);
}

function stages({ stages: all, http }: StormReport, width: number, paint: Paint): string[] {
  // Without a stage over HTTP the protocol says nothing.
  const via = (text: string): string[] => (http === null ? [] : [text]);
  const rows = all.map((stage) => [
    stage.name,
    stage.profile,
    ...via(stage.via),
    formatCount(stage.completed),
    formatCount(stage.failed),
    formatCount(stage.files),
    formatCount(stage.misses),
    formatBytes(stage.bytes),
    formatCount(stage.retransmits.client),
    formatCount(stage.retransmits.server),
  ]);
  const header = [
    'Stage',
    'profile',
    ...via('via'),
    'done',
    'failed',
    'files',
    'misses',
    'bytes',
    'resent',
    'by server',
  ];
  return table(header, rows, http === null ? 2 : 3, width, paint);
}

function latency(report: StormReport, width: number, paint: Paint): string[] {
  const row = (name: string, percentiles: Percentiles | null, unitMs = 1): string[] => {
    if (percentiles === null) return [name, '–', '–', '–', '–'];
    const { p50, p90, p99, max } = percentiles;
    return [name, ...[p50, p90, p99, max].map((value) => formatMs(value * unitMs))];
  };
  return table(
    ['Latency', 'p50', 'p90', 'p99', 'max'],
    [
      row('boot, from scheduled start', report.finish_s, 1000),
      row('first reply', report.first_reply_ms),
      ...report.stages.map((stage) => row(`  in ${stage.name}`, stage.first_reply_ms)),
      ...report.stages.map((stage) => row(`duration of ${stage.name}`, stage.duration_ms)),
    ],
    1,
    width,
    paint,
  );
}

function packets({ retransmits, injected }: StormReport, width: number): string[] {
  const faults = [
    [injected.lost, 'lost'],
    [injected.duplicated, 'duplicated'],
    [injected.reordered, 'reordered'],
    [injected.delayed, 'delayed'],
  ] as const;
  const done = faults.filter(([count]) => count > 0).map(([count, what]) => `${formatCount(count)} ${what}`);
  if (injected.vanished_nodes > 0) done.push(`${formatMany(injected.vanished_nodes, 'node')} vanished`);
  return [
    `Retransmits: ${formatCount(retransmits.client)} by nodes, ${formatCount(retransmits.server)} by the server`,
    ...wrap(`Injected faults: ${done.length === 0 ? 'none' : list(done, ', ')}`, width, ''),
  ];
}

/** Unanswered requests as nodes saw them, and the server's account of them. */
function unanswered(
  { unanswered_requests: count, left_unanswered: left }: StormReport,
  width: number,
  paint: Paint,
): string[] {
  if (left === null && count === 0) return [];
  const seen = `Requests that had no answer in time: ${formatCount(count)}`;
  if (left === null) return [seen, ...wrap(ADMIN_HINT, width, '  ')];
  if (left.problem !== null)
    return [seen, ...wrap(`the reasons could not be read from the server: ${left.problem}`, width, '  ')];
  if (left.reasons.length === 0)
    return [seen, ...wrap(`according to ${left.admin}, the server left no request unanswered`, width, '  ')];
  return [
    seen,
    ...wrap(
      `requests of all clients that the server left unanswered in that time, according to ${left.admin}`,
      width,
      '  ',
    ).map((line) => paint('bad', line)),
    ...left.reasons.flatMap((reason) =>
      wrap(`${formatCount(reason.count)} × ${reasonText(reason)}`, width, '  ', '      '),
    ),
  ];
}

function reasonText({ reason, what, settings }: UnansweredReason): string {
  const raised = settings.length === 0 ? '' : ` (${settings.join(', ')})`;
  return `${reason}${what === null ? '' : `: ${what}`}${raised}`;
}

function violations({ violations: all }: StormReport, width: number, paint: Paint): string[] {
  if (all.length === 0) return ['Violations: none'];
  const sum = all.reduce((total, { count }) => total + count, 0);
  return [
    paint('bad', `Violations: ${formatCount(sum)}`),
    ...all.flatMap(({ id, what, clause, count, example }) => [
      ...wrap(`${formatCount(count)} × ${id} (${clause}): ${what}`, width, '  ', '      '),
      ...wrap(`first: ${example}`, width, '      '),
    ]),
  ];
}

function failures({ failures: all }: StormReport, width: number, paint: Paint): string[] {
  if (all.length === 0) return [];
  return [
    paint('bad', 'Failures'),
    ...all.flatMap(({ reason, stage, nodes, example }) => [
      ...wrap(`${formatMany(nodes, 'node')} in ${stage}: ${reason}`, width, '  ', '      '),
      ...wrap(`first: ${example}`, width, '      '),
    ]),
  ];
}

/** A packet that has arrived waits for the storm's event loop, so each measured time includes that delay. */
function ownShare({ event_loop_delay_ms: { p50, p99 } }: HarnessReport): string {
  return `the storm's own share of each time above: ${formatMs(p50)} (p50) to ${formatMs(p99)} (p99)`;
}

function harness({ harness: own, machine, duration_s }: StormReport, width: number, paint: Paint): string[] {
  const delay = own.event_loop_delay_ms;
  const figures = [
    `${own.engine} engine`,
    formatMany(own.threads, 'thread'),
    `CPU ${formatMs(own.cpu_s * 1000)}`,
    `busiest thread ${formatShare(own.busiest_thread, 1)}`,
    `event loop delay p99 ${formatMs(delay.p99)}, max ${formatMs(delay.max)}`,
    own.drops === null ? 'drops not known' : `${formatCount(own.drops)} datagrams dropped`,
  ];
  const { cpu, cores, node, kernel } = machine;
  const lines = [
    ...wrap(`Harness: ${list(figures, ' · ')}`, width, ''),
    ...wrap(`${cpu}, ${formatMany(cores, 'core')}, Node.js ${node}, ${kernel}`, width, '  '),
    ...wrap(ownShare(own), width, '  '),
    ...(duration_s < 1
      ? wrap('the storm is so short that its times include the start of its own threads', width, '  ')
      : []),
  ];
  if (!own.bottleneck) return lines;
  const loud = '!!! THE STORM ITSELF WAS THE BOTTLENECK: these figures describe the storm rather than the server';
  return [
    ...wrap(loud, width, '', '    ').map((line) => paint('loud', line)),
    ...own.reasons.flatMap((reason) => wrap(`!!! ${reason}`, width, '', '    ')),
    ...lines,
  ];
}

function verdict({ slo, unfinished }: StormReport, paint: Paint): string[] {
  const longest = Math.max(0, ...slo.checks.map(({ expression }) => expression.length));
  return [
    ...slo.checks.map(({ expression, actual, met }) => {
      const was = actual === null ? 'not known' : `was ${Number(actual.toPrecision(6))}`;
      return `  ${met ? paint('good', 'met   ') : paint('bad', 'MISSED')}  ${expression.padEnd(longest)}  ${was}`;
    }),
    paint(slo.met && unfinished === 0 ? 'good' : 'bad', slo.met ? `SLO met${stopped(unfinished)}` : 'SLO MISSED'),
  ];
}

/** When a storm was stopped early, an SLO that is met says nothing yet. */
function stopped(unfinished: number): string {
  return unfinished === 0 ? '' : `, but the storm was stopped with ${formatMany(unfinished, 'node')} unfinished`;
}

/**
 * Breaks text at spaces, and words that are too long for a line anywhere. The first line begins with `first`, the
 * others with `rest`.
 */
function wrap(text: string, width: number, first: string, rest = `${first}  `): string[] {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (let word of text.split(' ')) {
    for (;;) {
      const joined = empty ? `${line}${word}` : `${line} ${word}`;
      if (joined.length <= width) {
        line = joined;
        empty = false;
        break;
      }
      if (empty) {
        const fits = width - line.length;
        lines.push(`${line}${word.slice(0, fits)}`);
        word = word.slice(fits);
      } else lines.push(line);
      line = rest;
      empty = true;
    }
  }
  return [...lines, line].map((one) => one.replaceAll(GLUE, ' '));
}

/** Joins figures; none is broken between its number and its unit. */
function list(figures: readonly string[], separator: string): string {
  return figures.map((figure) => figure.replaceAll(' ', GLUE)).join(separator);
}

/**
 * Lays out rows in columns: the first `names` left-aligned, the others right-aligned. A long name is cut to keep the
 * width.
 */
function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  names: number,
  width: number,
  paint: Paint,
): string[] {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const gaps = 2 * (widths.length - 1);
  for (let column = 0; column < names; column++) {
    const others = widths.reduce((sum, one, index) => sum + (index === column ? 0 : one), gaps);
    widths[column] = Math.max(8, Math.min(widths[column]!, width - others));
  }
  return all.map((row, index) => {
    const cells = row.map((cell, column) => {
      const most = widths[column]!;
      if (column >= names) return cell.padStart(most);
      return (cell.length > most ? `${cell.slice(0, most - 1)}…` : cell).padEnd(most);
    });
    const line = cells.join('  ').trimEnd();
    return index === 0 ? paint('bold', line) : line;
  });
}
