/**
 * The routes of a running server: the first of its sources, replaced as a whole when the config changes. Loads the
 * route modules only when there are routes or an inventory.
 */
import { createRequire } from 'node:module';
import { oneByOne } from '../load/one-by-one.ts';
import type { BootSets } from '../boot-set/index.ts';
import { type Answer, type BootRequest, NOT_MINE, type Source } from '../content/types.ts';
import type { Engine } from '../engine/types.ts';
import type { Explanation, Inventory, RenderConfig, RenderRecord, Routes, RoutesStats } from '../render/index.ts';

const require = createRequire(import.meta.url);

export interface ServedRoutesOptions {
  readonly stageZero: readonly string[] | undefined;
  /** Returns the server's HTTP URL at a local address. */
  readonly httpUrl: (local: string) => string | undefined;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
  readonly onRender?: ((render: RenderRecord) => void) | undefined;
}

interface Surroundings {
  readonly bootSets: BootSets | undefined;
  readonly clock: Engine['clock'];
}

export class ServedRoutes implements Source {
  readonly #options: ServedRoutesOptions;
  #surroundings: Surroundings | undefined;
  #routes: Routes | undefined;

  constructor(options: ServedRoutesOptions) {
    this.#options = options;
  }

  get inventory(): Inventory | undefined {
    return this.#routes?.inventory;
  }

  /** Loads the routes. Call once, before the first request. @throws RenderConfigError when they are faulty. */
  async start(config: RenderConfig, surroundings: Surroundings): Promise<void> {
    this.#surroundings = surroundings;
    await this.replace(config);
  }

  /** Loads routes and gives them up again. @throws RenderConfigError when they are faulty. */
  async check(config: RenderConfig, clock: Engine['clock']): Promise<void> {
    if (config.routes.length === 0 && config.inventory === undefined) return;
    const routes = await this.#load(config, { bootSets: undefined, clock });
    await routes.close();
  }

  /** Replaces all routes; on an error the former ones stay. Call again only after it has settled. */
  async replace(config: RenderConfig): Promise<void> {
    if (this.#routes === undefined && config.routes.length === 0 && config.inventory === undefined) return;
    const { onWarning } = this.#options;
    const next = await this.#load(config, this.#surroundings!);
    if (this.#routes === undefined) this.#routes = next;
    // The new routes answer from now on. Requests in progress may keep the old ones for a while.
    else
      void this.#routes
        .replace(next)
        .catch((error: unknown) => onWarning('the previous routes did not close', { error }));
  }

  async #load(config: RenderConfig, surroundings: Surroundings): Promise<Routes> {
    const { loadRoutes } = await oneByOne(
      () => require('../render/index.js') as typeof import('../render/index.ts'),
      () => import('../render/index.ts'),
    );
    return await loadRoutes(config, { ...this.#options, ...surroundings });
  }

  open(request: BootRequest): Answer | Promise<Answer> {
    return this.#routes?.open(request) ?? NOT_MINE;
  }

  explain(request: BootRequest): Promise<Explanation> | undefined {
    return this.#routes?.explain(request);
  }

  stats(): RoutesStats | undefined {
    return this.#routes?.stats();
  }

  async close(): Promise<void> {
    await this.#routes?.close();
  }
}
