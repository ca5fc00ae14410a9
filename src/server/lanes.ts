/**
 * Who goes next when not all can go at once: quick ones first, then whoever has waited longest. Clients repeat
 * their request while they wait; one that has fallen silent has given up, and is dropped without an answer.
 */

export interface Waiting {
  /** When the client last asked, in milliseconds. */
  lastRequestAt: number;
  /** Probes and small files: they cost next to nothing, and a boot has dozens of them. */
  readonly quick: boolean;
}

export class Lanes<T extends Waiting> {
  /** Sets keep the order of arrival and let go of any member at once. */
  readonly #quick = new Set<T>();
  readonly #bulk = new Set<T>();

  get size(): number {
    return this.#quick.size + this.#bulk.size;
  }

  add(waiting: T): void {
    (waiting.quick ? this.#quick : this.#bulk).add(waiting);
  }

  delete(waiting: T): void {
    (waiting.quick ? this.#quick : this.#bulk).delete(waiting);
  }

  /** Takes out the next one. */
  shift(): T | undefined {
    for (const lane of [this.#quick, this.#bulk]) {
      for (const waiting of lane) {
        lane.delete(waiting);
        return waiting;
      }
    }
    return undefined;
  }

  /** Takes out everyone who has not asked since `before`. */
  takeSilent(before: number): T[] {
    const silent: T[] = [];
    for (const lane of [this.#quick, this.#bulk]) {
      for (const waiting of lane) {
        if (waiting.lastRequestAt >= before) continue;
        lane.delete(waiting);
        silent.push(waiting);
      }
    }
    return silent;
  }
}
