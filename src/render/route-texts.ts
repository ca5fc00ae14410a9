/**
 * Makes and keeps the texts of routes: the version that a text names, the data that it is made from, and the texts kept
 * for the rest of a boot. Knows one route at a time, not its neighbors. Threads do the rendering and parsing.
 */
import type { BootSets, CatalogVersion, ConfigPreview, ConfigRequest, ConfigVersion } from '../boot-set/index.ts';
import { kindOf } from '../boot-set/node/node-identity.ts';
import { shareBytes } from '../bytes/shared-bytes.ts';
import { packedView } from './boot-set-view.ts';
import type { NodeInventory } from './inventory.ts';
import type { Asker, Failed, JobResult, Limits } from './jobs.ts';
import { DEFAULT_MAX_BYTES, TIMEOUT_MS } from './limits.ts';
import { idsOf } from './pattern.ts';
import type { RenderPool } from './render-pool.ts';
import { type Made, Rendered, Text } from './rendered.ts';
import type { Route } from './route-config.ts';
import type { Asked } from './route-observer.ts';
import type { RecentAddresses, Tally } from './lasting.ts';
import type { RenderRecord } from './types.ts';
import { type Upstreams, upstreamUrl } from './upstream.ts';

export interface TextParts {
  readonly inventory: NodeInventory | undefined;
  /** Threads for templates and upstreams. */
  readonly templates: RenderPool;
  /** Threads for handlers, which can block or crash a thread; undefined when there are none. */
  readonly handlers: RenderPool | undefined;
  readonly bootSets: BootSets | undefined;
  /** Returns this server's HTTP URL at a local address. */
  readonly httpUrl: (local: string) => string | undefined;
  readonly now: () => number;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
  readonly onRender: (render: RenderRecord) => void;
}

/** Owner of the renderings for previews. */
const REHEARSAL: Asker = { node: 'rehearsal', returns: false };
const FULL: Failed = { kind: 'failed', failure: 'strangers', reason: 'too many requests of unknown nodes are waiting' };

/** State that outlives a set of routes. */
export interface Lasting {
  readonly tally: Tally;
  readonly upstreams: Upstreams;
  readonly answered: RecentAddresses;
  readonly turnedDown: RecentAddresses;
}

/** Adds the route and its file to a reason, for messages. */
export function withRoute({ label, config }: Route, reason: string): string {
  return `${label}, ${config.template ?? config.handler ?? config.upstream ?? ''}: ${reason}`;
}

export class RouteTexts {
  readonly #parts: TextParts;
  readonly #tally: Tally;
  readonly #upstreams: Upstreams;
  readonly #answered: RecentAddresses;
  readonly #turnedDown: RecentAddresses;
  readonly #rendered: Rendered;

  constructor(parts: TextParts, { tally, upstreams, answered, turnedDown }: Lasting) {
    this.#parts = parts;
    this.#tally = tally;
    this.#upstreams = upstreams;
    this.#answered = answered;
    this.#turnedDown = turnedDown;
    this.#rendered = new Rendered(parts.now);
  }

  get kept(): { readonly size: number; readonly bytes: number } {
    return { size: this.#rendered.size, bytes: this.#rendered.bytes };
  }

  /** Forgets a client's texts when it begins a new boot. */
  forget(client: string): void {
    this.#rendered.forget(client);
  }

  /** Makes the text for a waiting client, or returns the one kept. Pins the version, keeps the text and counts it. */
  async serve(route: Route, asked: Asked): Promise<Made> {
    const { request, ids } = asked;
    const { client, local, name } = request;
    const asker = this.#askerOf(asked);
    // Nothing is pinned for a stranger who is turned down.
    if (asker.node === undefined && !this.#poolOf(route).hasRoomForStranger(asker.returns)) {
      this.#turnedDown.note(client, this.#parts.now());
      return FULL;
    }
    let chosen: ConfigVersion | undefined;
    try {
      // The version that the text will name is pinned, and kept, before the text exists.
      chosen = await this.#choose(route, asked);
    } catch (error) {
      return withoutBootSet(error);
    }
    if (chosen === undefined) this.#parts.bootSets?.see({ path: name, client, ids });
    const version = chosen?.version;
    const key = `${route.index} ${client} ${local} ${name}`;
    const { made, isShared } = await this.#rendered.get(key, client, chosen?.boot ?? '', () =>
      this.#timed(route, asked, version, asker),
    );
    if (made.kind === 'failed' && made.failure === 'strangers') this.#turnedDown.note(client, this.#parts.now());
    if (made.kind === 'made') this.#tally.outcomes[isShared ? 'shared' : made.isStale ? 'stale' : 'rendered']++;
    return made;
  }

  /**
   * Makes the text for a preview. Pins, keeps and counts nothing.
   *
   * @param onChosen called with the version that the text will name, before the text exists.
   */
  async rehearse(route: Route, asked: Asked, onChosen: (version: ConfigPreview | undefined) => void): Promise<Made> {
    let chosen: ConfigPreview | undefined;
    try {
      const channel = this.#channelOf(route, asked);
      chosen = channel === undefined ? undefined : this.#parts.bootSets!.preview(channel, configRequest(asked));
    } catch (error) {
      return withoutBootSet(error);
    }
    onChosen(chosen);
    return await this.#render(route, asked, chosen?.version, REHEARSAL);
  }

  async #choose(route: Route, asked: Asked): Promise<ConfigVersion | undefined> {
    const channel = this.#channelOf(route, asked);
    return channel === undefined ? undefined : await this.#parts.bootSets!.choose(channel, configRequest(asked));
  }

  /** @returns the channel of the text's version; undefined when the text names no version. */
  #channelOf({ kind, config }: Route, { node }: Asked): string | undefined {
    return this.#parts.bootSets === undefined || kind === 'upstream' ? undefined : (node?.channel ?? config.channel);
  }

  /**
   * Returns the certain owner of the text: a node that a table or its own boot identifies, an address that has
   * acknowledged a config, or a node of the inventory. Anyone can use a name, so a node known only by the inventory
   * gets just its own small share.
   */
  #ownerOf({ request, ids, node }: Asked): string | undefined {
    const { client } = request;
    const known = this.#parts.bootSets?.acquaintance({ client, ids });
    if (known !== undefined) return known;
    const name = node === undefined ? '' : `name:${node.name}`;
    if (this.#answered.has(client, this.#parts.now())) return `${client} ${name}`;
    return name === '' ? undefined : name;
  }

  #askerOf(asked: Asked): Asker {
    const returns = this.#turnedDown.has(asked.request.client, this.#parts.now());
    return { node: this.#ownerOf(asked), returns };
  }

  #poolOf({ kind }: Route): RenderPool {
    const { templates, handlers } = this.#parts;
    return kind === 'handler' ? handlers! : templates;
  }

  async #timed(route: Route, asked: Asked, version: CatalogVersion | undefined, asker: Asker): Promise<Made> {
    const { now, onRender } = this.#parts;
    const before = now();
    const made = await this.#render(route, asked, version, asker);
    const result = made.kind === 'made' ? 'rendered' : made.kind === 'none' ? 'notMine' : 'failed';
    onRender({ route: route.index + 1, kind: route.kind, result, durationMs: now() - before });
    return made;
  }

  #render(route: Route, asked: Asked, version: CatalogVersion | undefined, asker: Asker): Promise<Made> {
    const { kind, config } = route;
    const limits: Limits = {
      timeoutMs: config.timeoutMs ?? TIMEOUT_MS[kind as keyof typeof TIMEOUT_MS],
      maxBytes: config.maxBytes ?? DEFAULT_MAX_BYTES,
    };
    return kind === 'upstream'
      ? this.#fetch(route, asked, limits, asker)
      : this.#compute(route, asked, version, limits, asker);
  }

  async #fetch(route: Route, { request }: Asked, limits: Limits, asker: Asker): Promise<Made> {
    const { templates, onWarning } = this.#parts;
    const { index, config } = route;
    const job = { route: index, url: upstreamUrl(config.upstream!, request), redirects: config.redirects ?? 0, limits };
    const fetched = await this.#upstreams.get(job, asker.node !== undefined, (work) => templates.run(work, asker));
    if (fetched.kind !== 'fetched') return fetched;
    const { bytes, staleFor } = fetched;
    if (staleFor !== undefined) onWarning('a stale copy is served', { reason: withRoute(route, staleFor) });
    return { kind: 'made', text: new Text(shareBytes(bytes)), isStale: staleFor !== undefined };
  }

  async #compute(
    route: Route,
    { request, node }: Asked,
    version: CatalogVersion | undefined,
    limits: Limits,
    asker: Asker,
  ): Promise<Made> {
    const { kind, index } = route;
    const { inventory } = this.#parts;
    const scope = {
      request,
      node: node === undefined ? undefined : inventory!.packed(node),
      bootset: version === undefined ? undefined : packedView(version),
      http: this.#parts.httpUrl(request.local),
    };
    const job = { kind: kind as 'template' | 'handler', route: index, scope, limits };
    return madeOf(await this.#poolOf(route).run(job, asker));
  }
}

function withoutBootSet(error: unknown): Failed {
  return { kind: 'failed', failure: 'noBootSet', reason: (error as Error).message };
}

/** Builds the request to boot sets. A name that identifies a node stands for all ids of the node. */
function configRequest({ request, ids, node }: Asked): ConfigRequest {
  const asking = { path: request.name, client: request.client };
  if (ids.length === 0 || node === undefined) return { ...asking, ids };
  const own = idsOf({
    ...(node.mac.length === 1 ? { mac: node.mac[0]! } : {}),
    ...(node.uuid === undefined ? {} : { uuid: node.uuid }),
    ...(node.serial === undefined ? {} : { serial: node.serial }),
  });
  const kinds = new Set(ids.map(kindOf));
  return { ...asking, ids: [...ids, ...own.filter((id) => !kinds.has(kindOf(id)))] };
}

function madeOf(result: JobResult): Made {
  switch (result.kind) {
    case 'text':
      return { kind: 'made', text: new Text(shareBytes(Buffer.from(result.text))), isStale: false };
    case 'bytes':
      return { kind: 'made', text: new Text(shareBytes(result.bytes)), isStale: false };
    case 'none':
    case 'failed':
      return result;
    default:
      return { kind: 'failed', failure: 'failed', reason: `unexpected answer of a render thread: ${result.kind}` };
  }
}
