/** What routes have done, counted; lasts over reloads. */
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
