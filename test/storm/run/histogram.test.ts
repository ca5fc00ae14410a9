/** Counts in place of values: the precision that is lost, and that nothing else is lost. */
import { MessageChannel, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RecordedValues, ValueRecorder } from '../../../src/storm/run/histogram.ts';

const SHARES = { p50: 50, p90: 90, p99: 99, max: 100 } as const;

function recorded(values: readonly number[]): ValueRecorder {
  const recorder = new ValueRecorder();
  for (const value of values) recorder.record(value);
  return recorder;
}

/** Percentile by nearest rank, in the obvious way. */
function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil((sorted.length * share) / 100) - 1]!;
}

/** Values over several decades, uniform on a logarithmic scale, mixed with zeros and integers. */
const someValue = fc.oneof(
  { weight: 8, arbitrary: fc.double({ min: -4, max: 7, noNaN: true }).map((exponent) => 10 ** exponent) },
  { weight: 1, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.nat(100_000) },
);
const someValues = fc.array(someValue, { minLength: 1, maxLength: 300 });

function through(port: MessagePort, other: MessagePort, message: RecordedValues): ValueRecorder {
  port.postMessage(message, [message.counts.buffer]);
  const received = receiveMessageOnPort(other) as { message: RecordedValues };
  return ValueRecorder.fromTransferable(received.message);
}

describe('a recorder of values', () => {
  it('has no figures before the first value', () => {
    const recorder = new ValueRecorder();
    expect(recorder.percentiles()).toBeNull();
    expect(recorder.toHistogram(20)).toEqual({ edges: [], counts: [] });
    recorder.merge(ValueRecorder.fromTransferable(new ValueRecorder().toTransferable()));
    expect(recorder.percentiles()).toBeNull();
  });

  it('gives percentiles within 1 % of those of the sorted values, and the exact maximum', () => {
    fc.assert(
      fc.property(someValues, (values) => {
        const found = recorded(values).percentiles()!;
        for (const [name, share] of Object.entries(SHARES)) {
          const right = percentile(values, share);
          expect(Math.abs(found[name as keyof typeof SHARES] - right)).toBeLessThanOrEqual(right * 0.01);
        }
        expect(found.max).toBe(Math.max(...values));
        expect(found.p50 <= found.p90 && found.p90 <= found.p99 && found.p99 <= found.max).toBe(true);
      }),
    );
  });

  it('holds the same after a merge, through another thread or not, as after recording everything in one place', () => {
    const { port1, port2 } = new MessageChannel();
    fc.assert(
      fc.property(fc.array(someValues, { maxLength: 5 }), fc.integer({ min: 2, max: 40 }), (parts, buckets) => {
        const all = recorded(parts.flat());
        const merged = new ValueRecorder();
        const sent = new ValueRecorder();
        for (const part of parts) {
          merged.merge(recorded(part));
          sent.merge(through(port1, port2, recorded(part).toTransferable()));
        }
        for (const other of [merged, sent]) {
          expect(other.count).toBe(all.count);
          expect(other.percentiles()).toEqual(all.percentiles());
          expect(other.toHistogram(buckets)).toEqual(all.toHistogram(buckets));
          expect(other.toTransferable()).toEqual(all.toTransferable());
        }
      }),
    );
    port1.close();
  });

  it('continues to record after a copy of it was handed over', () => {
    const recorder = recorded([1, 2]);
    const { port1, port2 } = new MessageChannel();
    through(port1, port2, recorder.toTransferable());
    port1.close();
    recorder.record(3);
    expect(recorder.count).toBe(3);
    expect(recorder.percentiles()?.max).toBe(3);
  });

  it('makes a histogram that counts every value, within 1 % of where it belongs', () => {
    fc.assert(
      fc.property(someValues, fc.integer({ min: 2, max: 40 }), (values, buckets) => {
        const { edges, counts } = recorded(values).toHistogram(buckets);
        expect(counts.length).toBeLessThanOrEqual(buckets);
        expect(edges.length).toBe(counts.length + 1);
        expect(edges).toEqual([...new Set(edges)].toSorted((a, b) => a - b));
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(values.length);
        expect(counts[0]).toBeGreaterThan(0);
        for (const edge of edges) {
          const below = counts.slice(0, edges.indexOf(edge)).reduce((sum, count) => sum + count, 0);
          expect(below).toBeGreaterThanOrEqual(values.filter((value) => value < edge * 0.99).length);
          expect(below).toBeLessThanOrEqual(values.filter((value) => value < edge * 1.01).length);
        }
      }),
    );
  });

  it('begins with a bucket that has a value, where a value just below an edge left the first one empty', () => {
    expect(recorded([0.8999999999999999, 1]).toHistogram(3).counts[0]).toBeGreaterThan(0);
  });

  it('chooses round edges: logarithmic over a wide range', () => {
    const values = [0.8, 1.5, 3, 12, 40, 90, 700];
    expect(recorded(values).toHistogram(12)).toEqual({
      edges: [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
      counts: [1, 1, 1, 0, 1, 1, 1, 0, 0, 1],
    });
  });

  it('chooses round edges: linear over a narrow one', () => {
    expect(recorded([52, 55.5, 61.2, 61.4, 67]).toHistogram(10).edges).toEqual([52, 54, 56, 58, 60, 62, 64, 66, 68]);
  });

  it('puts instant answers into a bucket that begins at 0, and keeps the rest readable', () => {
    expect(recorded([0, 0, 52, 61, 67]).toHistogram(5)).toEqual({
      edges: [0, 50, 55, 60, 65, 70],
      counts: [2, 1, 0, 1, 1],
    });
    expect(recorded([0, 0]).toHistogram(5).counts).toEqual([2]);
  });

  it('keeps apart a billion values and the one that follows them', () => {
    const many = ValueRecorder.fromTransferable({
      ...recorded([10]).toTransferable(),
      counts: Float64Array.of(1e9),
    });
    many.merge(recorded([500]));
    expect(many.count).toBe(1e9 + 1);
    expect(many.percentiles()).toEqual({ p50: 10.03, p90: 10.03, p99: 10.03, max: 500 });
  });

  it('counts values beyond its range as the largest one', () => {
    expect(recorded([1e12]).percentiles()).toEqual({ p50: 1e12, p90: 1e12, p99: 1e12, max: 1e12 });
    expect(recorded([1e12]).toHistogram(4).counts).toEqual([1]);
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('rejects %d', (value) => {
    expect(() => new ValueRecorder().record(value)).toThrow(RangeError);
  });
});
