/** What outlasts a set of routes when the config is reloaded: counts of what routes have done, and who has answered. */
import { LRUCache } from 'lru-cache';
import { ANSWERED, ANSWERED_MS } from './limits.ts';
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

/** Addresses that have acknowledged a config not long ago: what comes from there is asked by somebody who is there. */
export class AnsweredAddresses {
  readonly #answeredAt = new LRUCache<string, number>({ max: ANSWERED });

  note(client: string, now: number): void {
    this.#answeredAt.set(client, now);
  }

  has(client: string, now: number): boolean {
    const at = this.#answeredAt.get(client);
    return at !== undefined && now - at <= ANSWERED_MS;
  }
}
