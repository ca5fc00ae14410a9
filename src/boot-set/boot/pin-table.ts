/**
 * The pins as a server has them at hand: what the store of pins holds, the transfers that are open under each, and what
 * is still to be written. Bounded. Decides nothing about boots: that is pins.ts.
 */
import type { NodeId } from '../node/node-identity.ts';
import type { Catalog } from '../store/catalog.ts';
import type { PinRecord } from '../store/records.ts';
import { laterBegun } from './pins.ts';
import { isSamePin, type PinStore } from './pin-store.ts';

/** Pins at once; beyond it those that were not used for longest are dropped. */
const MAX_PINS = 65_536;
/** So many go at once: choosing them looks at all. */
const MAKE_WAY = 1024;
/** A pin is remembered for so long after its last use, also one that has lapsed or whose version is gone. */
const FORGET_MS = 24 * 3_600_000;
/** Renewals written in one transaction, for whose length the main thread does nothing else. */
const RENEWALS_AT_ONCE = 200;

/** A pin, and what is going on under it. */
export class Pin {
  record: PinRecord;
  /** As it was last handed to the store. */
  saved: PinRecord;
  /** Transfers to the node from the pinned version that are open. */
  open = 0;
  /** The node has begun a boot with a file that is not of this channel. */
  over = false;
  /** When the store was last looked at for changes by others, as its generation. */
  generation: number;
  /** Pending while a reply must wait for it; gives what became of it. */
  committed: Promise<'stands' | 'gone'> | undefined;

  constructor(record: PinRecord, generation: number) {
    this.record = record;
    this.saved = record;
    this.generation = generation;
  }
}

export interface PinTableOptions {
  readonly store: PinStore;
  readonly catalog: Catalog;
  readonly most?: number;
  /** The store would not write: boots go on with what is in memory. */
  readonly onFailure: (error: unknown) => void;
}

export class PinTable {
  readonly #store: PinStore;
  readonly #catalog: Catalog;
  readonly #most: number;
  readonly #onFailure: (error: unknown) => void;
  readonly #nodes = new Map<NodeId, Map<string, Pin>>();
  /** Grows when others may have changed the store. */
  #generation = 0;
  #size = 0;
  #evicted = 0;

  constructor({ store, catalog, most = MAX_PINS, onFailure }: PinTableOptions) {
    this.#store = store;
    this.#catalog = catalog;
    this.#most = most;
    this.#onFailure = onFailure;
    for (const record of store.scan()) this.#enter(new Pin(record, 0));
  }

  get size(): number {
    return this.#size;
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
    if (!isSamePin(stored, pin.record)) {
      pin.record = stored;
      pin.saved = stored;
      pin.over = false;
    }
    return pin;
  }

  /** All pins of a node. */
  ofNode(node: NodeId): Iterable<Pin> {
    return this.#nodes.get(node)?.values() ?? [];
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
    const pin = new Pin(record, this.#generation);
    this.#enter(pin);
    this.#commit(pin, before?.saved, isNew);
    if (this.#size > this.#most) this.#makeWay();
    return pin;
  }

  /** Changes a pin. @param now whether a reply waits until that is stored; otherwise flush() stores it in time. */
  update(pin: Pin, change: Partial<Pick<PinRecord, 'usedAt' | 'stage' | 'address'>>, now: boolean): void {
    pin.record = { ...pin.record, ...change };
    if (now && pin.committed === undefined) this.#commit(pin, pin.saved, false);
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
      this.#enter(pin);
      this.#commit(pin, other?.saved, false);
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
      if (pin.record !== pin.saved && pin.committed === undefined) changed.push(pin);
      else if (pin.open === 0 && now - pin.record.usedAt > FORGET_MS) over.push(pin);
    }
    if (over.length > 0) this.drop(over);
    for (let at = 0; at < changed.length; at += RENEWALS_AT_ONCE) {
      const some = changed.slice(at, at + RENEWALS_AT_ONCE);
      for (const pin of some) pin.saved = pin.record;
      // oxlint-disable-next-line no-await-in-loop -- one transaction after the other: requests go between.
      await this.#store.renew(some.map(({ record }) => record)).catch(this.#onFailure);
    }
  }

  /** Looks at the store first: a pin goes in the same transaction as its version. */
  #isThere(channel: string, version: number): boolean {
    this.#catalog.refresh();
    return this.#catalog.version(channel, version) !== undefined;
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
    }
    if (!pins.has(channel)) this.#size++;
    pins.set(channel, pin);
  }

  #remove(pin: Pin): void {
    const { node, channel } = pin.record;
    const pins = this.#nodes.get(node);
    if (pins?.get(channel) !== pin) return;
    pins.delete(channel);
    this.#size--;
    if (pins.size === 0) this.#nodes.delete(node);
  }

  #commit(pin: Pin, before: PinRecord | undefined, isNew: boolean): void {
    const record = pin.record;
    pin.saved = record;
    const committed = this.#store.getOrCreate(record, before).then(
      (stored) => {
        if (pin.committed === committed) pin.committed = undefined;
        if (stored === 'gone') {
          // Otherwise it stays: the node has files of that version, and no other would match them.
          if (isNew) this.#remove(pin);
          return 'gone' as const;
        }
        // Another server was faster: its version is the node's.
        if (!isSamePin(stored, record) && isSamePin(pin.record, record)) {
          pin.record = stored;
          pin.saved = stored;
        }
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

  /** Drops those that were not used for longest. One whose node is loading stays. */
  #makeWay(): void {
    const idle = [...this.#each()].filter((pin) => pin.open === 0 && pin.committed === undefined);
    idle.sort((a, b) => a.record.usedAt - b.record.usedAt);
    const going = idle.slice(0, Math.max(1, Math.min(MAKE_WAY, Math.ceil(this.#most / 64))));
    this.#evicted += going.length;
    this.drop(going);
  }

  #background(work: Promise<unknown>): void {
    work.catch(this.#onFailure);
  }
}
