/**
 * Routes as they were loaded together: what each does with a request, in order. A reload makes another one of these.
 * Runs in the main thread and does table work alone; what renders, waits or parses is on render threads.
 */
import type { BootSets, CatalogVersion } from '../boot-set/index.ts';
import { BootStages } from '../boot-set/boot/boot-stage.ts';
import { cleanName } from '../content/name.ts';
import type { Answer, BootRequest, Content } from '../content/types.ts';
import { attachShared, shareBytes } from '../bytes/shared-bytes.ts';
import { packedView, viewOf } from './boot-set-view.ts';
import type { NodeInventory } from './inventory.ts';
import type { Failed, JobResult, Limits } from './jobs.ts';
import { DEFAULT_MAX_BYTES, TIMEOUT_MS } from './limits.ts';
import { type Captures, fill, idsOf } from './pattern.ts';
import type { RenderPool } from './render-pool.ts';
import { type Made, Rendered, Text } from './rendered.ts';
import type { Route } from './route-config.ts';
import type { Tally } from './tally.ts';
import type { Explanation, InventoryNode, RenderRecord, RenderRequest, RouteTrial } from './types.ts';
import { type Upstreams, upstreamUrl } from './upstream.ts';

export interface RouteSetParts {
  readonly routes: readonly Route[];
  readonly inventory: NodeInventory | undefined;
  /** For templates and upstreams. */
  readonly templates: RenderPool;
  /** For handlers, which can do what they like to a thread; undefined: there are none. */
  readonly handlers: RenderPool | undefined;
  readonly bootSets: BootSets | undefined;
  readonly stageZero: readonly string[] | undefined;
  readonly now: () => number;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
  readonly onRender: (render: RenderRecord) => void;
}

/** What lasts from one set of routes to the next. */
export interface Lasting {
  readonly tally: Tally;
  readonly upstreams: Upstreams;
}

/** A request that a route has taken. */
interface Asked {
  readonly request: RenderRequest;
  readonly ids: ReturnType<typeof idsOf>;
  readonly node: InventoryNode | undefined;
}

interface Version {
  readonly version: CatalogVersion;
  readonly boot: string;
  readonly pinned: boolean;
}

/** Notes what became of each route, for those who want to know. */
interface Trace {
  readonly trials: RouteTrial[];
  asked: Asked | undefined;
  version: Version | undefined;
}

/** Captures that say who asks. */
const NAMING: ReadonlySet<string> = new Set(['mac', 'uuid', 'serial', 'ip', 'hexip']);

const EMPTY = shareBytes(new Uint8Array(0));

export class RouteSet {
  readonly parts: RouteSetParts;
  readonly #lasting: Lasting;
  readonly #rendered: Rendered;
  readonly #stages: BootStages;
  #inUse = 0;
  #whenUnused: (() => void) | undefined;

  constructor(parts: RouteSetParts, lasting: Lasting) {
    this.parts = parts;
    this.#lasting = lasting;
    this.#rendered = new Rendered(parts.now);
    this.#stages = new BootStages(parts.stageZero);
  }

  get kept(): { readonly size: number; readonly bytes: number } {
    return { size: this.#rendered.size, bytes: this.#rendered.bytes };
  }

  get pools(): readonly RenderPool[] {
    const { templates, handlers } = this.parts;
    return handlers === undefined ? [templates] : [templates, handlers];
  }

  async open(request: BootRequest): Promise<Answer> {
    this.#inUse++;
    try {
      return await this.#walk(request, undefined);
    } finally {
      if (--this.#inUse === 0) this.#whenUnused?.();
    }
  }

  async explain(request: BootRequest): Promise<Explanation> {
    const trace: Trace = { trials: [], asked: undefined, version: undefined };
    this.#inUse++;
    try {
      const answer = await this.#walk(request, trace);
      const name = cleanName(request.filename);
      const { asked, version } = trace;
      return {
        name: typeof name === 'string' ? name : undefined,
        node: asked?.node ?? this.#nodeOf([], request.client),
        captures: asked?.request.captures ?? {},
        routes: trace.trials,
        bootset: version === undefined ? undefined : viewOf(version.version),
        pinned: version?.pinned ?? false,
        answer: this.#explained(answer, name),
      };
    } finally {
      if (--this.#inUse === 0) this.#whenUnused?.();
    }
  }

  /** Ends its threads when the requests under way have been answered. */
  async close(): Promise<void> {
    if (this.#inUse > 0) {
      await new Promise<void>((resolve) => {
        this.#whenUnused = resolve;
      });
    }
    await Promise.all(this.pools.map((pool) => pool.close()));
  }

  async #walk(request: BootRequest, trace: Trace | undefined): Promise<Answer> {
    const cleaned = cleanName(request.filename);
    if (typeof cleaned !== 'string') return cleaned;
    const { routes } = this.parts;
    let name = cleaned;
    let isTaken = false;
    for (const route of routes) {
      const captures = route.pattern.match(name);
      const note = (verdict: RouteTrial['verdict'], detail?: string): void => {
        const { index, kind, config } = route;
        trace?.trials.push({
          route: index + 1,
          match: config.match,
          kind,
          verdict,
          ...(detail === undefined ? {} : { detail }),
        });
      };
      if (captures === undefined) {
        note('no match');
        continue;
      }
      const asked = this.#asked(request, name, captures);
      const why = this.#whyNot(route, asked);
      if (why !== undefined) {
        note(why);
        continue;
      }
      isTaken = true;
      if (trace !== undefined) trace.asked = asked;
      if (route.kind === 'rewrite') {
        const target = cleanName(Buffer.from(fill(route.config.rewrite!, captures), 'utf8').toString('latin1'));
        if (typeof target !== 'string') return target;
        note('rewritten', target);
        this.#count('rewritten', trace);
        name = target;
        continue;
      }
      if (route.kind === 'refuse' || route.kind === 'empty') {
        note('taken');
        if (trace === undefined) this.parts.bootSets?.see({ path: name, client: request.client, ids: asked.ids });
        return this.#fixed(route, name, trace);
      }
      // oxlint-disable-next-line no-await-in-loop -- the next route is asked when this one has said no.
      const made = await this.#make(route, asked, trace);
      if (made.kind === 'made') {
        note('taken', made.isStale ? 'a stale copy' : undefined);
        return this.#content(made.text, request, name);
      }
      if (made.kind === 'none') {
        note('not mine');
        this.#count('notMine', trace);
        continue;
      }
      note('failed', made.reason);
      const answer = this.#onFailure(route, made, request, trace);
      if (answer !== undefined) return answer;
    }
    // A loader begins a boot: what was made for the last one is over.
    if (!isTaken && trace === undefined && this.#stages.of(name) === 'zero') this.#rendered.forget(request.client);
    return name === cleaned
      ? { kind: 'notMine' }
      : { kind: 'renamed', filename: Buffer.from(name, 'utf8').toString('latin1') };
  }

  #asked({ client, local, mode }: BootRequest, name: string, captures: Captures): Asked {
    const ids = idsOf(captures);
    return { request: { name, client, local, mode, captures }, ids, node: this.#nodeOf(ids, client) };
  }

  /** Whom the name names; where it names nobody, who has the address. */
  #nodeOf(ids: readonly string[], client: string): InventoryNode | undefined {
    const { inventory } = this.parts;
    for (const id of ids.length > 0 ? ids : [`ip:${client}`]) {
      const node = inventory?.find(id);
      if (node !== undefined) return node;
    }
    return undefined;
  }

  #whyNot({ kind, config, when, pattern }: Route, { node }: Asked): 'unknown node' | 'other labels' | undefined {
    const servesUnknown = config.unknown ?? (kind !== 'template' || this.parts.inventory === undefined);
    // Also where the name names nobody after all: the first digits of an address, a UUID that many machines have.
    const namesNode = pattern.captures.some((capture) => NAMING.has(capture));
    if (!servesUnknown && node === undefined && namesNode) return 'unknown node';
    const fits = when.every(([label, value]) => {
      const own = node === undefined || !Object.hasOwn(node.labels, label) ? undefined : node.labels[label];
      return own !== undefined && value.test(own);
    });
    return fits ? undefined : 'other labels';
  }

  #fixed(route: Route, name: string, trace: Trace | undefined): Answer {
    if (route.kind === 'refuse') {
      this.#count('refused', trace);
      return { kind: 'denied', reason: route.config.refuse!, by: 'route' };
    }
    this.#count('empty', trace);
    return { kind: 'content', handle: EMPTY, label: name, origin: 'rendered', release: () => {} };
  }

  #content(text: Text, { mode }: BootRequest, label: string): Content {
    const handle = mode === 'netascii' ? text.netascii : text.octet;
    return { kind: 'content', handle, label, origin: 'rendered', release: () => {} };
  }

  async #make(route: Route, asked: Asked, trace: Trace | undefined): Promise<Made> {
    const { request, ids } = asked;
    const { client, local, name } = request;
    let version: Version | undefined;
    try {
      version = await this.#version(route, asked, trace !== undefined);
    } catch (error) {
      return { kind: 'failed', failure: 'noBootSet', reason: (error as Error).message };
    }
    if (trace !== undefined) {
      trace.version = version;
      return this.#render(route, asked, version);
    }
    if (version === undefined) this.parts.bootSets?.see({ path: name, client, ids });
    const key = `${route.index} ${client} ${local} ${name}`;
    const { made, isShared } = await this.#rendered.get(key, client, version?.boot ?? '', () =>
      this.#timed(route, asked, version),
    );
    if (made.kind === 'made') this.#lasting.tally.outcomes[isShared ? 'shared' : made.isStale ? 'stale' : 'rendered']++;
    return made;
  }

  /** The version that the text is to name: pinned, and kept, before there is a text. */
  async #version({ kind, config }: Route, { request, ids, node }: Asked, isDry: boolean): Promise<Version | undefined> {
    const { bootSets } = this.parts;
    const channel = node?.channel ?? config.channel;
    if (bootSets === undefined || channel === undefined || kind === 'upstream') return undefined;
    const asking = { path: request.name, client: request.client, ids: this.#idsOf(ids, node) };
    if (!isDry) {
      const chosen = await bootSets.choose(channel, asking);
      return chosen === undefined ? undefined : { ...chosen, pinned: true };
    }
    const preview = bootSets.preview(channel, asking);
    return preview === undefined ? undefined : { ...preview, boot: '' };
  }

  /** A name that names a node names all that the node is called. */
  #idsOf(ids: readonly string[], node: InventoryNode | undefined): readonly string[] {
    if (ids.length === 0 || node === undefined) return ids;
    const own = idsOf({
      ...(node.mac.length === 1 ? { mac: node.mac[0]! } : {}),
      ...(node.uuid === undefined ? {} : { uuid: node.uuid }),
      ...(node.serial === undefined ? {} : { serial: node.serial }),
    });
    const kindOf = (id: string): string => id.slice(0, id.indexOf(':'));
    const kinds = new Set(ids.map(kindOf));
    return [...ids, ...own.filter((id) => !kinds.has(kindOf(id)))];
  }

  async #timed(route: Route, asked: Asked, version: Version | undefined): Promise<Made> {
    const { now, onRender } = this.parts;
    const before = now();
    const made = await this.#render(route, asked, version);
    const result = made.kind === 'made' ? 'rendered' : made.kind === 'none' ? 'notMine' : 'failed';
    onRender({ route: route.index + 1, kind: route.kind, result, durationMs: now() - before });
    return made;
  }

  async #render(route: Route, { request, node }: Asked, version: Version | undefined): Promise<Made> {
    const { templates, handlers, inventory } = this.parts;
    const { kind, config, index } = route;
    const limits: Limits = {
      timeoutMs: config.timeoutMs ?? TIMEOUT_MS[kind as keyof typeof TIMEOUT_MS],
      maxBytes: config.maxBytes ?? DEFAULT_MAX_BYTES,
    };
    if (kind === 'upstream') {
      const job = {
        route: index,
        url: upstreamUrl(config.upstream!, request),
        redirects: config.redirects ?? 0,
        limits,
      };
      const fetched = await this.#lasting.upstreams.get(job, (work) => templates.run(work));
      if (fetched.kind !== 'fetched') return fetched;
      const { bytes, staleFor } = fetched;
      if (staleFor !== undefined) this.#warn(route, 'a stale copy is served', staleFor);
      return { kind: 'made', text: new Text(shareBytes(bytes)), isStale: staleFor !== undefined };
    }
    const scope = {
      request,
      node: node === undefined ? undefined : inventory!.packed(node),
      bootset: version === undefined ? undefined : packedView(version.version),
    };
    const result = await (kind === 'handler' ? handlers! : templates).run({
      kind: kind as 'template' | 'handler',
      route: index,
      scope,
      limits,
    });
    return this.#made(result);
  }

  #made(result: JobResult): Made {
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

  /** @returns undefined: the next route is asked. */
  #onFailure(route: Route, { failure, reason }: Failed, { client }: BootRequest, trace?: Trace): Answer | undefined {
    const { onFailure = 'silent' } = route.config;
    if (trace === undefined) this.#lasting.tally.failures[failure]++;
    const told = `${route.label}, ${this.#what(route)}: ${reason}`;
    // The server tells of what is busy, and nobody else of the others.
    if (onFailure === 'silent') return { kind: 'busy', reason: told };
    if (trace === undefined) this.parts.onWarning('a config could not be made', { reason: told, client });
    return onFailure === 'error' ? { kind: 'denied', reason: told, by: 'render' } : undefined;
  }

  #what({ config }: Route): string {
    return config.template ?? config.handler ?? config.upstream ?? '';
  }

  #warn(route: Route, message: string, reason: string): void {
    this.parts.onWarning(message, { reason: `${route.label}, ${this.#what(route)}: ${reason}` });
  }

  #count(outcome: keyof Tally['outcomes'], trace: Trace | undefined): void {
    if (trace === undefined) this.#lasting.tally.outcomes[outcome]++;
  }

  #explained(answer: Answer, name: unknown): Explanation['answer'] {
    switch (answer.kind) {
      case 'content':
        return { kind: 'content', bytes: attachShared(answer.handle).bytes };
      case 'renamed':
        return { kind: 'notMine', name: Buffer.from(answer.filename, 'latin1').toString('utf8') };
      case 'notMine':
        return { kind: 'notMine', name: String(name) };
      default:
        return answer;
    }
  }
}
