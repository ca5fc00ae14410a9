/**
 * The small benchmarks of the timer wheel: the cost of setting a deadline and of letting time pass. Time is a plain
 * number. Knows no clock and prints nothing.
 */
import { TimerWheel } from '../src/engine/timer-wheel.ts';
import type { Benchmark } from './benchmark.ts';

/** Number of deadlines in a wheel that is never empty. */
const PENDING = 10_000;
const SPAN_MS = 400;

const timerScheduling: Benchmark = {
  name: 'timer wheel: schedule and cancel',
  batch: 10_000,
  pieces: 1,
  prepare: () => {
    const wheel = new TimerWheel(0);
    for (let id = 0; id < PENDING; id++) wheel.schedule(id, 1 + (id % SPAN_MS));
    return {
      run: (times) => {
        let count = 0;
        for (let turn = 0; turn < times; turn++) {
          wheel.schedule(PENDING, 1 + (turn & 0xfff));
          if (wheel.size === PENDING + 1) count++;
          wheel.cancel(PENDING);
        }
        return count;
      },
    };
  },
};

const timerAdvancing: Benchmark = {
  name: 'timer wheel: advance 1 ms, 25 of 10,000 due and set again',
  batch: 400,
  pieces: PENDING / SPAN_MS,
  prepare: () => {
    const wheel = new TimerWheel(0);
    for (let id = 0; id < PENDING; id++) wheel.schedule(id, 1 + (id % SPAN_MS));
    let now = 0;
    let due = 0;
    const onDue = (id: number): void => {
      due++;
      wheel.schedule(id, now + SPAN_MS);
    };
    return {
      run: (times) => {
        const before = due;
        for (let turn = 0; turn < times; turn++) wheel.advance(++now, onDue);
        return due - before;
      },
    };
  },
};

export const timerBenchmarks: readonly Benchmark[] = [timerScheduling, timerAdvancing];
