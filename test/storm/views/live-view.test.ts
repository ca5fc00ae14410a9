/** The live view: its lines, how often they are drawn, and that it restores the terminal. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LiveView, renderLine, renderLines } from '../../../src/storm/views/live-view.ts';
import type { StormProgress } from '../../../src/storm/report.ts';

function progress(change: Partial<StormProgress> = {}): StormProgress {
  return {
    elapsedMs: 31_400,
    nodes: 1000,
    waiting: 120,
    inStage: [
      { name: 'loader', nodes: 30 },
      { name: 'config', nodes: 0 },
      { name: 'kernel', nodes: 227 },
    ],
    completed: 620,
    failed: 3,
    bytes: 9.1e9,
    bytesPerS: 287e6,
    retransmits: { client: 1742, server: 96 },
    ...change,
  };
}

const ESC = '\x1b';
const CODE_OR_CHARACTER = new RegExp(`${ESC}\\[(?:\\?25[lh]|(\\d+)A|[KJ])|[^]`, 'g');

/** A simulated terminal: applies the control codes it receives to a screen, and throws on unknown codes. */
class Terminal {
  readonly isTTY: boolean = true;
  columns: number;
  cursorShown = true;
  writes = 0;
  #rows: string[] = [''];
  #row = 0;
  #column = 0;

  constructor(columns: number) {
    this.columns = columns;
  }

  get screen(): string[] {
    return this.#rows.map((row) => row.trimEnd());
  }

  /** Makes the terminal narrower: it wraps the lines on its screen again. */
  resize(columns: number): void {
    this.columns = columns;
    const before = this.#rows.slice(0, this.#row);
    this.#rows = [...before, ''].flatMap((row) => row.match(new RegExp(`.{1,${columns}}`, 'g')) ?? ['']);
    this.#row = this.#rows.length - 1;
  }

  write(text: string): void {
    this.writes++;
    for (const [code, up] of text.matchAll(CODE_OR_CHARACTER)) {
      if (code === '\x1b[?25l' || code === '\x1b[?25h') this.cursorShown = code.endsWith('h');
      else if (up !== undefined) this.#row = Math.max(0, this.#row - Number(up));
      else if (code === '\x1b[K') this.#rows[this.#row] = this.#rows[this.#row]!.slice(0, this.#column);
      else if (code === '\x1b[J') {
        this.#rows.length = this.#row + 1;
        this.#rows[this.#row] = this.#rows[this.#row]!.slice(0, this.#column);
      } else if (code === '\r') this.#column = 0;
      else if (code === '\n') {
        this.#row++;
        this.#column = 0;
        this.#rows[this.#row] ??= '';
      } else this.#type(code);
    }
  }

  #type(character: string): void {
    if (character === ESC) throw new Error('A code that this terminal does not know');
    if (this.#column >= this.columns) throw new Error(`Column ${this.#column} of ${this.columns}`);
    const row = this.#rows[this.#row]!.padEnd(this.#column);
    this.#rows[this.#row] = row.slice(0, this.#column) + character + row.slice(this.#column + 1);
    this.#column++;
  }
}

describe('the lines of a live view', () => {
  it('say how many have booted and failed, where the others are, how fast it goes and how long it will take', () => {
    expect(renderLines(progress(), 100)).toEqual([
      `[${'='.repeat(37)}x${'-'.repeat(22)}] 62.3 % 620 of 1,000 booted, 3 failed`,
      'waiting 120 · loader 30 · kernel 227',
      '287 MB/s · ETA 19.0 s · after 31.4 s · retransmits 1,742 by nodes, 96 by the server · 9.10 GB',
    ]);
  });

  it('leave out what a narrow terminal has no room for, least important first', () => {
    expect(renderLines(progress(), 45)).toEqual([
      '620 of 1,000 booted, 3 failed',
      'waiting 120 · loader 30 · kernel 227',
      '287 MB/s · ETA 19.0 s · after 31.4 s',
    ]);
  });

  it('estimate the ETA of a burst from the bytes', () => {
    const burst = progress({ completed: 0, failed: 0, bytes: 10e9, bytesInAll: 40e9, elapsedMs: 30_000 });
    expect(renderLines(burst, 100)[2]).toContain('ETA 90.0 s');
    // The half of the nodes that has failed fetches no more.
    expect(renderLine({ ...burst, failed: 500 })).toContain('ETA 30.0 s');
    expect(renderLine({ ...burst, bytes: 0 })).toContain('ETA –');
  });

  it('show no ETA before the first node has ended, and none after the last one', () => {
    const nobody = progress({ completed: 0, failed: 0, waiting: 1000, inStage: [] });
    expect(renderLines(nobody, 100)[2]).toContain('ETA –');
    const all = progress({ completed: 990, failed: 10, waiting: 0, inStage: [] });
    expect(renderLines(all, 100)).toEqual([
      expect.stringMatching(/^\[=+x\] 100 % 990 of 1,000 booted, 10 failed$/),
      'no node is under way',
      expect.stringContaining('all ended'),
    ]);
  });

  it('fit any width, and are always three, each free of line breaks', () => {
    const count = fc.nat(10_000);
    fc.assert(
      fc.property(fc.integer({ min: 19, max: 250 }), count, count, count, (width, completed, failed, waiting) => {
        const lines = renderLines(progress({ nodes: completed + failed + waiting, completed, failed, waiting }), width);
        expect(lines).toHaveLength(3);
        for (const line of lines) {
          expect(line.length).toBeLessThanOrEqual(width);
          expect(line).toMatch(/^[ -~·–…]+$/);
        }
      }),
    );
  });

  it('are one line with all of this in a log', () => {
    expect(renderLine(progress())).toBe(
      'after 31.4 s: 620 of 1,000 booted, 3 failed, waiting 120, loader 30, kernel 227, 287 MB/s, ' +
        'retransmits 1,742 by nodes, 96 by the server, ETA 19.0 s',
    );
  });
});

describe('a live view on a terminal', () => {
  it('is redrawn in place, at most five times a second, and once more at the end', () => {
    const terminal = new Terminal(100);
    const view = new LiveView(terminal);
    for (let elapsedMs = 0; elapsedMs < 1000; elapsedMs += 10) view.update(progress({ elapsedMs }));
    expect(terminal.writes).toBe(5);
    expect(terminal.screen).toEqual([...renderLines(progress({ elapsedMs: 800 }), 99), '']);
    view.close();
    expect(terminal.screen).toEqual([...renderLines(progress({ elapsedMs: 990 }), 99), '']);
  });

  it('hides the cursor while it draws, and shows it again when it is closed', () => {
    const terminal = new Terminal(100);
    const view = new LiveView(terminal);
    view.update(progress());
    expect(terminal.cursorShown).toBe(false);
    view.close();
    expect(terminal.cursorShown).toBe(true);
  });

  it('leaves nothing of a longer line', () => {
    const terminal = new Terminal(100);
    const view = new LiveView(terminal);
    const later = progress({ elapsedMs: 60_000, waiting: 0, completed: 997, inStage: [] });
    view.update(progress());
    view.update(later);
    expect(terminal.screen).toEqual([...renderLines(later, 99), '']);
  });

  it('draws over its own lines when the terminal was made narrower, so that they broke', () => {
    const terminal = new Terminal(100);
    const view = new LiveView(terminal);
    view.update(progress());
    terminal.resize(40);
    expect(terminal.screen.length).toBeGreaterThan(4);
    view.update(progress({ elapsedMs: 40_000 }));
    expect(terminal.screen).toEqual([...renderLines(progress({ elapsedMs: 40_000 }), 39), '']);
  });

  it('takes 80 columns where the width is not known', () => {
    const terminal = new Terminal(200);
    const view = new LiveView({ isTTY: true, columns: 0, write: (text) => terminal.write(text) });
    view.update(progress());
    expect(terminal.screen).toEqual([...renderLines(progress(), 79), '']);
  });

  it('writes nothing when it is closed again, updated after that, or closed before anything came', () => {
    const terminal = new Terminal(100);
    new LiveView(terminal).close();
    expect(terminal.writes).toBe(0);
    const view = new LiveView(terminal);
    view.update(progress());
    view.close();
    const { writes } = terminal;
    view.close();
    view.update(progress({ elapsedMs: 90_000 }));
    expect(terminal.writes).toBe(writes);
  });
});

describe('a live view elsewhere', () => {
  it('is a plain line at most every five seconds and one at the end', () => {
    const written: string[] = [];
    const view = new LiveView({ write: (text) => written.push(text) });
    for (let elapsedMs = 0; elapsedMs <= 12_000; elapsedMs += 100) view.update(progress({ elapsedMs }));
    view.close();
    view.close();
    expect(written).toEqual([0, 5000, 10_000, 12_000].map((elapsedMs) => `${renderLine(progress({ elapsedMs }))}\n`));
    expect(written.join('')).not.toContain('\x1b');
  });

  it('does not print the last line twice', () => {
    const written: string[] = [];
    const view = new LiveView({ write: (text) => written.push(text) });
    view.update(progress());
    view.close();
    expect(written).toHaveLength(1);
  });
});
