/** Waits on an engine's clock that can all be cut short together. Knows neither the waiting code nor its reasons. */
import type { Engine } from '../../engine/types.ts';

export class Pauses {
  readonly #clock: Engine['clock'];
  readonly #pending = new Set<() => void>();
  #ended = false;

  constructor(clock: Engine['clock']) {
    this.#clock = clock;
  }

  /** Resolves after `ms` milliseconds, or at once when the pauses have been ended. */
  pause(ms: number): Promise<void> {
    if (ms <= 0 || this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#pending.delete(done);
        resolve();
      };
      const cancel = this.#clock.wake(this.#clock.now() + Math.ceil(ms), done);
      this.#pending.add(done);
    });
  }

  /** Ends all pauses; later ones resolve at once. */
  end(): void {
    this.#ended = true;
    for (const done of this.#pending) done();
  }
}
