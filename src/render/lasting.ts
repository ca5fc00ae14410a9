/** State that survives a reload of the routes: counts of their outcomes, and recently seen addresses. */
import { LRUCache } from 'lru-cache';
import { ANSWERED, ANSWERED_MS, TURNED_DOWN, TURNED_DOWN_MS } from './limits.ts';
import { RENDER_FAILURES, RENDER_OUTCOMES, type RenderFailure, type RenderOutcome } from './types.ts';

export interface Tally {
  readonly outcomes: Record<RenderOutcome, number>;
  readonly failures: Record<RenderFailure, number>;
}

export function newTally(): Tally {
  const zeros = <T extends string>(names: readonly T[]): Record<T, number> =>
    Object.fromEntries(names.map((name) => [name, 0])) as Record<T, number>;
  return { outcomes: zeros(RENDER_OUTCOMES), failures: zeros(RENDER_FAILURES) };
}

/** Client addresses remembered for a limited time; beyond `most`, the least recently used are forgotten. */
export class RecentAddresses {
  readonly #notedAt: LRUCache<string, number>;
  readonly #forMs: number;

  constructor(most: number, forMs: number) {
    this.#notedAt = new LRUCache<string, number>({ max: most });
    this.#forMs = forMs;
  }

  /** Addresses that have acknowledged a config: their clients are proven. */
  static answered(): RecentAddresses {
    return new RecentAddresses(ANSWERED, ANSWERED_MS);
  }

  /** Addresses of strangers that were turned down for lack of room. */
  static turnedDown(): RecentAddresses {
    return new RecentAddresses(TURNED_DOWN, TURNED_DOWN_MS);
  }

  note(client: string, now: number): void {
    this.#notedAt.set(client, now);
  }

  has(client: string, now: number): boolean {
    const at = this.#notedAt.get(client);
    return at !== undefined && now - at <= this.#forMs;
  }
}
