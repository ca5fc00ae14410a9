import { describe, expect, it } from 'vitest';
import { formatSeconds, ProgressBar, progressLine } from '../../../src/cli/views/progress.ts';

const MB = 1e6;

describe('progress', () => {
  it.each([
    [0.2, '0:01'],
    [61, '1:01'],
    [3600, '1:00:00'],
    [3725, '1:02:05'],
  ])('%d seconds read as %s', (seconds, text) => {
    expect(formatSeconds(seconds)).toBe(text);
  });

  it('with a known size shows the share, the rate and what is left', () => {
    expect(progressLine('linux', { bytes: 10 * MB, total: 40 * MB, elapsedMs: 2000 }, 200)).toBe(
      `linux  [======${' '.repeat(18)}]   25%  10.0 MB of 40.0 MB  5.00 MB/s  0:06 left`,
    );
  });

  it('shows all figures on 80 columns, beside a shorter bar', () => {
    const figures = { bytes: 123 * MB, total: 1230 * MB, elapsedMs: 10_000 };
    expect(progressLine('linux', figures, 79)).toBe(
      `linux  [==${' '.repeat(21)}]   10%  123 MB of 1.23 GB  12.3 MB/s  1:30 left`,
    );
  });

  it('without a size shows what came, and how fast', () => {
    const figures = { bytes: 10 * MB, total: undefined, elapsedMs: 2000 };
    expect(progressLine('linux', figures, 200)).toBe('linux  10.0 MB  5.00 MB/s');
  });

  it('never exceeds the width, nor 100 %, nor divides by nothing', () => {
    expect(progressLine('x'.repeat(100), { bytes: 1, total: 2, elapsedMs: 0 }, 40).length).toBe(40);
    expect(progressLine('x', { bytes: 9, total: 2, elapsedMs: 0 }, 200)).toContain('100%');
    expect(progressLine('x', { bytes: 0, total: 0, elapsedMs: 0 }, 200)).toBe('x  0 B  0 B/s');
  });

  it('is redrawn at most ten times a second, and a last time at the end', () => {
    const drawn: string[] = [];
    const bar = new ProgressBar({ write: (text) => drawn.push(text) }, 'x', 0);
    for (let now = 1; now <= 1000; now++) bar.update(now, 1000, now);
    expect(drawn.length).toBe(10);
    bar.finish(1000, 1000, 1001);
    expect(drawn.at(-2)).toContain('100%');
    expect(drawn.at(-1)).toBe('\n');
  });
});
