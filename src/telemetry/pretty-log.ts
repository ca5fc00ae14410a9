/**
 * The log for people: turns each JSON line into a line of time, level, message and fields. Knows nothing of their
 * meaning; all text in them has been escaped before.
 */
import type { LogTarget } from './log.ts';

/** ANSI colors: only the level has one. */
const COLOURS: Readonly<Record<string, number>> = { debug: 90, info: 36, warn: 33, error: 31, fatal: 31 };

function shown(value: unknown): string {
  if (typeof value === 'string') return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
  return JSON.stringify(value) ?? '';
}

/**
 * Formats `2026-01-31 12:00:00.250 WARN  transfer client=192.0.2.7:2070 file=boot/linux …`; the time is UTC, as in the
 * JSON line.
 *
 * @param line a line as pino writes it. A line that is not JSON is returned as it is.
 */
export function prettyLine(line: string, colour: boolean): string {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const { level, time, msg, ...rest } = fields;
  const word = String(level).toUpperCase().padEnd(5);
  const painted = colour ? `\x1b[${COLOURS[String(level)] ?? 0}m${word}\x1b[0m` : word;
  const when = String(time).replace('T', ' ').replace('Z', '');
  const details = Object.entries(rest).map(([key, value]) => `${key}=${shown(value)}`);
  return `${[when, painted, String(msg), ...details].join(' ')}\n`;
}

/** @param colour true when the reader is a terminal with colors. */
export function prettyTarget(target: LogTarget, colour: boolean): LogTarget {
  return {
    write: (line) => target.write(prettyLine(line, colour)),
    close: () => target.close(),
  };
}
