/**
 * Shares pins with the other servers of a fleet through a Valkey or Redis server: before a request is judged, this server
 * takes over what another one knows of the node, and before the first reply of a boot it offers its pin. Replies wait for
 * answers only briefly, and for none while the engine is away. The rules of boots are in pins.ts, those between servers
 * in shared-choice.ts.
 */
import type { RedisCommand, RedisLink } from '../../redis/redis-link.ts';
import type { TablesClock } from '../node/address-tables.ts';
import { ipNode, type NodeId } from '../node/node-identity.ts';
import type { Catalog } from '../store/catalog.ts';
import type { PinPolicy, PinRecord } from '../store/records.ts';
import { EngineMark } from './engine-mark.ts';
import { LocalBoots, strandsOf } from './local-boots.ts';
import type { NodeFinder } from './node-finder.ts';
import type { Pin } from './pin.ts';
import type { PinStore } from './pin-store.ts';
import type { PinTable } from './pin-table.ts';
import { type Seen, SeenNodes, TRUST_MS } from './seen-nodes.ts';
import { SharedAddresses } from './shared-addresses.ts';
import { whoseStand } from './shared-choice.ts';
import { SharedEngine, type SharedPinsStats } from './shared-engine.ts';
import {
  decodePins,
  decodeValue,
  encodePins,
  encodeValue,
  lifeOf,
  NO_PINS,
  OFFER,
  type SharedNode,
  type SharedPin,
  type SharedValue,
  TAKE_OVER,
  takenOver,
} from './shared-record.ts';
import { SharedWrites } from './shared-writes.ts';
import type { SteadyTime } from './steady-time.ts';

/**
 * Time for one question to the engine; a reply waits for two at most: to learn what others know, and to offer a pin.
 * @limit Time for one question to the server of shared pins; a reply waits for two at most. Shows:
 * `reveille_shared_pins_failed_total`.
 */
const QUESTION_MS = 50;
/** Attempts to offer a pin while other servers change the same node. */
const ATTEMPTS = 4;

export interface SharedPinsOptions {
  readonly link: RedisLink;
  readonly local: PinStore;
  /** Name of this server among the others: 8 to 32 hexadecimal digits, different after each start. */
  readonly server: string;
  readonly clock: TablesClock;
  readonly time: SteadyTime;
  readonly catalog: Catalog;
  readonly policyOf: (channel: string) => PinPolicy;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
}

/** A node's pins as they are offered. */
interface Offer {
  readonly strand: NodeId;
  readonly seen: Seen;
  readonly node: SharedNode;
  readonly pins: string;
  readonly number: number;
  readonly holder: string;
  readonly text: string;
  /** Time to live, ms. */
  readonly leftMs: number;
}

/** `beginning`: nothing has been sent under the pins yet. `renewal`: they are written although they are the same. */
type Occasion = 'beginning' | 'change' | 'renewal';

/**
 * Pins that were offered `stand`, or another server's do (`theirs`), or the engine has a value that these must replace
 * (`again`), or no answer came (`unheard`).
 */
type Fate = 'stands' | 'theirs' | 'again' | 'unheard';

export class SharedPins implements PinStore {
  readonly #options: SharedPinsOptions;
  readonly #engine: SharedEngine;
  readonly #seen = new SeenNodes();
  readonly #writes: SharedWrites;
  #addresses!: SharedAddresses;
  #boots!: LocalBoots;
  #table!: PinTable;
  #finder!: NodeFinder;
  readonly #mark: EngineMark;
  #adopted = 0;
  #kept = 0;
  #refused = 0;
  readonly #told = new Set<string>();

  constructor(options: SharedPinsOptions) {
    const { link, time, clock, server } = options;
    this.#options = options;
    this.#engine = new SharedEngine(link, time, (reason) =>
      this.#tellOnce('the server of shared pins refuses a command', { reason }),
    );
    this.#writes = new SharedWrites({
      clock,
      isUp: () => this.#engine.isUp,
      write: async (nodes) => (await this.#offer(nodes, 'renewal', clock.now() + QUESTION_MS)) !== 'unheard',
    });
    link.onState((state) => {
      if (state === 'up') this.#offerAll();
    });
    this.#mark = new EngineMark(link, clock, server, () => this.#offerAll());
  }

  /** Connects the parts that use this one. Call once, before the first request. */
  attach(table: PinTable, finder: NodeFinder): void {
    this.#table = table;
    this.#finder = finder;
    const { link, catalog, policyOf } = this.#options;
    this.#addresses = new SharedAddresses(link, finder);
    const toEngine = this.#engine.toEngine.bind(this.#engine);
    this.#boots = new LocalBoots({ table, catalog, policyOf, toEngine });
  }

  stats(): SharedPinsStats {
    const counts = { unshared: this.#seen.unheard, adopted: this.#adopted, kept: this.#kept, refused: this.#refused };
    return { ...this.#engine.stats(), ...counts };
  }

  /**
   * Learns what other servers know of a client, before a request from it is judged.
   *
   * @param ids ids in the requested name. @param isShared true when many nodes share the address.
   * @returns undefined when there is nothing to wait for. The promise never rejects.
   */
  consult(address: string, ids: readonly NodeId[], isShared = false): Promise<void> | undefined {
    const now = this.#options.time.now();
    if (!this.#engine.isUp) {
      const known = isShared ? ids : this.#finder.known(address, ids, now);
      this.#goUnheard(strandsOf([...known, ipNode(address)], address));
      return undefined;
    }
    if (isShared) {
      const strands = strandsOf(ids, address);
      return this.#seen.areTrusted(strands, now) ? undefined : this.#takeOver(strands, QUESTION_MS).then(() => {});
    }
    const candidates = this.#finder.candidates(address, ids, now);
    if (candidates instanceof Promise) return candidates.then((all) => this.#consult(address, ids, all));
    const isFresh = this.#addresses.isFresh(address, now - TRUST_MS);
    if (isFresh && this.#seen.areTrusted(strandsOf(candidates, address), now)) return undefined;
    return this.#consult(address, ids, candidates);
  }

  /** Returns the digest of the version that the node boots at another server, if this store lacks it. */
  lacking(node: NodeId, address: string, channel: string): string | undefined {
    const [own, side] = strandsOf([node], address);
    return this.#seen.lacking(own!, channel) ?? (side === undefined ? undefined : this.#seen.lacking(side, channel));
  }

  async getOrCreate(wanted: PinRecord, before: PinRecord | undefined): ReturnType<PinStore['getOrCreate']> {
    // A pin that is as old as its last use is a new one: nothing has been sent under it.
    const occasion = wanted.createdAt === wanted.usedAt ? 'beginning' : 'change';
    const seen = this.#seen.of(wanted.node);
    if (occasion === 'beginning') seen.isKept = false;
    const { clock } = this.#options;
    const until = clock.now() + QUESTION_MS;
    let fate: Fate = 'again';
    for (let attempt = 0; fate === 'again' && attempt < ATTEMPTS && clock.now() < until; attempt++) {
      // oxlint-disable-next-line no-await-in-loop -- each attempt begins with what the last one has seen.
      fate = await this.#offer([wanted.node], occasion, until);
    }
    if (fate === 'theirs') return 'taken';
    if (fate === 'unheard') seen.isUnheard = true;
    return await this.#options.local.getOrCreate(wanted, before);
  }

  renew(pins: readonly PinRecord[]): Promise<void> {
    for (const { node } of pins) this.touch(node);
    return this.#options.local.renew(pins);
  }

  drop(pins: readonly PinRecord[], why: 'over' | 'room'): Promise<void> {
    // A boot that this server has no room for goes on, here or elsewhere.
    if (why === 'over') for (const { node } of pins) this.touch(node);
    return this.#options.local.drop(pins, why);
  }

  scan(): Iterable<PinRecord> {
    return this.#options.local.scan();
  }

  get(node: string, channel: string): PinRecord | undefined {
    return this.#options.local.get(node, channel);
  }

  touch(node: NodeId): void {
    this.#writes.add(node);
  }

  /** Writes what is pending, if the engine answers. */
  async close(): Promise<void> {
    this.#mark.stop();
    await this.#writes.close();
  }

  async #consult(address: string, ids: readonly NodeId[], candidates: readonly NodeId[]): Promise<void> {
    const { clock, time } = this.#options;
    const until = clock.now() + QUESTION_MS;
    const strands = strandsOf(candidates, address);
    const question = this.#addresses.isFresh(address, time.now() - TRUST_MS) ? [] : this.#addresses.question(address);
    const answers = await this.#takeOver(strands, QUESTION_MS, question);
    if (answers === undefined || question.length === 0) return;
    const isNamed = this.#addresses.learn(address, answers, time.now());
    const all = strandsOf(await this.#finder.candidates(address, ids, time.now()), address);
    const more = all.filter((strand) => !strands.includes(strand));
    if (more.length > 0) await this.#takeOver(more, until - clock.now());
    if (isNamed) this.#finder.unite(address, time.now());
  }

  /** @param question further commands. @returns their answers; undefined when there were none. */
  async #takeOver(
    strands: readonly NodeId[],
    deadlineMs: number,
    question: readonly RedisCommand[] = [],
  ): Promise<readonly unknown[] | undefined> {
    const { link, server } = this.#options;
    const keys = strands.map((strand) => link.key('node', strand));
    const answers = await this.#engine.ask(['EVAL', TAKE_OVER, keys.length, ...keys, server], question, deadlineMs);
    if (answers === undefined) {
      this.#goUnheard(strands);
      return undefined;
    }
    for (const [at, strand] of strands.entries()) {
      const value = decodeValue(answers.found[at]);
      if (value === undefined) this.#miss(strand);
      else this.#hear(strand, value, takenOver(value, server), false);
    }
    return answers.more;
  }

  /** Offers nodes' pins to the other servers. @param until by the clock. @returns the fate of the last one's. */
  async #offer(strands: readonly NodeId[], occasion: Occasion, until: number): Promise<Fate> {
    const { clock, link, time, server } = this.#options;
    // Boots that began before the engine was first asked are told by its time as well.
    if (!this.#engine.hasTime) await this.#engine.ask(['EVAL', TAKE_OVER, 0, server], [], until - clock.now());
    if (!this.#engine.hasTime) return 'unheard';
    const offers = strands.map((strand) => this.#prepare(strand, occasion)).filter((one) => one !== undefined);
    if (offers.length === 0) return 'stands';
    const keys = offers.map(({ strand }) => link.key('node', strand));
    const args = offers.flatMap(({ seen, text, leftMs }) => [seen.text ?? '', text, leftMs]);
    const claims = offers.flatMap(({ strand, node }) => this.#addresses.claims(strand, node, time.now()));
    const command = ['EVAL', OFFER, keys.length, ...keys, ...args];
    const answers = await this.#engine.ask(command, claims, until - clock.now());
    if (answers === undefined) {
      this.#addresses.forget();
      for (const { strand } of offers) this.#writes.keep(strand);
      return 'unheard';
    }
    let fate: Fate = 'stands';
    for (const [at, offer] of offers.entries()) {
      const value = decodeValue(answers.found[at]);
      if (value !== undefined) fate = this.#hear(offer.strand, value, value, occasion === 'beginning');
      else fate = this.#isShared(offer);
    }
    return fate;
  }

  /** @returns undefined when the engine has nothing to learn of the node. */
  #prepare(strand: NodeId, occasion: Occasion): Offer | undefined {
    const { server, time } = this.#options;
    const seen = this.#seen.of(strand);
    const { node, usedAgoMs } = this.#boots.share(strand, seen, time.now());
    if (seen.isKept || (node.pins.length === 0 && (seen.text ?? '') === '')) return undefined;
    const pins = encodePins(node);
    const isSame = pins === seen.pins && (seen.text ?? '') !== '';
    if (isSame && occasion !== 'renewal') return undefined;
    const lifeMs = lifeOf(node);
    // Other servers see from it when the node was last here.
    const leftMs = lifeMs - usedAgoMs;
    if (leftMs <= 0) return undefined;
    const changed = { strand, seen, node, pins, leftMs };
    // A renewal changes no value, so that no other server takes it for news.
    if (isSame) return { ...changed, number: seen.number, holder: seen.holder, text: seen.text! };
    const number = seen.number + 1;
    return { ...changed, number, holder: server, text: encodeValue(number, server, lifeMs, pins) };
  }

  #isShared({ seen, text, number, holder, pins }: Offer): 'stands' {
    const now = this.#options.time.now();
    Object.assign(seen, { text, number, holder, pins, seenAt: now });
    seen.isUnheard = false;
    seen.isKept = false;
    return 'stands';
  }

  /** Notes that nodes which boot here are here without the engine's knowledge. */
  #goUnheard(strands: readonly NodeId[]): void {
    const now = this.#options.time.now();
    for (const strand of strands) if (this.#boots.live(strand, now).length > 0) this.#seen.of(strand).isUnheard = true;
  }

  /** Notes that the engine has nothing of a node. What boots here stays, and is offered. */
  #miss(strand: NodeId): void {
    const now = this.#options.time.now();
    const seen = this.#seen.of(strand);
    Object.assign(seen, { text: '', pins: '', holder: '', seenAt: now, lacking: [], isKept: false });
    if (this.#boots.live(strand, now).length > 0) this.touch(strand);
  }

  /** Takes in a node's shared value. @param left value that stands at the engine now. */
  #hear(strand: NodeId, found: SharedValue, left: SharedValue, isBeginning: boolean): 'stands' | 'theirs' | 'again' {
    const now = this.#options.time.now();
    const seen = this.#seen.of(strand);
    const { text: before, isKept, number: numberBefore } = seen;
    const node = decodePins(found.pins);
    const live = this.#boots.live(strand, now);
    const isNews = before !== found.text || seen.lacking.length > 0;
    const local = live.length === 0 ? undefined : this.#boots.describe(live, node, isBeginning, now);
    const begunAgoMs =
      this.#engine.toEngine(now) - Math.max(0, ...(node?.pins ?? []).map(({ createdAt }) => createdAt));
    const boot = { ...found, begunAgoMs };
    const last = { ...seen, seenAgoMs: now - seen.seenAt, isOver: seen.pins === NO_PINS };
    const standing = node === undefined ? 'ours' : whoseStand(boot, last, local, this.#options.server);
    const { text, number, holder, pins } = left;
    // Numbers only grow, also past values that a former master took.
    Object.assign(seen, { text, holder, pins, number: Math.max(number, numberBefore) });
    seen.seenAt = now;
    if (!isNews) return 'stands';
    if (node === undefined) {
      this.#refused++;
      this.#tellOnce('a shared pin can not be read: does something else use the same prefix?', { node: strand });
      return 'again';
    }
    if (standing === 'theirs') {
      this.#assume(strand, seen, node, now - found.usedAgoMs, live);
      return 'theirs';
    }
    seen.isKept = standing === 'kept';
    if (seen.isKept && !isKept) this.#kept++;
    if (!seen.isKept) this.touch(strand);
    return seen.isKept ? 'stands' : 'again';
  }

  /** Lets the node go on with another server's pins, as far as this store has their versions. */
  #assume(strand: NodeId, seen: Seen, node: SharedNode, usedAt: number, live: readonly Pin[]): void {
    const known = node.pins.map((pin) => ({ pin, version: this.#boots.versionOf(pin) }));
    const lacking = known.filter(({ version }) => version === undefined).map(({ pin }) => pin);
    if (lacking.length > seen.lacking.length) {
      this.#refused += lacking.length - seen.lacking.length;
      const [{ channel, digest }] = lacking as [SharedPin];
      const message = 'a node boots a version that this store lacks: does another fleet use the same prefix?';
      this.#tellOnce(message, { node: strand, channel, digest: `sha256:${digest}` });
    }
    Object.assign(seen, { lacking, isUnheard: false, isKept: false });
    const records = known.flatMap(({ pin: { digest: _digest, provisional, ...pin }, version }) => {
      if (version === undefined) return [];
      // The pin of the last request's address is the most recently used one.
      const lastAt = pin.address === node.address ? usedAt : usedAt - 1;
      const createdAt = Math.min(lastAt, this.#engine.fromEngine(pin.createdAt));
      seen.births.set(pin.channel, { local: createdAt, shared: pin.createdAt });
      const record = { ...pin, createdAt, usedAt: lastAt, version: version.number };
      return [provisional ? { ...record, provisional } : record];
    });
    const versions = new Map(records.map(({ channel, version }) => [channel, version]));
    if (live.some(({ record }) => (versions.get(record.channel) ?? record.version) !== record.version)) this.#adopted++;
    this.#table.assume(strand, records);
  }

  /** Offers all boots under way, and the ends of others, because the engine may have lost them. */
  #offerAll(): void {
    const now = this.#options.time.now();
    this.#addresses.forget();
    for (const node of this.#seen.distrust(now)) this.touch(node);
    for (const pin of this.#table.all()) if (this.#boots.isLive(pin, now)) this.touch(pin.record.node);
  }

  #tellOnce(message: string, detail: Readonly<Record<string, unknown>>): void {
    if (this.#told.has(message)) return;
    this.#told.add(message);
    this.#options.onWarning(message, detail);
  }
}
