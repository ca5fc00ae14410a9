/**
 * Progress of a running storm: a few lines redrawn in place on a terminal, or a line at intervals elsewhere. Knows
 * StormProgress and how a terminal is driven; the time is that of the snapshots.
 */
import { formatBytes, formatCount, formatMs, formatRate, formatShare } from '../../text/figures.ts';
import { CLEAR_BELOW, CLEAR_TO_END, HIDE_CURSOR, NARROWEST, SHOW_CURSOR, type Terminal } from '../../text/terminal.ts';
import type { StormProgress } from '../report.ts';

/** Least time between redraws: at most five a second. */
const REDRAW_MS = 200;
/** Least time between plain lines. */
const LINE_MS = 5000;
const WIDEST_BAR = 60;

function cut(line: string, width: number): string {
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}

/** Joins as many of `parts`, in order, as fit into a line; at least the first. */
function fitting(parts: readonly string[], width: number): string {
  let line = parts[0] ?? '';
  for (const part of parts.slice(1)) {
    if (line.length + part.length + 3 <= width) line += ` · ${part}`;
  }
  return cut(line, width);
}

/**
 * Estimates the time left from the bytes received, where the total is known: nodes that began together end together,
 * and until then only bytes show progress. Otherwise estimates from the nodes that have ended.
 */
function eta({ nodes, completed, failed, elapsedMs, bytes, bytesInAll = 0 }: StormProgress): string {
  const ended = completed + failed;
  if (ended >= nodes) return 'all ended';
  // Failed nodes fetch no more.
  const toCome = bytesInAll * (1 - failed / nodes) - bytes;
  if (bytes > 0 && toCome > 0) return `ETA ${formatMs((toCome / bytes) * elapsedMs)}`;
  return ended === 0 ? 'ETA –' : `ETA ${formatMs(((nodes - ended) / ended) * elapsedMs)}`;
}

/** Draws `[=====xx---]`: completed, failed, neither. Failed nodes show, however few. */
function bar({ nodes, completed, failed }: StormProgress, cells: number): string {
  const share = (count: number): number => (nodes === 0 ? 0 : Math.min(1, count / nodes) * cells);
  const bad = Math.min(cells, failed > 0 ? Math.max(1, Math.round(share(failed))) : 0);
  const good = Math.min(cells - bad, Math.floor(share(completed)));
  return `[${'='.repeat(good)}${'x'.repeat(bad)}${'-'.repeat(cells - bad - good)}]`;
}

function outcome({ nodes, completed, failed }: StormProgress): string {
  return `${formatCount(completed)} of ${formatCount(nodes)} booted${failed > 0 ? `, ${formatCount(failed)} failed` : ''}`;
}

function places({ waiting, inStage }: StormProgress): string[] {
  const all = [{ name: 'waiting', nodes: waiting }, ...inStage];
  return all.filter(({ nodes }) => nodes > 0).map(({ name, nodes }) => `${name} ${formatCount(nodes)}`);
}

/** @param width columns that a line may take. @returns the lines for a terminal, always three. */
export function renderLines(progress: StormProgress, width: number): string[] {
  const { elapsedMs, nodes, completed, failed, bytes, bytesPerS, retransmits } = progress;
  const share = nodes === 0 ? '' : ` ${formatShare(completed + failed, nodes)}`;
  const figures = ` ${outcome(progress)}`;
  const cells = Math.min(WIDEST_BAR, width - share.length - figures.length - 2);
  const drawn = cells >= 8 ? `${bar(progress, cells)}${share}${figures}` : figures.trim();
  return [
    cut(drawn, width),
    fitting(places(progress).length === 0 ? ['no node is under way'] : places(progress), width),
    fitting(
      [
        formatRate(bytesPerS),
        eta(progress),
        `after ${formatMs(elapsedMs)}`,
        `retransmits ${formatCount(retransmits.client)} by nodes, ${formatCount(retransmits.server)} by the server`,
        formatBytes(bytes),
      ],
      width,
    ),
  ];
}

/** @returns the same in one line, for a log. */
export function renderLine(progress: StormProgress): string {
  const { elapsedMs, bytesPerS, retransmits } = progress;
  return [
    `after ${formatMs(elapsedMs)}: ${outcome(progress)}`,
    ...places(progress),
    formatRate(bytesPerS),
    `retransmits ${formatCount(retransmits.client)} by nodes, ${formatCount(retransmits.server)} by the server`,
    eta(progress),
  ].join(', ');
}

export class LiveView {
  readonly #screen: Terminal;
  /** The lines on the terminal above the cursor. */
  #drawn: readonly string[] = [];
  #drawnAt = Number.NEGATIVE_INFINITY;
  /** A snapshot that is not shown yet. */
  #latest: StormProgress | undefined;
  #hidden = false;
  #closed = false;

  constructor(screen: Terminal) {
    this.#screen = screen;
  }

  /** Shows the snapshot, unless the last one was shown just before. */
  update(progress: StormProgress): void {
    if (this.#closed) return;
    this.#latest = progress;
    if (progress.elapsedMs - this.#drawnAt < (this.#screen.isTTY === true ? REDRAW_MS : LINE_MS)) return;
    this.#show(progress);
  }

  /**
   * Shows the last snapshot and restores the terminal. Must be called however the storm ends, a signal included; calls
   * after the first one do nothing.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#latest !== undefined) this.#show(this.#latest);
    if (this.#hidden) this.#screen.write(SHOW_CURSOR);
  }

  #show(progress: StormProgress): void {
    this.#latest = undefined;
    this.#drawnAt = progress.elapsedMs;
    if (this.#screen.isTTY !== true) {
      this.#screen.write(`${renderLine(progress)}\n`);
      return;
    }
    // A terminal that does not know its width says 0. One column stays free: a character in the last one makes some
    // terminals wrap.
    const columns = Math.max(NARROWEST, this.#screen.columns || 80);
    // A terminal that was made narrower has wrapped the lines drawn before.
    const rows = this.#drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / columns)), 0);
    const lines = renderLines(progress, columns - 1);
    const up = rows > 0 ? `\r\x1b[${rows}A` : '';
    const hide = this.#hidden ? '' : HIDE_CURSOR;
    this.#hidden = true;
    this.#screen.write(`${hide}${up}${lines.map((line) => `${line}${CLEAR_TO_END}\n`).join('')}${CLEAR_BELOW}`);
    this.#drawn = lines;
  }
}
