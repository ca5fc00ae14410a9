/**
 * Service level objectives: `failed=0,finish.p99<60s`. Parses them and checks a report against them. Knows the report's
 * figures and no way to show a verdict.
 */
import { shown } from './input-mistake.ts';
import type { Percentiles, SloCheck, StageReport, StormReport } from './report.ts';

/** Objectives used when none are given. For these, a figure that could not be measured counts as met: see parseSlo. */
export const DEFAULT_SLO = 'failed=0,wrong_bytes=0,mixed_versions=0';

/** A report that has not been checked against objectives yet. */
export type UnjudgedReport = Omit<StormReport, 'slo'>;

/** An SLO that cannot be parsed. The message is one line: what, where, what was expected. */
export class SloError extends Error {
  override readonly name = 'SloError';
}

/**
 * Accepted units for each kind of figure, each as a multiple of the figure's own unit. The empty unit is a bare number.
 */
const UNITS = {
  count: { '': 1 },
  /** A percentage depends on the number of nodes in the report: evaluate() computes it. */
  nodes: { '': 1, '%': Number.NaN },
  ms: { ms: 1, s: 1000, m: 60_000 },
  rate: {
    'B/s': 1,
    'KB/s': 1e3,
    'kB/s': 1e3,
    'MB/s': 1e6,
    'GB/s': 1e9,
    'KiB/s': 2 ** 10,
    'MiB/s': 2 ** 20,
    'GiB/s': 2 ** 30,
  },
} as const satisfies Record<string, Readonly<Record<string, number>>>;
type Kind = keyof typeof UNITS;

const EXPECTED: Readonly<Record<Kind, string>> = {
  count: 'a bare number such as 0',
  nodes: 'a bare number or a share of all nodes such as 1%',
  ms: 'a time with its unit: 110ms, 1.5s, 2m',
  rate: 'a rate with its unit: 100MB/s, 64MiB/s, 1GB/s',
};

interface Metric<Subject> {
  readonly kind: Kind;
  /** @returns null when the figure could not be known. */
  readonly of: (subject: Subject) => number | null;
}

/** A metric whose name has been resolved, ready to be read from a report. */
type Reading = Metric<UnjudgedReport>;

const PERCENTILES = ['p50', 'p90', 'p99', 'max'] as const;

/** Makes the metrics `name.p50`, `name.p90`, `name.p99` and `name.max`. */
function percentilesOf<Subject>(
  name: string,
  unitMs: number,
  of: (subject: Subject) => Percentiles | null,
): Record<string, Metric<Subject>> {
  return Object.fromEntries(
    PERCENTILES.map((share) => {
      const metric: Metric<Subject> = {
        kind: 'ms',
        of: (subject) => {
          const percentiles = of(subject);
          return percentiles === null ? null : percentiles[share] * unitMs;
        },
      };
      return [`${name}.${share}`, metric];
    }),
  );
}

const METRICS: Readonly<Record<string, Reading>> = {
  failed: { kind: 'nodes', of: (report) => report.failed },
  completed: { kind: 'nodes', of: (report) => report.completed },
  unfinished: { kind: 'nodes', of: (report) => report.unfinished },
  wrong_bytes: { kind: 'count', of: (report) => report.wrong_bytes },
  mixed_versions: { kind: 'nodes', of: (report) => report.mixed_versions },
  violations: { kind: 'count', of: (report) => report.violations.reduce((sum, { count }) => sum + count, 0) },
  duplicate_tids: { kind: 'count', of: (report) => report.duplicate_tids },
  'retransmits.client': { kind: 'count', of: (report) => report.retransmits.client },
  'retransmits.server': { kind: 'count', of: (report) => report.retransmits.server },
  duration: { kind: 'ms', of: (report) => report.duration_s * 1000 },
  throughput: { kind: 'rate', of: (report) => (report.duration_s > 0 ? report.bytes / report.duration_s : null) },
  ...percentilesOf<UnjudgedReport>('first_reply', 1, (report) => report.first_reply_ms),
  ...percentilesOf<UnjudgedReport>('finish', 1000, (report) => report.finish_s),
  'harness.drops': { kind: 'count', of: (report) => report.harness.drops },
  'harness.bottleneck': { kind: 'count', of: (report) => Number(report.harness.bottleneck) },
};

/** Metrics of one stage, named `stages.NAME.` and one of these. */
const STAGE_METRICS: Readonly<Record<string, Metric<StageReport>>> = {
  failed: { kind: 'nodes', of: (stage) => stage.failed },
  ...percentilesOf<StageReport>('first_reply', 1, (stage) => stage.first_reply_ms),
  ...percentilesOf<StageReport>('duration', 1, (stage) => stage.duration_ms),
};

/** The names of the metrics, for people: the percentiles of one figure share an entry. */
export const METRIC_NAMES: readonly string[] = [
  ...Object.keys(METRICS),
  ...Object.keys(STAGE_METRICS).map((name) => `stages.NAME.${name}`),
]
  .filter((name) => !/\.(?:p90|p99|max)$/.test(name))
  .map((name) => name.replace(/\.p50$/, `.${PERCENTILES.join('|')}`));

const OPERATORS = {
  '=': (actual: number, limit: number) => actual === limit,
  '<': (actual: number, limit: number) => actual < limit,
  '<=': (actual: number, limit: number) => actual <= limit,
  '>': (actual: number, limit: number) => actual > limit,
  '>=': (actual: number, limit: number) => actual >= limit,
} as const;

interface Objective {
  readonly expression: string;
  readonly reading: Reading;
  readonly meets: (actual: number, limit: number) => boolean;
  readonly unit: string;
  /** The limit in `unit`. */
  readonly limit: number;
  /** True: the objective is left out when its figure is null. */
  readonly ifKnown: boolean;
}

export type Slo = readonly Objective[];

/**
 * @param text objectives separated by commas; spaces do not matter. Undefined stands for DEFAULT_SLO, whose objectives
 * are left out when their figure could not be known; in a text given by the user, such a figure is a miss.
 * @param stages names of the plan's stages, where known; any other name is an error.
 * @throws SloError
 */
export function parseSlo(text?: string, stages?: readonly string[]): Slo {
  const objectives: Objective[] = [];
  let at = 0;
  for (const piece of (text ?? DEFAULT_SLO).split(',')) {
    const place = at + (piece.length - piece.trimStart().length) + 1;
    objectives.push(parseObjective(piece.trim(), place, stages, text === undefined));
    at += piece.length + 1;
  }
  return objectives;
}

function parseObjective(
  expression: string,
  place: number,
  stages: readonly string[] | undefined,
  ifKnown: boolean,
): Objective {
  const fail = (why: string): never => {
    throw new SloError(`SLO, character ${place}: ${why}`);
  };
  const parts = /^([^<>=]+?)\s*(<=|>=|=|<|>)\s*([^<>=]*)$/.exec(expression);
  if (parts === null) {
    return fail(`expected METRIC OPERATOR NUMBER such as failed=0 or finish.p99<60s, got ${shown(expression)}`);
  }
  const [, name, operator, right] = parts as unknown as [string, string, keyof typeof OPERATORS, string];
  const reading = readingOf(name, stages, fail);
  const number = /^([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(\D*)$/.exec(right);
  const units: Readonly<Record<string, number>> = UNITS[reading.kind];
  const unit = number?.[2] ?? '';
  // 0 needs no unit.
  const bareZero = unit === '' && Number(number?.[1]) === 0;
  if (number === null || !(Object.hasOwn(units, unit) || bareZero)) {
    return fail(`expected ${EXPECTED[reading.kind]} after ${shown(name + operator)}, got ${shown(right)}`);
  }
  return {
    expression: expression.replaceAll(/\s+/g, ' '),
    reading,
    meets: OPERATORS[operator],
    unit: Object.hasOwn(units, unit) ? unit : Object.keys(units)[0]!,
    limit: Number(number[1]),
    ifKnown,
  };
}

function readingOf(name: string, stages: readonly string[] | undefined, fail: (why: string) => never): Reading {
  if (Object.hasOwn(METRICS, name)) return METRICS[name]!;
  if (name.startsWith('stages.')) {
    const asked = Object.keys(STAGE_METRICS).find((known) => name.endsWith(`.${known}`));
    const stage = asked === undefined ? '' : name.slice('stages.'.length, -asked.length - 1);
    if (asked !== undefined && stage !== '') {
      if (stages !== undefined && !stages.includes(stage)) {
        const known = stages.map(shown).join(', ');
        return fail(`expected one of the plan's stages (${known}) in ${shown(name)}, got ${shown(stage)}`);
      }
      const { kind, of } = STAGE_METRICS[asked]!;
      return {
        kind,
        of: (report) => {
          const found = report.stages.find((candidate) => candidate.name === stage);
          return found === undefined ? null : of(found);
        },
      };
    }
  }
  return fail(`expected a metric, one of ${METRIC_NAMES.join(', ')}, got ${shown(name)}`);
}

/** Removes the noise of binary fractions: 0.11 s is 110 ms. */
function tidy(value: number): number {
  return Number(value.toPrecision(12));
}

/** @returns a check for each objective, in order, without the default ones whose figure could not be known. */
export function evaluate(slo: Slo, report: UnjudgedReport): SloCheck[] {
  const checks: SloCheck[] = [];
  for (const { expression, reading, meets, unit, limit, ifKnown } of slo) {
    const figure = reading.of(report);
    if (figure === null && ifKnown) continue;
    const units: Readonly<Record<string, number>> = UNITS[reading.kind];
    const one = unit === '%' ? report.nodes / 100 : units[unit]!;
    // A share of no nodes cannot be known.
    const actual = figure === null || one === 0 ? null : tidy(figure / one);
    checks.push({ expression, actual, met: actual !== null && meets(actual, limit) });
  }
  return checks;
}
