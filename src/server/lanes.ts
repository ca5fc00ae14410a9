/**
 * The order of waiting transfers: eight quick ones, then one of the others; in each lane, the longest waiting first.
 * Clients repeat their request while they wait; a client that has fallen silent has given up, and is dropped without an
 * answer. Each local address has lanes of its own: where its ports are used up, the others go on.
 */

export interface Waiting {
  /** Grows with each request. */
  readonly id: number;
  /** The local address that was asked. */
  readonly local: string;
  /** When the client last asked, ms. */
  lastRequestAt: number;
  /** True for probes and small files: they cost next to nothing, and a boot has dozens of them. */
  readonly quick: boolean;
}

/** After this many quick ones the other lane has its turn, so that no flood of probes keeps kernels waiting. */
const QUICK_FOR_BULK = 8;
const QUICK_FIRST = ['quick', 'bulk'] as const;
const BULK_FIRST = ['bulk', 'quick'] as const;

/** Addresses whose empty lanes are kept. */
const MAX_EMPTY = 64;

/** The lanes of one address. Sets keep the order of arrival and remove any member at once. */
interface Pair<T> {
  readonly local: string;
  readonly quick: Set<T>;
  readonly bulk: Set<T>;
}

export class Lanes<T extends Waiting> {
  readonly #byLocal = new Map<string, Pair<T>>();
  #size = 0;
  /** Number of quick transfers that have left their lane since a bulk transfer last left its own. */
  #quickInARow = 0;

  get size(): number {
    return this.#size;
  }

  add(waiting: T): void {
    let pair = this.#byLocal.get(waiting.local);
    if (pair === undefined) {
      pair = { local: waiting.local, quick: new Set(), bulk: new Set() };
      this.#byLocal.set(waiting.local, pair);
    }
    (waiting.quick ? pair.quick : pair.bulk).add(waiting);
    this.#size++;
  }

  delete(waiting: T): void {
    const pair = this.#byLocal.get(waiting.local);
    if (pair?.[waiting.quick ? 'quick' : 'bulk'].delete(waiting) !== true) return;
    this.#size--;
    this.#quickInARow = waiting.quick ? this.#quickInARow + 1 : 0;
    // Empty lanes stay for the next request, because each one fills and empties a lane; their number is bounded.
    if (this.#byLocal.size > MAX_EMPTY && pair.quick.size + pair.bulk.size === 0) this.#byLocal.delete(waiting.local);
  }

  /**
   * Returns the next transfer, which stays until it is deleted. @param mayGo tells whether an address has room for one
   * more.
   */
  next(mayGo: (local: string) => boolean): T | undefined {
    if (this.#size === 0) return undefined;
    const [first, second] = this.#quickInARow >= QUICK_FOR_BULK ? BULK_FIRST : QUICK_FIRST;
    return this.#first(first, mayGo) ?? this.#first(second, mayGo);
  }

  /** Removes and returns all whose last request came before `before`. */
  takeSilent(before: number): T[] {
    const silent: T[] = [];
    for (const { quick, bulk } of this.#byLocal.values()) {
      for (const lane of [quick, bulk]) {
        for (const waiting of lane) if (waiting.lastRequestAt < before) silent.push(waiting);
      }
    }
    for (const waiting of silent) this.delete(waiting);
    return silent;
  }

  #first(lane: 'quick' | 'bulk', mayGo: (local: string) => boolean): T | undefined {
    let first: T | undefined;
    for (const pair of this.#byLocal.values()) {
      const lined = pair[lane];
      if (lined.size === 0) continue;
      const oldest = lined.values().next().value!;
      if ((first === undefined || oldest.id < first.id) && mayGo(pair.local)) first = oldest;
    }
    return first;
  }
}
