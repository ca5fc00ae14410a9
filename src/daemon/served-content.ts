/**
 * Everything that a server serves: routes, boot sets and files, asked in this order, opened and closed together; and
 * previews of what they would give to a node. Knows settings and the interfaces of the parts.
 */
import type { VerbEnd } from '../admin/api.ts';
import type { BufferCache } from '../content/buffer-cache.ts';
import { Directory } from '../content/directory.ts';
import { ReadableRoot } from '../content/readable-root.ts';
import { TrustedRoots } from '../content/trusted-roots.ts';
import type { Source } from '../content/types.ts';
import type { Engine } from '../engine/types.ts';
import type { RenderConfig, RenderRecord } from '../render/types.ts';
import type { PreviewClient } from '../preview/preview-client.ts';
import { previewRequest } from '../preview/preview-request.ts';
import { renderConfig } from '../config/render-config.ts';
import { storeArrives } from './store-arrival.ts';
import { ServedRoutes } from './served-routes.ts';
import { ServedStore } from './served-store.ts';
import type { Server } from '../server/types.ts';
import type { Settings } from '../config/settings.ts';
import type { Way } from '../preview/trace.ts';

/** Interval at which the root is checked, also while nobody asks. */
const LOOK_AT_ROOT_MS = 5000;

const NO_STORE_YET = 'the store has not been opened yet';

type Told = (message: string, detail: Readonly<Record<string, unknown>>) => void;

export interface ServedContentOptions {
  /** Settings at the start; later ones change only routes and inventory. */
  readonly settings: Settings;
  /**
   * Folder that templates and handlers are relative to, which is the config file's; undefined: the server has no
   * routes.
   */
  readonly base: string | undefined;
  readonly cache: BufferCache;
  /** Returns the server's HTTP URL at a local address. */
  readonly httpUrl: (local: string) => string | undefined;
  readonly onWarning: Told;
  readonly onRender?: (render: RenderRecord) => void;
  readonly onInfo: Told;
}

export class ServedContent {
  readonly routes: ServedRoutes;
  readonly #options: ServedContentOptions;
  #trustedRoots: TrustedRoots | undefined;
  #store: ServedStore | undefined;
  #root: ReadableRoot | undefined;
  #looks: NodeJS.Timeout | undefined;
  #engine: Pick<Engine, 'mapFile' | 'allocateFile' | 'clock'> | undefined;

  constructor(options: ServedContentOptions) {
    const { settings, httpUrl, onWarning, onRender } = options;
    this.#options = options;
    this.routes = new ServedRoutes({ stageZero: settings.stageZero, httpUrl, onWarning, onRender });
  }

  get store(): ServedStore | undefined {
    return this.#store;
  }

  /** Why nothing can be served, without paths; undefined: the store is open, or the root was readable 5 s ago. */
  get unreadable(): string | undefined {
    if (this.#store !== undefined) return undefined;
    return this.#options.settings.store === undefined ? this.#root?.away : NO_STORE_YET;
  }

  /** Runs a command on the store. Never rejects. @param args what follows the verb. */
  runVerb(verb: string, args: readonly string[]): Promise<VerbEnd> {
    const notYet: VerbEnd = { code: undefined, stdout: '', stderr: NO_STORE_YET };
    return this.#store?.verbs.run(verb, args) ?? Promise.resolve(notYet);
  }

  /**
   * Opens the store, if one is configured; waits for its folder.
   *
   * @param signal ends the wait.
   * @returns false when the wait was ended.
   * @throws Error with a one-line message.
   */
  async open(signal: AbortSignal): Promise<boolean> {
    const { settings, cache, onWarning, onInfo } = this.#options;
    if (settings.store === undefined) return true;
    if (!(await storeArrives(settings.store, signal, onWarning))) return false;
    this.#store = await ServedStore.open({
      path: settings.store,
      settings,
      cache,
      labelsOf: (node) => this.routes.inventory?.labelsOf(node),
      onWarning,
      onInfo,
    });
    return true;
  }

  /**
   * Opens the store in place of another server, which must write no pins any more. What can be wrong is checked before
   * that server gives anything up.
   *
   * @param takeOver returns once the other server uses the store no longer. @param signal ends the wait for the folder.
   * @throws RenderConfigError when the routes are faulty. @throws Error with a one-line message.
   */
  async openAfter(takeOver: () => void, clock: Engine['clock'], signal: AbortSignal): Promise<void> {
    const { settings, onWarning } = this.#options;
    if (settings.store === undefined) return;
    if (!(await storeArrives(settings.store, signal, onWarning))) throw new Error('the server is stopping');
    if (this.#hasRoutes) await this.routes.check(this.#renderConfig, clock);
    takeOver();
    await this.open(signal);
  }

  /** Announces the server to its fleet, if it has one. Call once, when the server answers requests. */
  async join(server: Pick<Server, 'addresses' | 'stats'>, version: string): Promise<void> {
    const { sessions, listen } = this.#options.settings;
    // An address that does not exist yet is waited for; its port is known.
    const { port } = server.addresses[0] ?? listen[0]!;
    await this.#store?.join(port, version, () => ({ transfers: server.stats().transfersActive, sessions }));
  }

  /**
   * Returns the sources in the order in which they are asked. Call once.
   *
   * @throws RenderConfigError when the routes are faulty.
   */
  async sources(engine: Pick<Engine, 'mapFile' | 'allocateFile' | 'clock'>): Promise<readonly Source[]> {
    const { settings, onWarning } = this.#options;
    this.#engine = engine;
    this.#trustedRoots = new TrustedRoots({ folders: settings.trustedRoots, onWarning });
    // Boot sets come before files: they see every request, and learn from names who asks.
    const bootSets = this.#store?.serve(engine);
    if (this.#hasRoutes) await this.routes.start(this.#renderConfig, { bootSets, clock: engine.clock });
    return [
      ...(this.#hasRoutes ? [this.routes] : []),
      ...(bootSets === undefined ? [] : [bootSets]),
      ...(settings.root === undefined ? [] : [this.#files(settings.root, engine)]),
    ];
  }

  get #hasRoutes(): boolean {
    return this.#options.base !== undefined || this.#options.settings.inventory !== undefined;
  }

  get #renderConfig(): RenderConfig {
    // Without a config file there is an inventory at most, and its path is absolute.
    return renderConfig(this.#options.settings, this.#options.base ?? '/');
  }

  #files(root: string, engine: Pick<Engine, 'mapFile' | 'allocateFile'>): Source {
    const { settings, cache, onWarning, onInfo } = this.#options;
    const clock = (): number => performance.now();
    const source = new Directory({
      root,
      cache,
      caseInsensitive: settings.caseInsensitive,
      trustedRoots: this.#trustedRoots,
      mapFile: settings.immutable ? engine.mapFile : undefined,
      allocateFile: engine.allocateFile,
      onWarning,
      clock,
    });
    const files = new ReadableRoot({ root, source, clock, onWarning, onBack: onInfo });
    this.#root = files;
    // Not awaited: a disk that hangs must not delay the start.
    void files.look();
    this.#looks = setInterval(() => void files.look(), LOOK_AT_ROOT_MS).unref();
    return files;
  }

  /** Replaces all routes or, on an error, none. @throws RenderConfigError when the new routes are faulty. */
  async replaceRoutes(settings: Settings): Promise<void> {
    await this.routes.replace(renderConfig(settings, this.#options.base!));
  }

  /** Returns what a node would get. @throws Error before the server has started. */
  async preview(name: string, client: PreviewClient): Promise<Way> {
    const store = this.#store;
    const clock = this.#engine?.clock;
    const trustedRoots = this.#trustedRoots;
    if (clock === undefined || trustedRoots === undefined) throw new Error('the server has not started yet');
    return await previewRequest(
      {
        settings: this.#options.settings,
        trustedRoots,
        routes: this.routes,
        rehearse: store === undefined ? undefined : (who) => store.rehearse(clock, who),
      },
      name,
      client,
    );
  }

  /** Closes routes and store. Call after the last transfer. */
  async close(): Promise<void> {
    clearInterval(this.#looks);
    await this.routes.close();
    await this.#store?.close();
  }
}
