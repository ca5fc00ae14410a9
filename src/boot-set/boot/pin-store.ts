/**
 * Stores pins where a restart or another server finds them, with few operations, so that a networked store could
 * implement them. The rules are in pins.ts, a server's copy in memory in pin-table.ts.
 */
import { type PinRecord, pinKey, versionName } from '../store/records.ts';
import type { Store } from '../store/store.ts';

export interface PinStore {
  /**
   * Writes `wanted` if the stored pin for its node and channel is still `before` and its version exists.
   *
   * @returns a promise that resolves once the result is visible to all: to the pin that stands now (that of another
   *   server on this store, if that one was faster), to `gone` when the version does not exist, or to `taken` when the
   *   node boots at another server of the fleet, whose pins the table has taken over.
   */
  getOrCreate(wanted: PinRecord, before: PinRecord | undefined): Promise<PinRecord | 'gone' | 'taken'>;
  /** Writes newer times, stages and addresses of pins that still stand. */
  renew(pins: readonly PinRecord[]): Promise<void>;
  /** @param why `room`: this server needs the room; the boot goes on. */
  drop(pins: readonly PinRecord[], why: 'over' | 'room'): Promise<void>;
  /** Notes that a node's pins have changed without a write of their own. */
  touch?(node: string): void;
  scan(): Iterable<PinRecord>;
  /** Returns the pin as it is stored now. */
  get(node: string, channel: string): PinRecord | undefined;
}

/** Returns true when two records describe the same boot. */
export function isSamePin(a: PinRecord | undefined, b: PinRecord | undefined): boolean {
  return a?.version === b?.version && a?.createdAt === b?.createdAt;
}

interface PinRecords {
  get(key: string): PinRecord | undefined;
  put(key: string, pin: PinRecord): void;
  remove(key: string): void;
}

function getOrCreateIn(
  pins: PinRecords,
  exists: (version: string) => boolean,
  wanted: PinRecord,
  before: PinRecord | undefined,
): PinRecord | 'gone' {
  const key = pinKey(wanted.node, wanted.channel);
  const stored = pins.get(key);
  // A pin that was dropped meanwhile is no obstacle; a pin that someone else has written is.
  if (stored !== undefined && !isSamePin(stored, before) && !isSamePin(stored, wanted)) return stored;
  if (!exists(versionName(wanted.channel, wanted.version))) return 'gone';
  pins.put(key, wanted);
  return wanted;
}

function renewIn(records: PinRecords, pins: readonly PinRecord[]): void {
  for (const pin of pins) {
    const key = pinKey(pin.node, pin.channel);
    if (isSamePin(records.get(key), pin)) records.put(key, pin);
  }
}

/** Pins in the store's database: the transaction that writes a pin also checks that its version exists. */
export class StoredPins implements PinStore {
  readonly #store: Pick<Store, 'generation' | 'note' | 'pins' | 'tables'>;

  constructor(store: Pick<Store, 'generation' | 'note' | 'pins' | 'tables'>) {
    this.#store = store;
  }

  getOrCreate(wanted: PinRecord, before: PinRecord | undefined): Promise<PinRecord | 'gone'> {
    return this.#store.note(({ pins, versions }) =>
      getOrCreateIn(pins, (name) => versions.get(name) !== undefined, wanted, before),
    );
  }

  renew(renewed: readonly PinRecord[]): Promise<void> {
    return this.#store.note(({ pins }) => renewIn(pins, renewed));
  }

  drop(names: readonly PinRecord[]): Promise<void> {
    return this.#store.note(({ pins }) => {
      for (const { node, channel } of names) pins.remove(pinKey(node, channel));
    });
  }

  scan(): Iterable<PinRecord> {
    return this.#store.pins();
  }

  get(node: string, channel: string): PinRecord | undefined {
    // Reading the generation refreshes the snapshot: an older one may lack pins committed since.
    void this.#store.generation;
    return this.#store.tables.pins.get(pinKey(node, channel));
  }
}

/** Pins in memory alone: for a rehearsal or a read-only store. */
export class MemoryPins implements PinStore {
  readonly #pins = new Map<string, PinRecord>();
  readonly #exists: (version: string) => boolean;

  /** @param exists true when a version with this explicit name exists. @param pins the initial pins. */
  constructor(exists: (version: string) => boolean, pins: Iterable<PinRecord>) {
    this.#exists = exists;
    for (const pin of pins) this.#pins.set(pinKey(pin.node, pin.channel), pin);
  }

  getOrCreate(wanted: PinRecord, before: PinRecord | undefined): Promise<PinRecord | 'gone'> {
    return Promise.resolve(getOrCreateIn(this.#records, this.#exists, wanted, before));
  }

  renew(pins: readonly PinRecord[]): Promise<void> {
    renewIn(this.#records, pins);
    return Promise.resolve();
  }

  drop(names: readonly PinRecord[]): Promise<void> {
    for (const { node, channel } of names) this.#pins.delete(pinKey(node, channel));
    return Promise.resolve();
  }

  scan(): Iterable<PinRecord> {
    return this.#pins.values();
  }

  get(node: string, channel: string): PinRecord | undefined {
    return this.#pins.get(pinKey(node, channel));
  }

  get #records(): PinRecords {
    const pins = this.#pins;
    return {
      get: (key) => pins.get(key),
      put: (key, pin) => void pins.set(key, pin),
      remove: (key) => void pins.delete(key),
    };
  }
}
