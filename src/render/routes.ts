/**
 * The routes of a server, as the first of its sources: starts threads for a config, and replaces one set of routes with
 * the next without losing a request. Runs in the main thread.
 */
import { isAbsolute, join, relative, resolve } from 'node:path';
import type { TablesClock } from '../boot-set/node/address-tables.ts';
import type { BootSets } from '../boot-set/index.ts';
import type { Answer, BootRequest, Source } from '../content/types.ts';
import { NodeInventory } from './inventory.ts';
import type { ThreadSetup } from './jobs.ts';
import { NICENESS, STILL_MS, THREADS, TIMEOUT_MS } from './limits.ts';
import { RenderPool } from './render-pool.ts';
import { type Route, readRoutes } from './route-config.ts';
import { RouteSet } from './route-set.ts';
import type { Lasting } from './route-texts.ts';
import { newTally, RecentAddresses } from './lasting.ts';
import {
  type Explanation,
  type Inventory,
  type RenderConfig,
  RenderConfigError,
  type RenderRecord,
  type RouteKind,
  type RoutesStats,
} from './types.ts';
import { Upstreams } from './upstream.ts';

export interface RoutesParts {
  /** Boot sets for the variable `bootset`; undefined when there are none. */
  readonly bootSets?: BootSets | undefined;
  /** Patterns for names that begin a boot, as for boot sets. */
  readonly stageZero?: readonly string[] | undefined;
  /** Returns this server's HTTP URL at a local address. Default: it speaks TFTP alone. */
  readonly httpUrl?: ((local: string) => string | undefined) | undefined;
  readonly clock: TablesClock;
  readonly onWarning?: ((message: string, detail: Readonly<Record<string, unknown>>) => void) | undefined;
  /** Called for every rendering that was run, except previews. */
  readonly onRender?: ((render: RenderRecord) => void) | undefined;
  /** Entry of the threads, for tests that run from another folder. */
  readonly worker?: URL | undefined;
  /** Time after which a thread counts as hung, for tests. */
  readonly stillMs?: number | undefined;
}

export class Routes implements Source {
  readonly #lasting: Lasting;
  #set: RouteSet | undefined;
  #closing: Promise<unknown> = Promise.resolve();
  #lostBefore = 0;
  #reloads = 0;

  /** Use loadRoutes(). */
  constructor(set: RouteSet, lasting: Lasting) {
    this.#set = set;
    this.#lasting = lasting;
  }

  get inventory(): Inventory | undefined {
    return this.#set?.parts.inventory;
  }

  /** Lists the routes in order. */
  list(): readonly { readonly match: string; readonly kind: RouteKind }[] {
    return (this.#set?.parts.routes ?? []).map(({ config, kind }) => ({ match: config.match, kind }));
  }

  open(request: BootRequest): Answer | Promise<Answer> {
    return this.#set === undefined ? { kind: 'notMine' } : this.#set.open(request);
  }

  /** Explains what the node would get and why. Pins, notes and keeps nothing; renderings are run. */
  explain(request: BootRequest): Promise<Explanation> {
    if (this.#set === undefined) throw new Error('the routes are closed');
    return this.#set.explain(request);
  }

  /**
   * Switches to the routes of `next`, which must not be used afterwards. Requests in progress finish with the old ones.
   *
   * Resolves once the threads of the old routes have ended.
   */
  async replace(next: Routes): Promise<void> {
    const before = this.#set;
    const loaded = next.#set;
    if (before === undefined || loaded === undefined) throw new Error('the routes are closed');
    next.#set = undefined;
    this.#reloads++;
    this.#set = new RouteSet(loaded.parts, this.#lasting);
    const closing = before.close().finally(() => {
      for (const pool of before.pools) this.#lostBefore += pool.threadsLost;
    });
    this.#closing = Promise.all([this.#closing, closing]);
    await closing;
  }

  stats(): RoutesStats {
    const { outcomes, failures } = this.#lasting.tally;
    const pools = this.#set?.pools ?? [];
    const kept = this.#set?.kept ?? { size: 0, bytes: 0 };
    return {
      outcomes: { ...outcomes },
      failures: { ...failures },
      waiting: pools.reduce((sum, { waiting }) => sum + waiting, 0),
      threadsLost: pools.reduce((sum, { threadsLost }) => sum + threadsLost, this.#lostBefore),
      kept: kept.size,
      keptBytes: kept.bytes,
      nodes: this.inventory?.size ?? 0,
      reloads: this.#reloads,
    };
  }

  /** Ends the threads. Call after the last request. */
  async close(): Promise<void> {
    const set = this.#set;
    this.#set = undefined;
    await Promise.all([this.#closing, set?.close()]);
  }
}

/** Returns a route's file relative to the base folder. @throws RenderConfigError when the file is outside it. */
function fileOf({ label }: Route, file: string, base: string): string {
  const way = relative(base, resolve(base, file));
  if (way === '' || way.startsWith('..') || isAbsolute(way)) {
    throw new RenderConfigError(`${label}: expected a file in ${base}, got ${file}`);
  }
  return way;
}

function filesOf(routes: readonly Route[], kind: 'template' | 'handler', base: string): Record<number, string> {
  return Object.fromEntries(
    routes.flatMap((route) => {
      const file = route.config[kind];
      return file === undefined ? [] : [[route.index, fileOf(route, file, base)] as const];
    }),
  );
}

/**
 * Reads and checks patterns, templates, handlers and inventory, and starts the threads.
 *
 * @throws RenderConfigError with a one-line message: file, place, what was expected.
 */
export async function loadRoutes(config: RenderConfig, parts: RoutesParts): Promise<Routes> {
  const { base, threads = THREADS } = config;
  const { clock, worker, onWarning = (): void => {}, onRender = (): void => {} } = parts;
  const routes = readRoutes(config.routes, config.caseInsensitive);
  const templates = filesOf(routes, 'template', base);
  const handlers = filesOf(routes, 'handler', base);
  // A template is busy for all of its allowed time, so the limit for hung threads must be longer.
  const longest = routes.map((route) =>
    route.kind === 'template' ? (route.config.timeoutMs ?? TIMEOUT_MS.template) : 0,
  );
  const stillMs = Math.max(parts.stillMs ?? STILL_MS, 2 * Math.max(0, ...longest));
  const poolFor = (setup: Omit<ThreadSetup, 'base' | 'cells'>): RenderPool =>
    new RenderPool({ threads, setup: { base, ...setup }, clock, onWarning, worker, stillMs });
  const fetches = routes.some(({ kind }) => kind === 'upstream');
  const forTemplates = poolFor({ templates, handlers: {}, fetches, niceness: NICENESS.templates });
  const hasHandlers = Object.keys(handlers).length > 0;
  const forHandlers = hasHandlers
    ? poolFor({ templates: {}, handlers, fetches: false, niceness: NICENESS.handlers })
    : undefined;
  const now = (): number => clock.now();
  try {
    const [inventory] = await Promise.all([
      config.inventory === undefined ? undefined : forTemplates.readInventory(resolveFile(base, config.inventory)),
      forTemplates.load(),
      forHandlers?.load(),
    ]);
    const lasting: Lasting = {
      tally: newTally(),
      upstreams: new Upstreams(now),
      answered: RecentAddresses.answered(),
      turnedDown: RecentAddresses.turnedDown(),
    };
    const set = new RouteSet(
      {
        routes,
        inventory: inventory === undefined ? undefined : new NodeInventory(inventory),
        templates: forTemplates,
        handlers: forHandlers,
        bootSets: parts.bootSets,
        httpUrl: parts.httpUrl ?? (() => undefined),
        stageZero: parts.stageZero,
        now,
        onWarning,
        onRender,
      },
      lasting,
    );
    return new Routes(set, lasting);
  } catch (error) {
    await Promise.all([forTemplates.close(), forHandlers?.close()]);
    throw new RenderConfigError((error as Error).message, { cause: error });
  }
}

function resolveFile(base: string, file: string): string {
  return isAbsolute(file) ? file : join(base, file);
}
