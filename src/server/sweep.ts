/** Repeats a search each second for as long as there may be something to find. */
import type { Clock } from '../engine/types.ts';

const INTERVAL_MS = 1000;

export interface SweepOptions {
  readonly clock: Pick<Clock, 'now' | 'wake'>;
  /** Tells whether the next search may find something. */
  readonly isNeeded: () => boolean;
  readonly search: () => void;
}

export class Sweep {
  readonly #options: SweepOptions;
  #cancel: (() => void) | undefined;

  constructor(options: SweepOptions) {
    this.#options = options;
  }

  /** Call when something may have become worth a search. */
  schedule(): void {
    const { clock, isNeeded, search } = this.#options;
    if (this.#cancel !== undefined || !isNeeded()) return;
    this.#cancel = clock.wake(clock.now() + INTERVAL_MS, () => {
      this.#cancel = undefined;
      search();
      this.schedule();
    });
  }

  cancel(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
