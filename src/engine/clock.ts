/**
 * The machine's clock in whole milliseconds since the process started, the same in every thread; wall-clock steps do
 * not move it. process.uptime() is common to all threads and slow, performance.now() starts at zero in each thread and
 * is cheap: the first sets the second once.
 */
import { performance } from 'node:perf_hooks';
import type { Clock } from './types.ts';

/** Longest delay of setTimeout, 2^31 - 1 ms. */
const MAX_SLEEP_MS = 0x7fffffff;

export class MonotonicClock implements Clock {
  readonly #offset = process.uptime() * 1000 - performance.now();
  readonly #run: (fn: () => void) => void;
  #held = -1;

  /** @param run calls what is due. Default: just calls it. */
  constructor(run: (fn: () => void) => void = (fn) => fn()) {
    this.#run = run;
  }

  now(): number {
    return this.#held >= 0 ? this.#held : Math.floor(performance.now() + this.#offset);
  }

  /**
   * Freezes the clock until release(), for a batch of packets that is done before a millisecond has passed. Reading the
   * clock costs a thirtieth of what a packet does.
   */
  hold(): void {
    this.#held = this.now();
  }

  release(): void {
    this.#held = -1;
  }

  wake(at: number, fn: () => void): () => void {
    let timer: NodeJS.Timeout | undefined;
    const sleep = (): void => {
      timer = setTimeout(ring, Math.min(MAX_SLEEP_MS, Math.max(0, at - this.now())));
    };
    // Node.js's timers count the whole milliseconds of another clock: now and then one fires a fraction too early.
    const ring = (): void => (this.now() < at ? sleep() : this.#run(fn));
    sleep();
    return () => clearTimeout(timer);
  }
}

/** Returns the time that all processes of the machine share (CLOCK_MONOTONIC), ms. */
export function machineMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}
