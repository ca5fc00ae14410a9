/**
 * The clock that boots are judged by: it starts at the wall clock's time and advances with the monotonic clock, so a
 * step of the wall clock ends no boot. Times for other processes are converted to wall-clock time. Knows no pins.
 */
import type { TablesClock } from '../node/address-tables.ts';

/** A wall clock that moved by more than this counts as set. */
export const SET_MS = 1000;

export class SteadyTime {
  readonly #clock: Pick<TablesClock, 'now'>;
  readonly #wall: () => number;
  readonly #offset: number;

  /** @param wall wall clock in milliseconds since the epoch. */
  constructor(clock: Pick<TablesClock, 'now'>, wall: () => number) {
    this.#clock = clock;
    this.#wall = wall;
    this.#offset = wall() - clock.now();
  }

  readonly now = (): number => this.#clock.now() + this.#offset;

  /** How far the wall clock has been moved since the start, in milliseconds. */
  get drift(): number {
    return this.#wall() - this.now();
  }

  /** Converts a time to the wall-clock time that is stored for other processes. */
  toWall(time: number): number {
    return Math.round(time + this.drift);
  }

  fromWall(time: number): number {
    return time - this.drift;
  }
}

/**
 * Returns the system's uptime in milliseconds. Unlike the wall clock it is never set, and unlike a process's own clock
 * it continues over a restart of the process.
 */
export function systemUptime(): number {
  return Math.round(Number(process.hrtime.bigint() / 1_000_000n));
}
