/**
 * Holds a server's pins in memory: the stored records, the open transfers under each pin, and unwritten changes.
 * Bounded. The rules about boots are in pins.ts.
 */
import { type NodeId, ownerOf } from '../node/node-identity.ts';
import type { Catalog } from '../store/catalog.ts';
import type { PinRecord } from '../store/records.ts';
import { Pin } from './pin.ts';
import { laterBegun } from './pins.ts';
import { isSamePin, type PinStore } from './pin-store.ts';
import { ProvisionalPins } from './provisional-pins.ts';
import { SET_MS, type SteadyTime } from './steady-time.ts';

/**
 * Cap on pins. Beyond it provisional pins are dropped first, then the least recently used.
 * @limit Pins; a pin belongs to one node and channel. Shows: `reveille_pins_evicted_total`.
 */
const MAX_PINS = 65_536;
/** Pins dropped at a time; choosing them scans the whole table. */
const MAKE_WAY = 1024;
/**
 * A pin is forgotten this long after its last use. Until then it stays, even if it has lapsed or its version is gone.
 * @limit Time after its last use for which a pin is remembered.
 */
const FORGET_MS = 24 * 3_600_000;
/** Times of one boot may differ by this much when servers have told each other of it. */
const SAME_BOOT_MS = 100;
/** Pins renewed in one transaction; the main thread is blocked while a transaction runs. */
const RENEWALS_AT_ONCE = 200;

export interface PinTableOptions {
  readonly store: PinStore;
  readonly catalog: Catalog;
  readonly time: SteadyTime;
  /** The system's uptime in milliseconds; undefined when unknown. */
  readonly uptime: () => number | undefined;
  readonly most?: number;
  /** Called when the store can't be written to; boots then continue with the pins in memory. */
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
  /** Names made by sideOf(), by their node. */
  readonly #sides = new Map<NodeId, Set<NodeId>>();
  readonly #provisional = new ProvisionalPins<Pin>();
  /** Incremented when another process may have changed the store. */
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

  /** Number of pins under which no client has acknowledged anything. */
  get provisional(): number {
    return this.#provisional.size;
  }

  /** Number of pins dropped because the table or a network was full. */
  get evicted(): number {
    return this.#evicted;
  }

  /** Notes that another process may have changed the store: each pin is compared with it before its next use. */
  doubt(): void {
    this.#generation++;
  }

  find(node: NodeId, channel: string): Pin | undefined {
    const pin = this.#nodes.get(node)?.get(channel);
    // A pin that is being written is not in the store yet.
    if (pin === undefined || pin.generation === this.#generation || pin.committed !== undefined) return pin;
    const stored = this.#store.get(node, channel);
    // Someone has dropped the pin. A pin removed together with its version is kept: the node has files of that version.
    if (stored === undefined && this.#isThere(channel, pin.record.version)) {
      this.#remove(pin);
      this.#store.touch?.(node);
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

  /** Returns all pins of a node. */
  ofNode(node: NodeId): Iterable<Pin> {
    return this.#nodes.get(node)?.values() ?? [];
  }

  /** Returns the names under which the node has pins for other addresses. */
  sidesOf(node: NodeId): readonly NodeId[] {
    return [...(this.#sides.get(node) ?? [])];
  }

  /** Returns true when any transfer to the node is open. */
  isOpen(node: NodeId): boolean {
    for (const pin of this.ofNode(node)) if (pin.open > 0) return true;
    return false;
  }

  all(): IterableIterator<Pin> {
    return this.#each();
  }

  /**
   * Stores a pin in place of the node's pin for that channel. A reply must wait for its `committed`.
   *
   * @param isNew true when no file has been sent under it yet; it is then dropped if its version turns out to be gone.
   */
  put(record: PinRecord, isNew: boolean): Pin {
    const stored = { ...record, createdAt: this.#time.toWall(record.createdAt) };
    const before = this.#nodes.get(record.node)?.get(record.channel);
    return this.#place(new Pin(record, stored, this.#generation), before?.stored, isNew);
  }

  /** Changes a pin. @param now true when a reply waits for the write; otherwise the next flush() writes it. */
  update(pin: Pin, change: Partial<Pick<PinRecord, 'usedAt' | 'stage' | 'address'>>, now: boolean): void {
    pin.record = { ...pin.record, ...change };
    if (pin.record.provisional === true && this.#has(pin)) this.#provisional.add(pin);
    if (change.stage !== undefined) this.#store.touch?.(pin.record.node);
    if (now && pin.committed === undefined) this.#commit(pin, pin.stored, false);
  }

  /** Marks a pin as proven: a client at its address has acknowledged a file sent under it. */
  prove(pin: Pin): void {
    if (pin.record.provisional !== true) return;
    this.#provisional.delete(pin);
    pin.record = { ...pin.record, provisional: undefined };
    this.#store.touch?.(pin.record.node);
  }

  /** Marks a pin as ended: the node has begun another boot. */
  end(pin: Pin): void {
    if (!pin.over) this.#store.touch?.(pin.record.node);
    pin.over = true;
  }

  drop(pins: readonly Pin[], why: 'over' | 'room' = 'over'): void {
    for (const pin of pins) this.#remove(pin);
    const records = pins.map(({ record }) => record);
    this.#background(this.#store.drop(records, why));
  }

  /**
   * Takes over what another server knows of a node: these pins stand, and its others are over. Replies wait until they
   * are stored here as well.
   *
   * @param records their times are those of SteadyTime.
   */
  assume(node: NodeId, records: readonly Omit<PinRecord, 'node'>[]): void {
    const channels = new Set(records.map(({ channel }) => channel));
    for (const pin of this.ofNode(node)) if (!channels.has(pin.record.channel)) pin.over = true;
    for (const taken of records) {
      const record = { ...taken, node };
      const known = this.#nodes.get(node)?.get(taken.channel);
      const pin = known ?? new Pin(record, record, this.#generation);
      const before = known?.stored;
      // In place, so that open transfers stay counted.
      Object.assign(pin, {
        record,
        stored: { ...record, createdAt: this.#time.toWall(record.createdAt) },
        over: false,
      });
      this.#place(pin, before, false);
    }
  }

  /**
   * Moves all pins of one name to another name of the same node. Where both names have a pin for a channel, the one of
   * the later boot stays. Open transfers stay counted under the pin they began with.
   */
  rename(from: NodeId, to: NodeId, change: Partial<PinRecord>): void {
    const moved = from === to ? [] : [...this.ofNode(from)];
    if (moved.length === 0) return;
    const names = moved.map(({ record }) => record);
    for (const pin of moved) {
      const other = this.find(to, pin.record.channel);
      this.#remove(pin);
      const isLater =
        other !== undefined &&
        laterBegun(pin.record, other.record) === other.record &&
        (other.record.createdAt - pin.record.createdAt > SAME_BOOT_MS || other.record.stage >= pin.record.stage);
      if (other !== undefined && (pin.over === other.over ? isLater : pin.over)) continue;
      pin.record = { ...pin.record, ...change, node: to };
      pin.generation = this.#generation;
      pin.stored = { ...pin.stored, node: to };
      this.#enter(pin);
      this.#commit(pin, other?.stored, false);
    }
    // The old names are dropped after the new ones are written: whatever happens in between, one of the two is stored.
    this.#background(this.#store.drop(names, 'over'));
  }

  /**
   * Writes pins changed since the last flush, renews pins with open transfers, and forgets pins unused for FORGET_MS.
   */
  async flush(now: number): Promise<void> {
    const changed: Pin[] = [];
    const over: Pin[] = [];
    for (const pin of this.#each()) {
      if (pin.open > 0) pin.record = { ...pin.record, usedAt: now };
      if (this.#isChanged(pin) && pin.committed === undefined) changed.push(pin);
      else if (pin.open === 0 && now - pin.record.usedAt > FORGET_MS) over.push(pin);
    }
    if (over.length > 0) this.drop(over, 'room');
    for (let at = 0; at < changed.length; at += RENEWALS_AT_ONCE) {
      const some = changed.slice(at, at + RENEWALS_AT_ONCE);
      const renewed = some.map((pin) => this.#toStored(pin));
      // oxlint-disable-next-line no-await-in-loop -- one transaction at a time, so that requests are served in between.
      await this.#store.renew(renewed).catch(this.#onFailure);
    }
  }

  /** Refreshes the catalog first: a pin is removed in the same transaction as its version. */
  #isThere(channel: string, version: number): boolean {
    this.#catalog.refresh();
    return this.#catalog.version(channel, version) !== undefined;
  }

  /** Also true after the wall clock was set: otherwise other processes would misjudge the pin's age. */
  #isChanged({ record, saved, stored }: Pin): boolean {
    return record !== saved || Math.abs(stored.usedAt - this.#time.toWall(record.usedAt)) > SET_MS;
  }

  /**
   * Returns the record for the store and marks it as handed over. createdAt stays the same, because it identifies the
   * pin.
   */
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
   * Converts a pin stored before this start. Takes the smaller of its ages by wall clock and by system uptime: either
   * clock may have been reset meanwhile, and a boot in progress must not be split.
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

  #place(pin: Pin, before: PinRecord | undefined, isNew: boolean): Pin {
    this.#enter(pin);
    this.#commit(pin, before, isNew);
    if (this.#size > this.#most) this.#makeWay(pin);
    return pin;
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
          // A pin in use stays: the node has files of that version, and no other version would match them.
          if (isNew) this.#remove(pin);
          return 'gone' as const;
        }
        if (stored === 'taken') return stored;
        // Another server has pinned first; the node gets that server's version.
        if (!isSamePin(stored, record) && isSamePin(pin.stored, record)) this.#adopt(pin, stored);
        return 'stands' as const;
      },
      (error: unknown) => {
        // A boot does not wait for a store that can't be written to; until it can, the pin exists in memory alone.
        if (pin.committed === committed) pin.committed = undefined;
        this.#onFailure(error);
        return 'stands' as const;
      },
    );
    pin.committed = committed;
  }

  /**
   * Drops provisional pins first, then the least recently used. A proven pin with open transfers or a pending write
   * stays.
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
    this.drop(pins, 'room');
  }

  #background(work: Promise<unknown>): void {
    work.catch(this.#onFailure);
  }
}
