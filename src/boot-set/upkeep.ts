/**
 * Background work for a boot-set source: polls the store for changes and lets the parts follow them, keeps the bytes
 * that boots need in the cache, and writes changed pins. Knows no requests.
 */
import type { BlobShelf } from './blob-shelf.ts';
import type { PinPolicies } from './boot/pin-policies.ts';
import type { PinTable } from './boot/pin-table.ts';
import { hasLapsed } from './boot/pins.ts';
import type { SharedPins } from './boot/shared-pins.ts';
import { SET_MS, type SteadyTime } from './boot/steady-time.ts';
import type { VersionNotes } from './boot/version-notes.ts';
import type { TablesClock } from './node/address-tables.ts';
import type { Catalog, CatalogVersion } from './store/catalog.ts';

/** Interval between polls of the store. */
const POLL_MS = 250;
/** Longest delay before a changed pin is written. */
const FLUSH_MS = 5000;

export interface UpkeepOptions {
  readonly catalog: Catalog;
  readonly policies: PinPolicies;
  readonly pins: PinTable;
  readonly notes: VersionNotes;
  /** undefined where pins are not shared. */
  readonly sharedPins: SharedPins | undefined;
  readonly shelf: BlobShelf;
  readonly clock: TablesClock;
  readonly time: SteadyTime;
  /** Budget in bytes for reading current versions ahead of requests. */
  readonly prefetchBytes: number;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  #cancelPoll: () => void = () => {};
  #flushedAt = 0;
  #flushMs = FLUSH_MS;
  #drift = 0;
  #flushing: Promise<void> = Promise.resolve();
  #hasToldFull = false;

  /** Subscribes the parts to changes of the catalog. */
  constructor(options: UpkeepOptions) {
    this.#options = options;
    options.catalog.onChange(() => this.#follow());
  }

  /** Reads the store and starts polling it. */
  begin(): void {
    const { catalog, clock } = this.#options;
    this.#flushedAt = clock.now();
    catalog.refresh();
    this.#poll();
  }

  /** Stops polling, writes what is pending, and releases the bytes. */
  async close(): Promise<void> {
    this.#cancelPoll();
    await this.#flushing;
    await this.#flush();
    await this.#options.sharedPins?.close();
    this.#options.shelf.close();
  }

  #poll(): void {
    const { catalog, clock, onWarning } = this.#options;
    this.#cancelPoll = clock.wake(clock.now() + POLL_MS, () => {
      try {
        catalog.refresh();
        const trouble = catalog.takeTrouble();
        if (trouble !== undefined) onWarning('the store cannot be read', { error: String(trouble) });
        if (clock.now() - this.#flushedAt >= this.#flushMs || this.#isClockSet()) this.#flushing = this.#flush();
      } catch (error) {
        // The server continues with the versions that it knows.
        onWarning('the store cannot be read', { error: String(error) });
      }
      this.#poll();
    });
  }

  /** Pins are then rewritten at once, because collectors go by the wall clock. */
  #isClockSet(): boolean {
    return Math.abs(this.#options.time.drift - this.#drift) > SET_MS;
  }

  /** Lets the parts follow a change of the store. */
  #follow(): void {
    const { catalog, policies, pins, notes } = this.#options;
    pins.doubt();
    const exists = (name: string): boolean => catalog.versionNamed(name) !== undefined;
    notes.retain(exists);
    this.#flushMs = Math.min(FLUSH_MS, policies.shortestIdleMs() / 4);
    this.#stock();
  }

  async #flush(): Promise<void> {
    const { pins, notes, clock, onWarning } = this.#options;
    const { time } = this.#options;
    const now = time.now();
    this.#flushedAt = clock.now();
    this.#drift = time.drift;
    notes.flush(now);
    this.#stock();
    if (pins.evicted > 0 && !this.#hasToldFull) {
      this.#hasToldFull = true;
      onWarning('more nodes seem to boot than there is room for pins', {
        pins: pins.size,
        unanswered: pins.provisional,
      });
    }
    await pins.flush(now);
  }

  /** Keeps the bytes of versions being booted and, with a prefetch budget, of current versions. */
  #stock(): void {
    const { catalog, policies, pins, shelf, prefetchBytes } = this.#options;
    const kept = new Map<string, CatalogVersion>();
    const add = (version: CatalogVersion | undefined): void => {
      if (version !== undefined) kept.set(version.name, version);
    };
    if (prefetchBytes > 0) {
      for (const { name, current } of catalog.channels.values()) {
        if (current !== undefined) add(catalog.version(name, current));
      }
      // A staged version may be promoted at any time.
      for (const { name, followed } of catalog.channels.values()) {
        if (followed !== undefined) add(catalog.byManifest(name, followed));
      }
      shelf.readAhead(
        [...kept.values()].flatMap(({ files }) => files),
        prefetchBytes,
      );
    }
    const now = this.#options.time.now();
    for (const { record, open } of pins.all()) {
      const { channel, version } = record;
      if (!hasLapsed(record, open > 0, now, policies.of(channel))) add(catalog.version(channel, version));
    }
    shelf.keep(kept.values());
  }
}
