import { describe, expect, it } from 'vitest';
import { formatBytes, formatSeconds, ProgressBar, progressLine } from '../../../src/cli/views/progress.ts';

const MIB = 2 ** 20;

describe('progress', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [40_000_000, '38.1 MiB'],
    [2 ** 32, '4.0 GiB'],
  ])('%d bytes read as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it.each([
    [0.2, '0:01'],
    [61, '1:01'],
    [3600, '1:00:00'],
    [3725, '1:02:05'],
  ])('%d seconds read as %s', (seconds, text) => {
    expect(formatSeconds(seconds)).toBe(text);
  });

  it('with a known size shows the share, the rate and what is left', () => {
    expect(progressLine('linux', { bytes: 10 * MIB, total: 40 * MIB, elapsedMs: 2000 }, 200)).toBe(
      `linux  [======${' '.repeat(18)}]   25%  10.0 MiB of 40.0 MiB  5.0 MiB/s  0:06 left`,
    );
  });

  it('without a size shows what came, and how fast', () => {
    const figures = { bytes: 10 * MIB, total: undefined, elapsedMs: 2000 };
    expect(progressLine('linux', figures, 200)).toBe('linux  10.0 MiB  5.0 MiB/s');
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
