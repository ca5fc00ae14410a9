/** A download's progress as one line of text. Knows how figures are written for people; time is an argument. */
import { formatBytes, formatRate } from '../../text/figures.ts';
import { CLEAR_TO_END, NARROWEST, type Terminal } from '../../text/terminal.ts';

/** Width of the bar, and the least one: on a narrow terminal it leaves its place to the figures. */
const BAR_WIDTH = 24;
const LEAST_BAR_WIDTH = 8;
/** Least time between redraws: at most ten a second. */
const REDRAW_MS = 100;

/** Formats `0:07`, `12:30`, `1:00:00`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  const tail = `${String(Math.floor(whole / 60) % 60)}:${String(whole % 60).padStart(2, '0')}`;
  return whole < 3600 ? tail : `${Math.floor(whole / 3600)}:${tail.padStart(5, '0')}`;
}

export interface ProgressFigures {
  readonly bytes: number;
  /** The length that the server announced, if it did. */
  readonly total: number | undefined;
  readonly elapsedMs: number;
}

/** @returns one line of at most `columns` characters. */
export function progressLine(label: string, { bytes, total, elapsedMs }: ProgressFigures, columns: number): string {
  const perSecond = elapsedMs > 0 ? (bytes / elapsedMs) * 1000 : 0;
  const rate = formatRate(perSecond);
  const parts = [label];
  if (total === undefined || total === 0) parts.push(formatBytes(bytes), rate);
  else {
    const share = Math.min(1, bytes / total);
    parts.push(
      `${String(Math.floor(share * 100)).padStart(3)}%`,
      `${formatBytes(bytes)} of ${formatBytes(total)}`,
      rate,
    );
    if (share < 1 && perSecond > 0) parts.push(`${formatSeconds((total - bytes) / perSecond)} left`);
    // Brackets, and two spaces before them.
    const room = columns - parts.join('  ').length - 4;
    const width = Math.min(BAR_WIDTH, Math.max(LEAST_BAR_WIDTH, room));
    const filled = Math.round(share * width);
    parts.splice(1, 0, `[${'='.repeat(filled)}${' '.repeat(width - filled)}]`);
  }
  return parts.join('  ').slice(0, columns);
}

/** Draws progress on a terminal, over itself. */
export class ProgressBar {
  readonly #screen: Terminal;
  readonly #label: string;
  readonly #startedAt: number;
  #drawnAt = Number.NEGATIVE_INFINITY;

  /** @param label text that is safe to show. @param now milliseconds of the same clock as in the other calls. */
  constructor(screen: Terminal, label: string, now: number) {
    this.#screen = screen;
    this.#label = label;
    this.#startedAt = now;
  }

  update(bytes: number, total: number | undefined, now: number): void {
    if (now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    // A terminal that does not know its width says 0. One column stays free: a character in the last one makes some
    // terminals wrap.
    const columns = Math.max(NARROWEST, (this.#screen.columns || 80) - 1);
    this.#screen.write(
      `\r${progressLine(this.#label, { bytes, total, elapsedMs: now - this.#startedAt }, columns)}${CLEAR_TO_END}`,
    );
  }

  /** Draws the last state and ends the line. */
  finish(bytes: number, total: number | undefined, now: number): void {
    this.#drawnAt = Number.NEGATIVE_INFINITY;
    this.update(bytes, total, now);
    this.#screen.write('\n');
  }
}
