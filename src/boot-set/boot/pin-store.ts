/**
 * Where pins are kept so that a restart, or another server, finds them: four operations that a networked store can have
 * as well. The rules are in pins.ts, what a server remembers of them in pin-table.ts.
 */
import { type PinRecord, pinKey, versionName } from '../store/records.ts';
import type { Store } from '../store/store.ts';

export type PinName = Pick<PinRecord, 'node' | 'channel'>;

export interface PinStore {
  /**
   * Writes `wanted`, if what is stored for its node and channel is still `before` and its version exists.
   *
   * @returns when that is visible to all: the pin that stands now (another's, if another was faster), or `gone` when
   *   there is no such version.
   */
  getOrCreate(wanted: PinRecord, before: PinRecord | undefined): Promise<PinRecord | 'gone'>;
  /** Writes later times, stages and addresses of pins that still stand. */
  renew(pins: readonly PinRecord[]): Promise<void>;
  drop(pins: readonly PinName[]): Promise<void>;
  scan(): Iterable<PinRecord>;
  /** The pin as it is stored now. */
  get(node: string, channel: string): PinRecord | undefined;
}

/** Whether two records are about one boot. */
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
  // One that was dropped meanwhile is no obstacle; one that somebody has put there is.
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

/** Pins in the store's database: whether their version exists is looked up in the transaction that writes them. */
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

  drop(names: readonly PinName[]): Promise<void> {
    return this.#store.note(({ pins }) => {
      for (const { node, channel } of names) pins.remove(pinKey(node, channel));
    });
  }

  scan(): Iterable<PinRecord> {
    return this.#store.pins();
  }

  get(node: string, channel: string): PinRecord | undefined {
    // A new look: the last one may be older than what was committed since, and show no pin where there is one.
    void this.#store.generation;
    return this.#store.tables.pins.get(pinKey(node, channel));
  }
}

/** Pins in memory alone: for a rehearsal. */
export class MemoryPins implements PinStore {
  readonly #pins = new Map<string, PinRecord>();
  readonly #exists: (version: string) => boolean;

  /** @param exists whether there is a version of that explicit name. @param pins what it begins with. */
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

  drop(names: readonly PinName[]): Promise<void> {
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
