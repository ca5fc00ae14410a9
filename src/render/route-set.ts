/**
 * Routes as they were loaded together, and the way of a request through them, in order. A reload makes another one of
 * these. Runs in the main thread and does table work alone. Knows neither how texts are made (route-texts.ts) nor what
 * an observer does with the events that it is told.
 */
import { cleanName } from '../content/name.ts';
import type { Answer, BootRequest, Content } from '../content/types.ts';
import { shareBytes } from '../bytes/shared-bytes.ts';
import { type Captures, fill, idsOf } from './pattern.ts';
import { RecordingObserver } from './recording-observer.ts';
import type { RenderPool } from './render-pool.ts';
import type { Made, Text } from './rendered.ts';
import type { Route } from './route-config.ts';
import type { Asked, Pass, RouteObserver } from './route-observer.ts';
import { RouteTexts, type TextParts, withRoute } from './route-texts.ts';
import { ServingObserver, type ServingParts } from './serving-observer.ts';
import type { Tally } from './tally.ts';
import type { Explanation, InventoryNode } from './types.ts';
import type { Upstreams } from './upstream.ts';

export interface RouteSetParts extends TextParts, ServingParts {
  readonly routes: readonly Route[];
}

/** The parts that outlive a set of routes. */
export interface Lasting {
  readonly tally: Tally;
  readonly upstreams: Upstreams;
}

/** Makes the text of a route. */
type MakeText = (route: Route, asked: Asked) => Promise<Made>;

/** The captures that identify the client. */
const NAMING: ReadonlySet<string> = new Set(['mac', 'uuid', 'serial', 'ip', 'hexip']);

const EMPTY = shareBytes(new Uint8Array(0));

export class RouteSet {
  readonly parts: RouteSetParts;
  readonly #texts: RouteTexts;
  readonly #serving: RouteObserver;
  readonly #serve: MakeText = (route, asked) => this.#texts.serve(route, asked);
  #inUse = 0;
  #whenUnused: (() => void) | undefined;

  constructor(parts: RouteSetParts, { tally, upstreams }: Lasting) {
    this.parts = parts;
    this.#texts = new RouteTexts(parts, tally, upstreams);
    this.#serving = new ServingObserver(parts, tally, this.#texts);
  }

  get kept(): { readonly size: number; readonly bytes: number } {
    return this.#texts.kept;
  }

  get pools(): readonly RenderPool[] {
    const { templates, handlers } = this.parts;
    return handlers === undefined ? [templates] : [templates, handlers];
  }

  async open(request: BootRequest): Promise<Answer> {
    this.#inUse++;
    try {
      return await this.#walk(request, this.#serving, this.#serve);
    } finally {
      this.#leave();
    }
  }

  async explain(request: BootRequest): Promise<Explanation> {
    const recording = new RecordingObserver();
    this.#inUse++;
    try {
      const answer = await this.#walk(request, recording, (route, asked) =>
        this.#texts.rehearse(route, asked, (version) => recording.chosen(version)),
      );
      const name = cleanName(request.filename);
      const neighbour = this.#nodeOf([], request.client);
      return recording.explanation(answer, typeof name === 'string' ? name : undefined, neighbour);
    } finally {
      this.#leave();
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

  #leave(): void {
    if (--this.#inUse === 0) this.#whenUnused?.();
  }

  async #walk(request: BootRequest, observer: RouteObserver, make: MakeText): Promise<Answer> {
    const cleaned = cleanName(request.filename);
    if (typeof cleaned !== 'string') return cleaned;
    let name = cleaned;
    let isTaken = false;
    for (const route of this.parts.routes) {
      const captures = route.pattern.match(name);
      if (captures === undefined) {
        observer.passed(route, 'no match');
        continue;
      }
      const asked = this.#asked(request, name, captures);
      const why = this.#whyNot(route, asked);
      if (why !== undefined) {
        observer.passed(route, why);
        continue;
      }
      isTaken = true;
      observer.taken(asked);
      if (route.kind === 'rewrite') {
        const target = cleanName(Buffer.from(fill(route.config.rewrite!, captures), 'utf8').toString('latin1'));
        if (typeof target !== 'string') return target;
        observer.rewritten(route, target);
        name = target;
        continue;
      }
      if (route.kind === 'refuse' || route.kind === 'empty') {
        observer.fixed(route, asked);
        return fixedAnswer(route, name);
      }
      // oxlint-disable-next-line no-await-in-loop -- the next route is asked when this one has said no.
      const made = await make(route, asked);
      if (made.kind === 'made') {
        observer.made(route, made.isStale);
        return contentOf(made.text, request, name);
      }
      if (made.kind === 'none') {
        observer.notMine(route);
        continue;
      }
      const told = withRoute(route, made.reason);
      observer.failed(route, asked, made, told);
      const answer = answerOnFailure(route, told);
      if (answer !== undefined) return answer;
    }
    if (!isTaken) observer.untaken(name, request.client);
    return name === cleaned
      ? { kind: 'notMine' }
      : { kind: 'renamed', filename: Buffer.from(name, 'utf8').toString('latin1') };
  }

  #asked({ client, local, mode }: BootRequest, name: string, captures: Captures): Asked {
    const ids = idsOf(captures);
    return { request: { name, client, local, mode, captures }, ids, node: this.#nodeOf(ids, client) };
  }

  /** The node that the name identifies, or, where it identifies none, the node that has the client's address. */
  #nodeOf(ids: readonly string[], client: string): InventoryNode | undefined {
    const { inventory } = this.parts;
    for (const id of ids.length > 0 ? ids : [`ip:${client}`]) {
      const node = inventory?.find(id);
      if (node !== undefined) return node;
    }
    return undefined;
  }

  #whyNot({ kind, config, when, pattern }: Route, { node }: Asked): Pass | undefined {
    const servesUnknown = config.unknown ?? (kind !== 'template' || this.parts.inventory === undefined);
    // This holds also where the capture identifies no node: the first digits of an address, a UUID of many machines.
    const namesNode = pattern.captures.some((capture) => NAMING.has(capture));
    if (!servesUnknown && node === undefined && namesNode) return 'unknown node';
    const fits = when.every(([label, value]) => {
      const own = node === undefined || !Object.hasOwn(node.labels, label) ? undefined : node.labels[label];
      return own !== undefined && value.test(own);
    });
    return fits ? undefined : 'other labels';
  }
}

function fixedAnswer({ kind, config }: Route, label: string): Answer {
  return kind === 'refuse'
    ? { kind: 'denied', reason: config.refuse!, by: 'route' }
    : { kind: 'content', handle: EMPTY, label, origin: 'rendered', release: () => {} };
}

function contentOf(text: Text, { mode }: BootRequest, label: string): Content {
  const handle = mode === 'netascii' ? text.netascii : text.octet;
  return { kind: 'content', handle, label, origin: 'rendered', release: () => {} };
}

/** @returns undefined: the next route is asked. */
function answerOnFailure({ config }: Route, told: string): Answer | undefined {
  switch (config.onFailure) {
    case undefined:
    case 'silent':
      return { kind: 'busy', reason: told };
    case 'error':
      return { kind: 'denied', reason: told, by: 'render' };
    case 'next':
      return undefined;
  }
}
