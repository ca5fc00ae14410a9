import { expect, test } from 'vitest';
import { Jitter } from '../../src/session/jitter.ts';
import { Retransmission } from '../../src/session/retransmission.ts';

/** Shortest and longest delay that the timer gives now; with this many draws both ends occur. */
function range(timer: Retransmission): [number, number] {
  const drawn = Array.from({ length: 20_000 }, () => timer.delay());
  return [Math.min(...drawn), Math.max(...drawn)];
}

/** Range of a timeout of `ms`: up to a quarter longer. */
function upToAQuarterOver(ms: number): [number, number] {
  return [ms, ms + Math.floor(ms / 4)];
}

function after(...samples: number[]): [number, number] {
  const timer = new Retransmission(1, 0);
  for (const ms of samples) timer.sample(ms);
  timer.progress();
  return range(timer);
}

test('before the first measurement the timer is 400 ms, up to a quarter longer', () => {
  expect(range(new Retransmission(1, 0))).toEqual([400, 500]);
});

// The values follow from RFC 6298 §2: first SRTT = R, RTTVAR = R/2; then RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R|, SRTT =
// 7/8 SRTT + 1/8 R; RTO = SRTT + 4 RTTVAR.
test.each([
  ['100: 100 + 4 * 50', [100], 300],
  ['100, 100: 100 + 4 * 37.5', [100, 100], 250],
  ['100, 140: 105 + 4 * (37.5 + 10), and above 2 * 140', [100, 140], 295],
  ['100, 60: 95 + 4 * (37.5 + 10)', [100, 60], 285],
  ['800, 800, 800, 800: 800 + 4 * 168.75, but not below 2 * 800', [800, 800, 800, 800], 1600],
])('RFC 6298 §2 after round trips of %s', (_name, samples, rto) => {
  expect(after(...samples)).toEqual(upToAQuarterOver(rto));
});

test('the timer is never below 50 ms, not even on a loopback where a round trip takes no time', () => {
  expect(after(0)).toEqual([50, 62]);
  expect(after(1, 1, 0, 1)).toEqual([50, 62]);
});

test('the timer without its jitter is never above 4 s', () => {
  expect(after(3000)).toEqual([4000, 5000]);
  expect(after(1_000_000)).toEqual([4000, 5000]);
});

test('the timer is never below twice the smoothed round trip, nor below twice the latest one', () => {
  // The variance has decayed: SRTT is 100, and RTO alone would be little more.
  const steady = Array.from({ length: 60 }, () => 100);
  expect(after(...steady)[0]).toBe(200);
  // 180 after two samples of 100 gives SRTT 110, RTTVAR 48.125, RTO 302.5; twice 180 is more.
  expect(after(100, 100, 180)[0]).toBe(360);
});

test('estimates stay within two parts in a hundred of RFC 6298 in real numbers, over 300 round trips', () => {
  const timer = new Retransmission(1, 0);
  const jitter = new Jitter(99);
  let srtt = -1;
  let rttvar = 0;
  for (let turn = 0; turn < 300; turn++) {
    const rtt = 100 + jitter.next(400);
    timer.sample(rtt);
    if (srtt < 0) {
      srtt = rtt;
      rttvar = rtt / 2;
    } else {
      rttvar = 0.75 * rttvar + 0.25 * Math.abs(srtt - rtt);
      srtt = 0.875 * srtt + 0.125 * rtt;
    }
    expect(timer.smoothedMs).toBeGreaterThan(srtt - 3);
    expect(timer.smoothedMs).toBeLessThan(srtt + 3);
    timer.progress();
    const rto = Math.max(srtt + 4 * rttvar, 2 * srtt, 2 * rtt);
    const first = Math.min(...Array.from({ length: 300 }, () => timer.delay()));
    expect(first).toBeGreaterThan(rto * 0.98 - 3);
    expect(first).toBeLessThan(rto * 1.02 + 9);
  }
});

test('each timeout doubles the wait, up to 4 s; progress goes back to the estimate (RFC 6298 §5.5)', () => {
  const timer = new Retransmission(1, 0);
  const waits = [];
  for (let turn = 0; turn < 6; turn++) {
    waits.push(range(timer)[0]);
    timer.backOff();
  }
  expect(waits).toEqual([400, 800, 1600, 3200, 4000, 4000]);
  timer.sample(20);
  expect(range(timer)).toEqual([4000, 5000]);
  timer.progress();
  expect(range(timer)).toEqual([60, 75]);
});

test('an interval agreed by the timeout option never changes: no jitter, no doubling, no adapting (RFC 2349)', () => {
  const timer = new Retransmission(1, 2000);
  timer.sample(5);
  timer.progress();
  timer.backOff();
  timer.backOff();
  expect(range(timer)).toEqual([2000, 2000]);
});

test('the same seed gives the same waits, another seed gives others', () => {
  const waits = (seed: number) => {
    const timer = new Retransmission(seed, 0);
    return Array.from({ length: 20 }, () => timer.delay());
  };
  expect(waits(5)).toEqual(waits(5));
  expect(waits(5)).not.toEqual(waits(6));
  // Neighboring seeds, as a server assigns them, must not give the same first delay.
  expect(new Set(Array.from({ length: 200 }, (_, seed) => waits(seed)[0])).size).toBeGreaterThan(50);
});

test('the jitter is spread evenly', () => {
  const jitter = new Jitter(3);
  const counts = Array.from({ length: 10 }, () => 0);
  for (let turn = 0; turn < 100_000; turn++) counts[jitter.next(10)]!++;
  expect(Math.min(...counts)).toBeGreaterThan(9500);
  expect(Math.max(...counts)).toBeLessThan(10_500);
});

test('a seed of 0 works like any other', () => {
  const jitter = new Jitter(0);
  expect(new Set(Array.from({ length: 100 }, () => jitter.next(1000))).size).toBeGreaterThan(80);
});
