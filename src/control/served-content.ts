/**
 * What a server serves: routes, boot sets, files, in this order, opened and closed together; and what any of it would
 * give to a node, to look at. Knows settings and the parts by their seams.
 */
import { BufferCache } from '../content/buffer-cache.ts';
import { Directory } from '../content/directory.ts';
import type { Source } from '../content/types.ts';
import type { Engine } from '../engine/types.ts';
import { type Asker, idsOf } from './asker.ts';
import { renderConfig } from './render-config.ts';
import { ServedRoutes } from './served-routes.ts';
import { ServedStore } from './served-store.ts';
import type { Settings } from './settings.ts';
import { trace, type Way } from './trace.ts';

type Told = (message: string, detail: Readonly<Record<string, unknown>>) => void;

export interface ServedContentOptions {
  /** As the server is started; of these, later ones change routes and inventory alone. */
  readonly settings: Settings;
  /** The folder that templates and handlers are relative to: that of the config file. undefined: there can't be any. */
  readonly base: string | undefined;
  readonly cache: BufferCache;
  readonly onWarning: Told;
  readonly onCollected: (result: Readonly<Record<string, unknown>>) => void;
}

/** Who asks from where nobody is. */
const NOWHERE = '0.0.0.0';

export class ServedContent {
  readonly routes: ServedRoutes;
  readonly #options: ServedContentOptions;
  #store: ServedStore | undefined;
  #engine: Pick<Engine, 'mapFile' | 'clock'> | undefined;

  constructor(options: ServedContentOptions) {
    const { settings, onWarning } = options;
    this.#options = options;
    this.routes = new ServedRoutes({ stageZero: settings.stageZero, onWarning });
  }

  get store(): ServedStore | undefined {
    return this.#store;
  }

  /** Opens the store, if there is one. @throws Error in one line. */
  async open(): Promise<void> {
    const { settings, cache, onWarning, onCollected } = this.#options;
    if (settings.store === undefined) return;
    this.#store = await ServedStore.open({
      path: settings.store,
      settings,
      cache,
      labelsOf: (node) => this.routes.inventory?.labelsOf(node),
      onWarning,
      onCollected,
    });
  }

  /** The sources in the order in which they are asked. Call once. @throws RenderConfigError */
  async sources(engine: Pick<Engine, 'mapFile' | 'clock'>): Promise<readonly Source[]> {
    const { settings, base } = this.#options;
    this.#engine = engine;
    // Before files: boot sets see every request, and learn from names who asks.
    const bootSets = this.#store?.serve(engine);
    if (base !== undefined) {
      await this.routes.start(renderConfig(settings, base), { bootSets, clock: engine.clock });
    }
    return [
      ...(base === undefined ? [] : [this.routes]),
      ...(bootSets === undefined ? [] : [bootSets]),
      ...(settings.root === undefined ? [] : [this.#files(settings.root, this.#options.cache, engine.mapFile)]),
    ];
  }

  /** All or nothing. @throws RenderConfigError */
  async replaceRoutes(settings: Settings): Promise<void> {
    await this.routes.replace(renderConfig(settings, this.#options.base!));
  }

  /** What a node would get. @throws Error before the server has started. */
  async trace(filename: string, asker: Asker): Promise<Way> {
    if (this.#engine === undefined) throw new Error('the server has not started yet');
    const { settings, base } = this.#options;
    const { clock } = this.#engine;
    const ids = idsOf(asker);
    const { inventory } = this.routes;
    const node = ids.map((id) => inventory?.find(id)).find((found) => found !== undefined);
    const client = asker.ip ?? node?.address[0] ?? NOWHERE;
    const store = this.#store;
    const { root } = settings;
    const cache = new BufferCache({ maxBytes: 0, limitBytes: settings.memoryLimit });
    return await trace(
      {
        routes: base === undefined ? undefined : (request) => this.routes.explain(request),
        bootSets:
          store === undefined
            ? undefined
            : async (request) => (await store.rehearse(clock, { address: client, ids })).open(request),
        files: root === undefined ? undefined : { source: this.#files(root, cache, undefined), root },
      },
      {
        // A name goes over the wire as bytes.
        filename: Buffer.from(filename, 'utf8').toString('latin1'),
        mode: 'octet',
        client,
        local: asker.local ?? NOWHERE,
      },
    );
  }

  /** After the last transfer. */
  async close(): Promise<void> {
    await this.routes.close();
    await this.#store?.close();
  }

  #files(root: string, cache: BufferCache, mapFile: Engine['mapFile'] | undefined): Directory {
    const { caseInsensitive, immutable } = this.#options.settings;
    return new Directory({
      root,
      cache,
      caseInsensitive,
      mapFile: immutable ? mapFile : undefined,
      clock: () => performance.now(),
    });
  }
}
