/** What a run of checks has found: the shape of its JSON, and the table made of it. Pure data and text. */
import { type Verdict, VERDICTS } from './verdict.ts';

export const CHECK_SCHEMA = 'reveille-check/1';

export interface CheckResult extends Verdict {
  /** The statement's number in docs/statements.md. */
  readonly number: number;
  readonly title: string;
  readonly clause: string;
  readonly duration_ms: number;
}

export interface CheckReport {
  readonly schema: typeof CHECK_SCHEMA;
  /** ISO 8601. */
  readonly started_at: string;
  /** `127.0.0.1:6969`, `[::1]:69`. */
  readonly server: string;
  readonly files: readonly { readonly name: string; readonly size_bytes: number | null }[];
  readonly duration_s: number;
  /** Why nothing could be checked, in words; null when it could. */
  readonly fault: string | null;
  /**
   * The checks that may have silenced the server: it answered before they were over and never again. Null when it
   * still answered at the end.
   */
  readonly fell_silent_after: readonly number[] | null;
  /** Why the run ended before its last check; null when it did not. */
  readonly cut_short: string | null;
  readonly pass: number;
  readonly fail: number;
  readonly not_offered: number;
  readonly not_tried: number;
  /** In the order of their numbers. */
  readonly checks: readonly CheckResult[];
}

const VERDICT_WIDTH = Math.max(...VERDICTS.map((verdict) => verdict.length));
const NUMBER_WIDTH = 3;

/** One line for each statement, and one below it that says why where it is no pass. */
export function checkTable({ checks }: CheckReport): string {
  const indent = ' '.repeat(NUMBER_WIDTH + VERDICT_WIDTH + 4);
  return checks
    .map(({ number, verdict, title, detail }) => {
      const line = `${String(number).padStart(NUMBER_WIDTH)}  ${verdict.padEnd(VERDICT_WIDTH)}  ${title}\n`;
      return verdict === 'pass' || detail === '' ? line : `${line}${indent}${detail}\n`;
    })
    .join('');
}

/** `127.0.0.1:6969: 60 passed, 2 failed (67, 75), 5 not offered, 3 not tried; 34 s`, and how it ended if not well. */
export function checkSummary(report: CheckReport): string {
  const failed = report.checks.filter(({ verdict }) => verdict === 'fail').map(({ number }) => number);
  const numbers = failed.length === 0 ? '' : ` (${failed.join(', ')})`;
  const counts = `${report.pass} passed, ${report.fail} failed${numbers}`;
  const rest = `${report.not_offered} not offered, ${report.not_tried} not tried; ${Math.round(report.duration_s)} s`;
  const silent = report.fell_silent_after;
  const ends = [
    ...(silent === null ? [] : [`; the server fell silent after check ${silent.join(' or ')}`]),
    ...(report.cut_short === null ? [] : [`; cut short: ${report.cut_short}`]),
  ];
  return `${report.server}: ${counts}, ${rest}${ends.join('')}\n`;
}
