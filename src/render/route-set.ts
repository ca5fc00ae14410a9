/**
 * A set of routes that were loaded together, and the walk of a request through them in order. A reload creates a new
 * set. Runs in the main thread and does only table lookups. Knows neither how texts are made (route-texts.ts) nor what
 * an observer does with its events.
 */
import { InterfaceNames } from '../boot-set/node/interface-names.ts';
import { inOtherOrder } from '../boot-set/node/node-identity.ts';
import { validatorsOf } from '../content/etag.ts';
import { asBytes, asText, cleanName, exactPath, filledPath, textPath } from '../content/name.ts';
import {
  type Answer,
  type BootRequest,
  type Content,
  type Denied,
  type Missing,
  MISSING,
  NOT_MINE,
} from '../content/types.ts';
import { shareBytes } from '../bytes/shared-bytes.ts';
import { type Captures, fill, idsOf } from './pattern.ts';
import { RecordingObserver } from './recording-observer.ts';
import type { RenderPool } from './render-pool.ts';
import type { Made, Text } from './rendered.ts';
import type { Route } from './route-config.ts';
import type { Asked, Pass, RouteObserver } from './route-observer.ts';
import { type Lasting, RouteTexts, type TextParts, withRoute } from './route-texts.ts';
import { ServingObserver, type ServingParts } from './serving-observer.ts';
import type { Explanation, InventoryNode } from './types.ts';

export interface RouteSetParts extends TextParts, ServingParts {
  readonly routes: readonly Route[];
}

/** Makes the text of a route. */
type MakeText = (route: Route, asked: Asked) => Promise<Made>;

/** A request on its walk through the routes. */
interface Walk {
  readonly request: BootRequest;
  readonly observer: RouteObserver;
  readonly make: MakeText;
  /** The requested name as text. */
  readonly given: string;
  /** The name as routes have rewritten it. */
  name: string;
  /** True once a route has taken the request. */
  isTaken: boolean;
  /** Patience of the transfer in milliseconds, set by the last route that rewrote the name and has one. */
  patienceMs?: number;
}

/** The captures that identify the client. */
const NAMING: ReadonlySet<string> = new Set(['mac', 'uuid', 'serial', 'ip', 'hexip']);

const EMPTY = shareBytes(new Uint8Array(0));

export class RouteSet {
  readonly parts: RouteSetParts;
  readonly #texts: RouteTexts;
  readonly #interfaces: InterfaceNames;
  readonly #serving: RouteObserver;
  readonly #serve: MakeText = (route, asked) => this.#texts.serve(route, asked);
  #isOrderTold = false;
  #inUse = 0;
  #whenUnused: (() => void) | undefined;

  readonly #onAnswered: (client: string) => void;

  constructor(parts: RouteSetParts, lasting: Lasting) {
    this.parts = parts;
    this.#texts = new RouteTexts(parts, lasting);
    this.#interfaces = new InterfaceNames(parts.now);
    this.#serving = new ServingObserver(parts, lasting.tally, this.#texts);
    this.#onAnswered = (client) => lasting.answered.note(client, parts.now());
  }

  get kept(): { readonly size: number; readonly bytes: number } {
    return this.#texts.kept;
  }

  get pools(): readonly RenderPool[] {
    const { templates, handlers } = this.parts;
    return handlers === undefined ? [templates] : [templates, handlers];
  }

  open(request: BootRequest): Answer | Promise<Answer> {
    return this.#whileInUse(() => this.#walk(request, this.#serving, this.#serve));
  }

  async explain(request: BootRequest): Promise<Explanation> {
    const recording = new RecordingObserver();
    const make: MakeText = (route, asked) => this.#texts.rehearse(route, asked, (version) => recording.chosen(version));
    return await this.#whileInUse(async () => {
      const answer = await this.#walk(request, recording, make);
      return recording.explanation(answer, request.filename, this.#nodeOf([], request.client));
    });
  }

  /** Ends the threads once the requests in progress have been answered. */
  async close(): Promise<void> {
    if (this.#inUse > 0) {
      await new Promise<void>((resolve) => {
        this.#whenUnused = resolve;
      });
    }
    await Promise.all(this.pools.map((pool) => pool.close()));
  }

  #whileInUse<T>(use: () => T | Promise<T>): T | Promise<T> {
    this.#inUse++;
    let result: T | Promise<T>;
    try {
      result = use();
    } catch (error) {
      this.#leave();
      throw error;
    }
    if (result instanceof Promise) return result.finally(() => this.#leave());
    this.#leave();
    return result;
  }

  #leave(): void {
    if (--this.#inUse === 0) this.#whenUnused?.();
  }

  #walk(request: BootRequest, observer: RouteObserver, make: MakeText): Answer | Promise<Answer> {
    const given = textPath(request.filename);
    if (typeof given === 'string')
      return this.#walkFrom(0, { request, observer, make, given, name: given, isTaken: false });
    return given.kind === 'missing' ? this.#rewriteBytes(request) : given;
  }

  /**
   * Walks a name that is not clean through the routes. Only rewrites apply, so that a file with such a name can still
   * be found. No text is made from captures with control bytes: a name that any other route would take counts as
   * missing, so that its clean reading is tried instead.
   */
  #rewriteBytes(request: BootRequest): Answer {
    const given = exactPath(request.filename);
    if (typeof given !== 'string') return given;
    let name = given;
    let patienceMs: number | undefined;
    for (const route of this.parts.routes) {
      const text = asText(name);
      const captures = route.pattern.match(text);
      if (captures === undefined || this.#whyNot(route, this.#asked(request, text, captures)) !== undefined) continue;
      if (route.kind !== 'rewrite') return MISSING;
      // A name decoded as text is encoded again, so that captures get their original bytes back.
      const encode = text === name ? (bytes: string): string => bytes : asBytes;
      const target = this.#rewrite(route, captures, request, encode);
      if (typeof target !== 'string') return target;
      name = target;
      patienceMs = route.config.patienceMs ?? patienceMs;
    }
    return name === given && patienceMs === undefined ? NOT_MINE : renamedTo(name, patienceMs);
  }

  /**
   * Returns the rewritten name as bytes. A `..` in it is denied wherever it leads, because it may come from a capture.
   */
  #rewrite(
    route: Route,
    captures: Captures,
    { client, local }: BootRequest,
    encode: (capture: string) => string,
  ): string | Denied | Missing {
    const rewrite = asBytes(route.config.rewrite!);
    const own = rewrite.includes('{interface}') ? this.#interfaces.of(local) : '';
    // Denied rather than left empty: the client must not get another network's file.
    if (own === undefined) return { kind: 'denied', reason: `no interface has the address ${local}`, by: 'route' };
    const places = { client: withoutScope(client), local: withoutScope(local), interface: own };
    const values = [
      ...Object.entries(captures).map(([name, text]) => [name, encode(text)]),
      ...Object.entries(places).map(([name, text]) => [name, asBytes(text)]),
    ];
    return filledPath(fill(rewrite, Object.fromEntries(values) as Captures));
  }

  /** Continues with the route at index `first`. Waits only for texts being made. */
  #walkFrom(first: number, walk: Walk): Answer | Promise<Answer> {
    const { request, observer, make } = walk;
    const { routes } = this.parts;
    for (let index = first; index < routes.length; index++) {
      const route = routes[index]!;
      const captures = route.pattern.match(walk.name);
      if (captures === undefined) {
        observer.passed(route, 'no match');
        continue;
      }
      const asked = this.#asked(request, walk.name, captures);
      const why = this.#whyNot(route, asked);
      if (why !== undefined) {
        observer.passed(route, why);
        continue;
      }
      walk.isTaken = true;
      observer.taken(asked);
      if (route.kind === 'rewrite') {
        const bytes = this.#rewrite(route, captures, request, asBytes);
        const target = typeof bytes === 'string' ? cleanName(bytes) : bytes;
        if (typeof target !== 'string') return target;
        observer.rewritten(route, target);
        walk.name = target;
        if (route.config.patienceMs !== undefined) walk.patienceMs = route.config.patienceMs;
        continue;
      }
      if (route.kind === 'refuse' || route.kind === 'empty') {
        observer.fixed(route, asked);
        return fixedAnswer(route, walk.name);
      }
      return make(route, asked).then(
        (made) => this.#answerOf(made, route, asked, walk) ?? this.#walkFrom(index + 1, walk),
      );
    }
    const { given, name, patienceMs } = walk;
    if (!walk.isTaken) observer.untaken(name, request.client);
    return name === given && patienceMs === undefined ? NOT_MINE : renamedTo(asBytes(name), patienceMs);
  }

  /** @returns undefined when the next routes must be asked. */
  #answerOf(made: Made, route: Route, asked: Asked, walk: Walk): Answer | undefined {
    const { request, observer, name } = walk;
    if (made.kind === 'made') {
      observer.made(route, made.isStale);
      const content = contentOf(made.text, request, name, this.#onAnswered);
      const patienceMs = route.config.patienceMs ?? walk.patienceMs;
      return patienceMs === undefined ? content : { ...content, patienceMs };
    }
    if (made.kind === 'none') {
      observer.notMine(route);
      return undefined;
    }
    const told = withRoute(route, made.reason);
    observer.failed(route, asked, made, told);
    return answerOnFailure(route, told);
  }

  #asked({ client, local, mode }: BootRequest, name: string, captures: Captures): Asked {
    const ids = idsOf(captures);
    const node = this.#nodeOf(ids, client);
    if (captures['uuid'] !== undefined && node?.uuid !== undefined) this.#compareOrder(captures['uuid'], node);
    return { request: { name, client, local, mode, captures }, ids, node };
  }

  /** Warns once that firmware spells a UUID in another byte order than the inventory. */
  #compareOrder(asked: string, { name, uuid }: InventoryNode): void {
    if (this.#isOrderTold || uuid !== inOtherOrder(asked)) return;
    this.#isOrderTold = true;
    this.parts.onWarning('a node sends its UUID in the other byte order: both forms are accepted', {
      node: name,
      uuid,
      asked,
    });
  }

  /** Returns the node that the name identifies; if the name identifies none, the node with the client's address. */
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
    // Also applies when the capture identifies no node: the first digits of an address, or a UUID that many machines
    // share.
    const namesNode = pattern.captures.some((capture) => NAMING.has(capture));
    if (!servesUnknown && node === undefined && namesNode) return 'unknown node';
    const isFor = when.every(([label, fits]) => {
      const own = node === undefined || !Object.hasOwn(node.labels, label) ? undefined : node.labels[label];
      return own !== undefined && fits(own);
    });
    return isFor ? undefined : 'other labels';
  }
}

function withoutScope(address: string): string {
  return address.split('%', 1)[0]!;
}

function renamedTo(filename: string, patienceMs: number | undefined): Answer {
  return patienceMs === undefined ? { kind: 'renamed', filename } : { kind: 'renamed', filename, patienceMs };
}

function fixedAnswer({ kind, config }: Route, label: string): Answer {
  return kind === 'refuse'
    ? { kind: 'denied', reason: config.refuse!, by: 'route' }
    : {
        kind: 'content',
        handle: EMPTY,
        label,
        origin: 'rendered',
        validators: validatorsOf(EMPTY),
        release: () => {},
      };
}

function contentOf(
  text: Text,
  { mode, client }: BootRequest,
  label: string,
  onAnswered: (client: string) => void,
): Content {
  const handle = mode === 'netascii' ? text.netascii : text.octet;
  const release = (isAnswered = false): void => {
    if (isAnswered) onAnswered(client);
  };
  const validators = validatorsOf(handle);
  return { kind: 'content', handle, label, origin: 'rendered', validators, release };
}

/** @returns undefined when the next route must be asked. */
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
