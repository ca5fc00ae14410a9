/** Comparison of benchmark results with saved ones. */
import { expect, it } from 'vitest';
import { worsened } from '../../bench/compare.ts';

function kept(sample: Record<string, number | null>, server = 'reveille') {
  return { results: { 'rack-40': { [server]: [sample, sample, sample] } } };
}

const BEFORE = kept({ failed: 0, violations: 0, finish_p50_s: 10, first_reply_p99_ms: 2, server_cpu_us_per_kib: 3 });

it('finds nothing in equal figures or in figures within the tolerance', () => {
  expect(worsened(BEFORE, BEFORE, 0.15)).toEqual([]);
  const slower = kept({
    failed: 0,
    violations: 0,
    finish_p50_s: 11.4,
    first_reply_p99_ms: 2,
    server_cpu_us_per_kib: 1,
  });
  expect(worsened(BEFORE, slower, 0.15)).toEqual([]);
});

it('names the figures that became worse by more than the tolerance', () => {
  const slower = kept({
    failed: 0,
    violations: 0,
    finish_p50_s: 11.6,
    first_reply_p99_ms: 2,
    server_cpu_us_per_kib: 3,
  });
  expect(worsened(BEFORE, slower, 0.15)).toEqual(['rack-40, reveille: finish_p50_s was 10.00, is 11.60']);
});

it('treats figures that are too small to compare as equal, and compares counts exactly', () => {
  const sample = { failed: 1, violations: 2, finish_p50_s: 10, first_reply_p99_ms: 4.9, server_cpu_us_per_kib: 3 };
  expect(worsened(BEFORE, kept(sample), 0.15)).toEqual([
    'rack-40, reveille: failed was 0.00, is 1.00',
    'rack-40, reveille: violations was 0.00, is 2.00',
  ]);
});

it('reports a server that is no longer measured, and ignores figures that were never known', () => {
  expect(worsened(BEFORE, kept({}, 'another'), 0.15)).toEqual(['rack-40, reveille: not measured any more']);
  expect(worsened(BEFORE, kept({ failed: 0, finish_p50_s: null }), 0.15)).toEqual([]);
});
