/**
 * The pins as a server has them at hand: what the store of pins holds, the transfers that are open under each, and what
 * is still to be written. Bounded. Decides nothing about boots: that is pins.ts.
 */
import { type NodeId, ownerOf } from '../node/node-identity.ts';
import type { Catalog } from '../store/catalog.ts';
import type { PinRecord } from '../store/records.ts';
import { laterBegun } from './pins.ts';
import { isSamePin, type PinStore } from './pin-store.ts';
import { ProvisionalPins } from './provisional-pins.ts';
import type { SteadyTime } from './steady-time.ts';

/** Pins at once; beyond it those are dropped that nobody has answered under, then those not used for longest. */
const MAX_PINS = 65_536;
/** So many go at once: choosing them looks at all. */
const MAKE_WAY = 1024;
/** A pin is remembered for so long after its last use, also one that has lapsed or whose version is gone. */
const FORGET_MS = 24 * 3_600_000;
/** Renewals written in one transaction, for whose length the main thread does nothing else. */
const RENEWALS_AT_ONCE = 200;

/** The wall clock counts as set when it has moved by more than this. */
const SET_MS = 1000;

/** A pin, and what is going on under it. */
export class Pin {
  /** Times are those of SteadyTime. */
  record: PinRecord;
  /** The record that was last handed to the store. */
  saved: PinRecord;
  /** The same as the store has it: times by the wall clock. */
  stored: PinRecord;
  /** Transfers to the node from the pinned version that are open. */
  open = 0;
  /** The node has begun a boot with a file that is not of this channel. */
  over = false;
  /** When the store was last looked at for changes by others, as its generation. */
  generation: number;
  /** Pending while a reply must wait for it; gives what became of it. */
  committed: Promise<'stands' | 'gone'> | undefined;

  constructor(record: PinRecord, stored: PinRecord, generation: number) {
    this.record = record;
    this.saved = record;
    this.stored = stored;
    this.generation = generation;
  }
}

export interface PinTableOptions {
  readonly store: PinStore;
  readonly catalog: Catalog;
  readonly time: SteadyTime;
  /** The system's, in milliseconds; undefined: unknown. */
  readonly uptime: () => number | undefined;
  readonly most?: number;
  /** The store would not write: boots go on with what is in memory. */
  readonly onFailure: (error: unknown) => void;
}

export class PinTable {
  readonly #store: PinStore;
  readonly #catalog: Catalog;
  readonly #time: SteadyTime;
  readonly #uptime: () => number | undefined;
  readonly #most: number;
  readonly #onFailure: (error: unknown) => void;
  readonly #nodes = new Map<NodeId, Map<string, Pin>>();
  /** Names of pins for other addresses, by their node. */
  readonly #sides = new Map<NodeId, Set<NodeId>>();
  readonly #provisional = new ProvisionalPins<Pin>();
  /** Grows when others may have changed the store. */
  #generation = 0;
  #size = 0;
  #evicted = 0;

  constructor({ store, catalog, time, uptime, most = MAX_PINS, onFailure }: PinTableOptions) {
    this.#store = store;
    this.#catalog = catalog;
    this.#time = time;
    this.#uptime = uptime;
    this.#most = most;
    this.#onFailure = onFailure;
    for (const stored of store.scan()) this.#enter(new Pin(this.#fromBefore(stored), stored, 0));
  }

  get size(): number {
    return this.#size;
  }

  /** Those that nobody has answered under yet. */
  get provisional(): number {
    return this.#provisional.size;
  }

  /** Pins dropped for want of room. */
  get evicted(): number {
    return this.#evicted;
  }

  /** Others have changed the store: every pin is compared with it before it is used again. */
  doubt(): void {
    this.#generation++;
  }

  find(node: NodeId, channel: string): Pin | undefined {
    const pin = this.#nodes.get(node)?.get(channel);
    // What is being written is not there yet.
    if (pin === undefined || pin.generation === this.#generation || pin.committed !== undefined) return pin;
    const stored = this.#store.get(node, channel);
    // Somebody has dropped it. One that went together with its version is remembered: the node has files of that version.
    if (stored === undefined && this.#isThere(channel, pin.record.version)) {
      this.#remove(pin);
      return undefined;
    }
    pin.generation = this.#generation;
    if (stored === undefined) return pin;
    if (!isSamePin(stored, pin.stored)) {
      this.#adopt(pin, stored);
      pin.over = false;
    }
    return pin;
  }

  /** All pins of a node. */
  ofNode(node: NodeId): Iterable<Pin> {
    return this.#nodes.get(node)?.values() ?? [];
  }

  /** The names under which pins of the node for other addresses are kept. */
  sidesOf(node: NodeId): readonly NodeId[] {
    return [...(this.#sides.get(node) ?? [])];
  }

  /** Whether any transfer to the node is open. */
  isOpen(node: NodeId): boolean {
    for (const pin of this.ofNode(node)) if (pin.open > 0) return true;
    return false;
  }

  all(): IterableIterator<Pin> {
    return this.#each();
  }

  /**
   * Puts a pin in the place of what the node has for that channel. `committed` says when it is safe to reply.
   *
   * @param isNew whether nobody has got anything under it yet: then it goes where its version turns out to be gone.
   */
  put(record: PinRecord, isNew: boolean): Pin {
    const before = this.#nodes.get(record.node)?.get(record.channel);
    const stored = { ...record, createdAt: this.#time.toWall(record.createdAt) };
    const pin = new Pin(record, stored, this.#generation);
    this.#enter(pin);
    this.#commit(pin, before?.stored, isNew);
    if (this.#size > this.#most) this.#makeWay(pin);
    return pin;
  }

  /** Changes a pin. @param now whether a reply waits until that is stored; otherwise flush() stores it in time. */
  update(pin: Pin, change: Partial<Pick<PinRecord, 'usedAt' | 'stage' | 'address'>>, now: boolean): void {
    pin.record = { ...pin.record, ...change };
    if (pin.record.provisional === true && this.#has(pin)) this.#provisional.add(pin);
    if (now && pin.committed === undefined) this.#commit(pin, pin.stored, false);
  }

  /** A client at its address has acknowledged what was sent under it. */
  prove(pin: Pin): void {
    if (pin.record.provisional !== true) return;
    this.#provisional.delete(pin);
    pin.record = { ...pin.record, provisional: undefined };
  }

  drop(pins: readonly Pin[]): void {
    for (const pin of pins) this.#remove(pin);
    this.#background(this.#store.drop(pins.map(({ record }) => record)));
  }

  /**
   * Gives all pins of one name to another name of the same node; where both have one for a channel, that of the boot
   * that began last stays. Transfers stay counted where they began.
   */
  rename(from: NodeId, to: NodeId, change: Partial<PinRecord>): void {
    const moved = from === to ? [] : [...this.ofNode(from)];
    if (moved.length === 0) return;
    const names = moved.map(({ record }) => record);
    for (const pin of moved) {
      const other = this.find(to, pin.record.channel);
      this.#remove(pin);
      if (other !== undefined && laterBegun(pin.record, other.record) === other.record) continue;
      pin.record = { ...pin.record, ...change, node: to };
      pin.generation = this.#generation;
      pin.stored = { ...pin.stored, node: to };
      this.#enter(pin);
      this.#commit(pin, other?.stored, false);
    }
    // After the others are written: whatever happens in between, one of the two is there.
    this.#background(this.#store.drop(names));
  }

  /** Stores what has changed since the last time, counts open transfers as use, and forgets what is long over. */
  async flush(now: number): Promise<void> {
    const changed: Pin[] = [];
    const over: Pin[] = [];
    for (const pin of this.#each()) {
      if (pin.open > 0) pin.record = { ...pin.record, usedAt: now };
      if (this.#isChanged(pin) && pin.committed === undefined) changed.push(pin);
      else if (pin.open === 0 && now - pin.record.usedAt > FORGET_MS) over.push(pin);
    }
    if (over.length > 0) this.drop(over);
    for (let at = 0; at < changed.length; at += RENEWALS_AT_ONCE) {
      const some = changed.slice(at, at + RENEWALS_AT_ONCE);
      const renewed = some.map((pin) => this.#toStored(pin));
      // oxlint-disable-next-line no-await-in-loop -- one transaction after the other: requests go between.
      await this.#store.renew(renewed).catch(this.#onFailure);
    }
  }

  /** Looks at the store first: a pin goes in the same transaction as its version. */
  #isThere(channel: string, version: number): boolean {
    this.#catalog.refresh();
    return this.#catalog.version(channel, version) !== undefined;
  }

  /** Also when the wall clock was set: others must not take the pin for older or younger than it is. */
  #isChanged({ record, saved, stored }: Pin): boolean {
    return record !== saved || Math.abs(stored.usedAt - this.#time.toWall(record.usedAt)) > SET_MS;
  }

  /** The record for the store, noted as handed over. Its creation time stays: it identifies the pin. */
  #toStored(pin: Pin): PinRecord {
    const { record, stored } = pin;
    const uptime = this.#uptime();
    const usedAt = this.#time.toWall(record.usedAt);
    const age = Math.round(this.#time.now() - record.usedAt);
    pin.saved = record;
    pin.stored = {
      ...record,
      createdAt: stored.createdAt,
      usedAt,
      ...(uptime === undefined ? {} : { uptime: uptime - age }),
    };
    return pin.stored;
  }

  #adopt(pin: Pin, stored: PinRecord): void {
    this.#provisional.delete(pin);
    pin.record = {
      ...stored,
      createdAt: this.#time.fromWall(stored.createdAt),
      usedAt: this.#time.fromWall(stored.usedAt),
    };
    pin.saved = pin.record;
    pin.stored = stored;
    if (stored.provisional === true) this.#provisional.add(pin);
  }

  /**
   * A pin of before the start. Its age is the smaller of what the wall clock and the system's uptime make of it: either
   * may have begun anew meanwhile, and a boot that shows life is not to be split.
   */
  #fromBefore(stored: PinRecord): PinRecord {
    const now = this.#time.now();
    const uptime = this.#uptime();
    const byWall = Math.max(0, now - this.#time.fromWall(stored.usedAt));
    const byUptime =
      uptime === undefined || stored.uptime === undefined || stored.uptime > uptime ? byWall : uptime - stored.uptime;
    const usedAt = now - Math.min(byWall, byUptime);
    const createdAt = Math.max(this.#time.fromWall(stored.createdAt), usedAt - (stored.usedAt - stored.createdAt));
    return { ...stored, usedAt, createdAt: Math.min(usedAt, createdAt) };
  }

  #has(pin: Pin): boolean {
    return this.#nodes.get(pin.record.node)?.get(pin.record.channel) === pin;
  }

  *#each(): IterableIterator<Pin> {
    for (const pins of this.#nodes.values()) yield* pins.values();
  }

  #enter(pin: Pin): void {
    const { node, channel } = pin.record;
    let pins = this.#nodes.get(node);
    if (pins === undefined) {
      pins = new Map();
      this.#nodes.set(node, pins);
      this.#enterSide(node);
    }
    const before = pins.get(channel);
    if (before === undefined) this.#size++;
    else this.#provisional.delete(before);
    pins.set(channel, pin);
    const going = pin.record.provisional === true ? this.#provisional.add(pin) : undefined;
    if (going !== undefined) this.#evict([going]);
  }

  #enterSide(node: NodeId): void {
    const owner = ownerOf(node);
    if (owner === node) return;
    const sides = this.#sides.get(owner);
    if (sides === undefined) this.#sides.set(owner, new Set([node]));
    else sides.add(node);
  }

  #remove(pin: Pin): void {
    const { node, channel } = pin.record;
    const pins = this.#nodes.get(node);
    if (pins?.get(channel) !== pin) return;
    pins.delete(channel);
    this.#size--;
    this.#provisional.delete(pin);
    if (pins.size > 0) return;
    this.#nodes.delete(node);
    const owner = ownerOf(node);
    const sides = this.#sides.get(owner);
    if (sides?.delete(node) === true && sides.size === 0) this.#sides.delete(owner);
  }

  #commit(pin: Pin, before: PinRecord | undefined, isNew: boolean): void {
    const record = this.#toStored(pin);
    const committed = this.#store.getOrCreate(record, before).then(
      (stored) => {
        if (pin.committed === committed) pin.committed = undefined;
        if (stored === 'gone') {
          // Otherwise it stays: the node has files of that version, and no other would match them.
          if (isNew) this.#remove(pin);
          return 'gone' as const;
        }
        // Another server was faster: its version is the node's.
        if (!isSamePin(stored, record) && isSamePin(pin.stored, record)) this.#adopt(pin, stored);
        return 'stands' as const;
      },
      (error: unknown) => {
        // A boot is not held up for a store that can't write; until it can, the pin is in memory alone.
        if (pin.committed === committed) pin.committed = undefined;
        this.#onFailure(error);
        return 'stands' as const;
      },
    );
    pin.committed = committed;
  }

  /**
   * Drops those that nobody has answered under, then those that were not used for longest; of the latter, one whose node
   * is loading stays.
   */
  #makeWay(newest: Pin): void {
    const rank = ({ record }: Pin): number => (record.provisional === true ? 0 : 1);
    const going = [...this.#each()]
      .filter((pin) => pin !== newest && (rank(pin) === 0 || (pin.open === 0 && pin.committed === undefined)))
      .toSorted((a, b) => rank(a) - rank(b) || a.record.usedAt - b.record.usedAt);
    this.#evict(going.slice(0, Math.max(1, Math.min(MAKE_WAY, Math.ceil(this.#most / 64)))));
  }

  #evict(pins: readonly Pin[]): void {
    this.#evicted += pins.length;
    this.drop(pins);
  }

  #background(work: Promise<unknown>): void {
    work.catch(this.#onFailure);
  }
}
