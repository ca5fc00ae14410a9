import { describe, expect, it } from 'vitest';
import {
  allocateCounters,
  counterRow,
  latencyOf,
  PACKET_COUNTERS,
  sendErrorColumn,
  sumCounters,
  sumLatencies,
  sumSendErrors,
  VITALS,
  vitalColumn,
} from '../../src/engine/counters.ts';
import { LATENCIES, LATENCY_BOUNDS, LatencyHistogram } from '../../src/engine/latencies.ts';
import { SEND_ERRNOS, sendErrno } from '../../src/engine/send-errors.ts';

describe('a histogram of latencies', () => {
  it('counts each value in the first bucket whose bound is above it, and longer ones in the last', () => {
    const histogram = new LatencyHistogram([1, 10, 100]);
    for (const ms of [0, 0.5, 1, 9.9, 10, 99, 100, 5000]) histogram.observe(ms, 1);
    expect(histogram.counts()).toEqual({ boundsMs: [1, 10, 100], counts: [2, 2, 2, 2], sumMs: 5220.4 });
  });

  it('counts a value that stands for several as often as that', () => {
    const histogram = new LatencyHistogram([1, 10]);
    histogram.observe(5, 64);
    expect(histogram.counts()).toEqual({ boundsMs: [1, 10], counts: [0, 64, 0], sumMs: 320 });
  });

  it('has bounds that grow', () => {
    for (const latency of LATENCIES) {
      const bounds = [...LATENCY_BOUNDS[latency]];
      expect(bounds).toEqual([...new Set(bounds)].toSorted((one, other) => one - other));
    }
  });
});

describe('a row', () => {
  it('has separate cells for everything in it, and sums are over all rows', () => {
    const buffer = allocateCounters(3);
    for (let index = 0; index < 3; index++) {
      const row = counterRow(buffer, index);
      let value = 1;
      for (const [column] of PACKET_COUNTERS.entries()) row[column] = value++;
      for (const errno of SEND_ERRNOS) row[sendErrorColumn(errno)] = value++;
      for (const vital of VITALS) row[vitalColumn(vital)] = value++;
      for (const latency of LATENCIES) {
        const histogram = latencyOf(row, latency);
        for (const bound of [0, ...LATENCY_BOUNDS[latency]]) histogram.observe(bound, 1);
      }
    }
    const numbers = (from: number, count: number): number[] =>
      Array.from({ length: count }, (_, index) => 3 * (from + index));
    expect(Object.values(sumCounters(buffer))).toEqual(numbers(1, PACKET_COUNTERS.length));
    expect(Object.values(sumSendErrors(buffer))).toEqual(numbers(1 + PACKET_COUNTERS.length, SEND_ERRNOS.length));
    for (const [latency, { counts, sumMs, boundsMs }] of Object.entries(sumLatencies(buffer))) {
      expect([latency, counts]).toEqual([latency, [...boundsMs, Infinity].map(() => 3)]);
      expect(sumMs).toBeCloseTo(3 * boundsMs.reduce((sum, bound) => sum + bound, 0));
    }
  });
});

describe('a failed send', () => {
  it.each([
    [1, 'EPERM'],
    [11, 'EAGAIN'],
    [105, 'ENOBUFS'],
    [9999, 'other'],
    ['ENETUNREACH', 'ENETUNREACH'],
    ['EBADF', 'other'],
    [undefined, 'other'],
  ] as const)('by %s counts as %s', (errno, name) => {
    expect(sendErrno(errno)).toBe(name);
  });
});
