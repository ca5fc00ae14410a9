/**
 * The time that boots are judged by: it begins at the wall clock's and goes on with the machine's own clock, so that a
 * step of the wall clock ends no boot. Other processes go by the wall clock: for them times are converted. Knows no pins.
 */
import type { TablesClock } from '../node/address-tables.ts';

export class SteadyTime {
  readonly #clock: Pick<TablesClock, 'now'>;
  readonly #wall: () => number;
  readonly #offset: number;

  /** @param wall milliseconds since the epoch. */
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

  /** A time as others find it in the store. */
  toWall(time: number): number {
    return Math.round(time + this.drift);
  }

  fromWall(time: number): number {
    return time - this.drift;
  }
}

/**
 * The system's uptime in milliseconds: unlike the wall clock it is not set, and unlike a process's clock it goes on over
 * a restart.
 */
export function systemUptime(): number {
  return Math.round(Number(process.hrtime.bigint() / 1_000_000n));
}
