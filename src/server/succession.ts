/**
 * Transfers whose client has asked for something else from the same port. The new request may be forged: the former
 * transfer goes on until the client has answered the new one. Knows pairs; the owner ends transfers.
 */
import type { Clock } from '../engine/types.ts';

/** How soon a former transfer ends once its client has answered the next one. */
const LOOK_MS = 100;

export interface SuccessionOptions<T> {
  readonly clock: Clock;
  readonly hasAnswered: (successor: T) => boolean;
  /** Ends a former transfer whose client has answered the next one. It may have ended by itself. */
  readonly end: (predecessor: T) => unknown;
}

export class Succession<T> {
  readonly #options: SuccessionOptions<T>;
  readonly #predecessors = new Map<T, T>();
  #cancelLook: (() => void) | undefined;

  constructor(options: SuccessionOptions<T>) {
    this.#options = options;
  }

  /** @param predecessor a transfer that is under way. */
  enter(successor: T, predecessor: T): void {
    this.#predecessors.set(successor, predecessor);
    this.#scheduleLook();
  }

  /** Forgets a pair. @returns its former transfer, if there was a pair. */
  take(successor: T): T | undefined {
    if (this.#predecessors.size === 0) return undefined;
    const predecessor = this.#predecessors.get(successor);
    this.#predecessors.delete(successor);
    return predecessor;
  }

  /** Forgets all pairs without ending any transfer. */
  close(): void {
    this.#predecessors.clear();
    this.#cancelLook?.();
    this.#cancelLook = undefined;
  }

  #scheduleLook(): void {
    if (this.#cancelLook !== undefined || this.#predecessors.size === 0) return;
    const { clock } = this.#options;
    this.#cancelLook = clock.wake(clock.now() + LOOK_MS, () => {
      this.#cancelLook = undefined;
      this.#look();
      this.#scheduleLook();
    });
  }

  #look(): void {
    const { hasAnswered, end } = this.#options;
    for (const [successor, predecessor] of this.#predecessors) {
      if (!hasAnswered(successor)) continue;
      this.#predecessors.delete(successor);
      end(predecessor);
    }
  }
}
