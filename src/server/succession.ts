/**
 * Transfers whose client has asked for something else from the same port. The new request may be forged: the former
 * transfer goes on until the client has answered the new one. Where transfers share a port, it is the new one that waits:
 * its answer is postponed until the former transfer has been released, whose packets the client would take for its own.
 * Knows pairs; the owner ends transfers.
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

export class Succession<T extends { readonly released: boolean }> {
  readonly #options: SuccessionOptions<T>;
  readonly #predecessors = new Map<T, T>();
  /** For a transfer that must wait: the one that has used the client's port until now. */
  readonly #formers = new Map<T, T>();
  /** Steps that wait for the release of a transfer. */
  readonly #steps = new Map<T, (() => void)[]>();
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

  /**
   * Makes a transfer wait for the one that has the client's port.
   *
   * @param known the transfer before it; unless `isActive`, one that waits itself, or has never run.
   */
  follow(successor: T, known: T, isActive: boolean): void {
    const former = isActive ? known : this.#formers.get(known);
    if (former !== undefined) this.#formers.set(successor, former);
  }

  /** Returns the transfer that must be released before this one is answered; undefined when there is none. */
  formerOf(successor: T): T | undefined {
    if (this.#formers.size === 0) return undefined;
    const former = this.#formers.get(successor);
    return former?.released === true ? undefined : former;
  }

  /** Postpones a step until a transfer is released. */
  postpone(former: T, step: () => void): void {
    const steps = this.#steps.get(former);
    if (steps === undefined) this.#steps.set(former, [step]);
    else steps.push(step);
  }

  /** Forgets a transfer that has been released, and takes the steps that have waited for it. */
  released(transfer: T): void {
    this.#formers.delete(transfer);
    if (this.#steps.size === 0) return;
    const steps = this.#steps.get(transfer) ?? [];
    this.#steps.delete(transfer);
    for (const step of steps) step();
  }

  /** Forgets all pairs without ending any transfer. Postponed steps stay: their transfers are still to be released. */
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
