/**
 * Side effects of served requests: counts, warnings, notes for boot sets, and removal of kept texts. Observes all
 * requests of a set of routes; stores nothing about a single one.
 */
import type { BootSets } from '../boot-set/index.ts';
import { BootStages } from '../boot-set/boot/boot-stage.ts';
import type { Failed } from './jobs.ts';
import type { Route } from './route-config.ts';
import type { Asked, RouteObserver } from './route-observer.ts';
import type { RouteTexts } from './route-texts.ts';
import type { Tally } from './lasting.ts';

export interface ServingParts {
  readonly bootSets: BootSets | undefined;
  readonly stageZero: readonly string[] | undefined;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
}

export class ServingObserver implements RouteObserver {
  readonly #parts: ServingParts;
  readonly #tally: Tally;
  readonly #texts: RouteTexts;
  readonly #stages: BootStages;

  constructor(parts: ServingParts, tally: Tally, texts: RouteTexts) {
    this.#parts = parts;
    this.#tally = tally;
    this.#texts = texts;
    this.#stages = new BootStages(parts.stageZero);
  }

  passed(): void {}

  taken(): void {}

  rewritten(): void {
    this.#tally.outcomes.rewritten++;
  }

  fixed({ kind }: Route, { request, ids }: Asked): void {
    this.#parts.bootSets?.see({ path: request.name, client: request.client, ids });
    this.#tally.outcomes[kind === 'refuse' ? 'refused' : 'empty']++;
  }

  /** Does nothing: RouteTexts counts texts, because it knows which of them are shared. */
  made(): void {}

  notMine(): void {
    this.#tally.outcomes.notMine++;
  }

  failed({ config }: Route, { request }: Asked, { failure }: Failed, told: string): void {
    this.#tally.failures[failure]++;
    // The server itself warns of a busy answer.
    if (config.onFailure === undefined || config.onFailure === 'silent') return;
    this.#parts.onWarning('a config could not be made', { reason: told, client: request.client });
  }

  /** A loader begins a boot, so the texts of the last boot are outdated. */
  untaken(name: string, client: string): void {
    if (this.#stages.of(name) === 'zero') this.#texts.forget(client);
  }
}
