/** The result of a run of checks: the shape of its JSON, and the table built from it. Pure data and text. */
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
  /** Start time, ISO 8601. */
  readonly started_at: string;
  /** The server as `127.0.0.1:6969` or `[::1]:69`. */
  readonly server: string;
  readonly files: readonly { readonly name: string; readonly size_bytes: number | null }[];
  readonly duration_s: number;
  /** Why nothing could be checked, as text; null when something could. */
  readonly fault: string | null;
  /**
   * The checks that may have silenced the server: they were not over when it last replied. Null when it still replied
   * at the end.
   */
  readonly fell_silent_after: readonly number[] | null;
  /** Why the run ended before its last check; null when it did not. */
  readonly cut_short: string | null;
  readonly pass: number;
  readonly fail: number;
  readonly not_offered: number;
  readonly not_tried: number;
  /** Results in the order of their numbers. */
  readonly checks: readonly CheckResult[];
}

const VERDICT_WIDTH = Math.max(...VERDICTS.map((verdict) => verdict.length));
const NUMBER_WIDTH = 3;

/** Formats one line for each statement, followed by a line with the reason where it did not pass. */
export function checkTable({ checks }: CheckReport): string {
  const indent = ' '.repeat(NUMBER_WIDTH + VERDICT_WIDTH + 4);
  return checks
    .map(({ number, verdict, title, detail }) => {
      const line = `${String(number).padStart(NUMBER_WIDTH)}  ${verdict.padEnd(VERDICT_WIDTH)}  ${title}\n`;
      return verdict === 'pass' || detail === '' ? line : `${line}${indent}${detail}\n`;
    })
    .join('');
}

/** Formats `127.0.0.1:6969: 60 passed, 2 failed (67, 75), 5 not offered, 3 not tried; 34 s`, and an abnormal end. */
export function checkSummary(report: CheckReport): string {
  const failed = report.checks.filter(({ verdict }) => verdict === 'fail').map(({ number }) => number);
  const numbers = failed.length === 0 ? '' : ` (${failed.join(', ')})`;
  const counts = `${report.pass} passed, ${report.fail} failed${numbers}`;
  const rest = `${report.not_offered} not offered, ${report.not_tried} not tried; ${Math.round(report.duration_s)} s`;
  const silent = report.fell_silent_after;
  const ends = [
    ...(silent === null ? [] : [`; the server fell silent after check ${silent.join(' or ')}`]),
    ...(report.cut_short === null ? [] : [`; stopped early: ${report.cut_short}`]),
  ];
  return `${report.server}: ${counts}, ${rest}${ends.join('')}\n`;
}
