/** Parses the spans of time and shares in plans and flags. Knows nothing of what they measure. */
import type { Span } from './plan.ts';

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };
/** One day: a longer time is a mistake. */
const MAX_MS = 86_400_000;

/** Parses `500ms`, `30s`, `1.5m`, or a bare 0. @returns whole milliseconds, or undefined. */
export function parseMs(text: string): number | undefined {
  if (text === '0') return 0;
  const match = /^([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m)$/.exec(text);
  if (match === null) return undefined;
  const ms = Math.round(Number(match[1]) * UNIT_MS[match[2]!]!);
  return ms <= MAX_MS ? ms : undefined;
}

/**
 * Parses `100ms` or `100ms..300ms`. @returns undefined when the text is neither, or when the span ends before it
 * begins.
 */
export function parseSpan(text: string): Span | undefined {
  const [from = '', to = from, ...rest] = text.split('..');
  const fromMs = parseMs(from);
  const toMs = parseMs(to);
  if (fromMs === undefined || toMs === undefined || rest.length > 0 || fromMs > toMs) return undefined;
  return { fromMs, toMs };
}

/** Parses `1%`, `0.05%`, `100%`. @returns 0..1, or undefined. */
export function parseShare(text: string): number | undefined {
  const match = /^([0-9]{1,3}(?:\.[0-9]{1,6})?)%$/.exec(text);
  if (match === null) return undefined;
  const share = Number(match[1]) / 100;
  return share <= 1 ? share : undefined;
}
