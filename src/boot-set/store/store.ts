/**
 * A store of boot sets on disk: an OCI image layout and its authoritative database. Opens it, reads it, and changes it
 * under its only lock. Knows no packets; publishing, collecting and verifying have files of their own.
 */
import type { Adopted } from './adopt.ts';
import { checkDatabase } from './database-file.ts';
import { buildIndex, replaceIndex } from './index-file.ts';
import { INDEX_FILE, isDigest, type Layout } from './layout.ts';
import { ensureLayout, layoutAt, StoreFolders } from './make-layout.ts';
import type { OwnFolder } from './own-folder.ts';
import {
  type ChannelRecord,
  type ChannelSettings,
  DEFAULT_CHANNEL_SETTINGS,
  type OverrideRecord,
  type PinRecord,
  type VersionRecord,
  versionName,
} from './records.ts';
import { State, type Tables } from './state.ts';
import { StoreError, whatFailed } from './store-error.ts';

export { StoreError } from './store-error.ts';
export type { Table, Tables } from './state.ts';

export interface StoreOptions {
  readonly path: string;
  /** True to create, adopt and repair nothing. Default false. */
  readonly readOnly?: boolean;
  /** True to make an empty or missing folder a store. Default: the opposite of readOnly. */
  readonly create?: boolean;
  /** Wall clock in milliseconds since the epoch. Default: the system's clock. */
  readonly now?: () => number;
  /** Called after each step that another process could observe; tests end the process there. */
  readonly onStep?: (step: string) => void;
}

/** Opens a store; unless readOnly, creates or adopts it. @throws StoreError with a one-line message. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { readOnly = false, onStep = () => {} } = options;
  const layout = await layoutAt(options.path);
  const isNew = await ensureLayout(layout, options.create ?? !readOnly);
  onStep('layout made');
  const folders = StoreFolders.open(layout);
  try {
    return await openWithin(layout, folders, isNew, options);
  } catch (error) {
    folders.close();
    throw error;
  }
}

async function openWithin(
  layout: Layout,
  folders: StoreFolders,
  isNew: boolean,
  { readOnly = false, now = Date.now, onStep = () => {} }: StoreOptions,
): Promise<Store> {
  const isThere = await checkDatabase(folders.root);
  if (readOnly && !isThere)
    throw new StoreError(
      `${layout.root}: expected a store, got an OCI image layout without a database: reveille verify makes it a store`,
    );
  // Checked before the database is created: a faulty layout must leave nothing behind.
  let adopted = isThere ? undefined : isNew ? NOTHING : await readForeign(layout, folders, now());
  if (!readOnly) {
    try {
      folders.make();
      onStep('folders made');
    } catch (error) {
      if (error instanceof StoreError) throw error;
      throw new StoreError(`${layout.root}: cannot be written to: ${whatFailed(error)}`, false);
    }
  }
  const state = await State.open(layout.state, readOnly);
  onStep('database opened');
  const store = new Store({ layout, folders, state, now, onStep });
  try {
    // A process that ended while creating the database left an empty one.
    if (!state.isSettled && adopted === undefined) adopted = await readForeign(layout, folders, now());
    if (!readOnly) await store.settle(adopted);
    else if (!state.isSettled)
      throw new StoreError(`${layout.root}: expected a store, got one whose creation did not finish`);
    return store;
  } catch (error) {
    await state.close();
    throw error;
  }
}

const NOTHING: Adopted = { channels: [], versions: [], named: new Set() };

/** Imported on demand: most stores need no adoption, and loading zod takes longer than a small command. */
async function readForeign(layout: Layout, folders: StoreFolders, now: number): Promise<Adopted> {
  const { readLayout } = await import('./adopt.ts');
  return await readLayout(layout, folders, now);
}

function enter(tables: Tables, { channels, versions }: Adopted): void {
  for (const channel of channels) tables.channels.put(channel.name, channel);
  for (const version of versions) tables.versions.put(versionName(version.channel, version.number), version);
}

export interface StoreParts {
  readonly layout: Layout;
  readonly folders: StoreFolders;
  readonly state: State;
  readonly now: () => number;
  readonly onStep: (step: string) => void;
}

export class Store {
  readonly path: string;
  readonly layout: Layout;
  readonly now: () => number;
  readonly onStep: (step: string) => void;
  readonly #state: State;
  readonly #folders: StoreFolders;
  /** Sizes by digest; manifests never change. */
  readonly #manifestSizes = new Map<string, number>();

  /** Use openStore(). */
  constructor({ layout, folders, state, now, onStep }: StoreParts) {
    this.path = layout.root;
    this.#folders = folders;
    this.layout = layout;
    this.#state = state;
    this.now = now;
    this.onStep = onStep;
  }

  /**
   * A counter incremented by every change that a server must see; reading it takes a few microseconds. Reading it also
   * refreshes the snapshot: lists read in the same turn of the event loop show one moment.
   */
  get generation(): number {
    return this.#state.generation;
  }

  channels(): ChannelRecord[] {
    return this.#list('channels');
  }

  /** Returns versions sorted by channel and then by number. */
  versions(channel?: string): VersionRecord[] {
    const all = this.#list('versions');
    const chosen = channel === undefined ? all : all.filter((version) => version.channel === channel);
    return chosen.toSorted((a, b) => {
      if (a.channel !== b.channel) return a.channel < b.channel ? -1 : 1;
      return a.number - b.number;
    });
  }

  overrides(): OverrideRecord[] {
    return this.#list('overrides');
  }

  pins(): PinRecord[] {
    return this.#list('pins');
  }

  /** Returns the settings for channels without their own. */
  defaults(): Required<ChannelSettings> {
    return { ...DEFAULT_CHANNEL_SETTINGS, ...this.#state.defaults };
  }

  /** Stores a server's settings, so that collections by other processes use them as well. */
  async setDefaults(settings: ChannelSettings): Promise<void> {
    const wanted = { ...DEFAULT_CHANNEL_SETTINGS, ...settings };
    if (JSON.stringify(wanted) === JSON.stringify(this.defaults())) return;
    await this.change(() => this.#state.setDefaults(wanted));
  }

  /** Returns the digests that other servers of the fleet needed, with the time at which this was last known. */
  neededByOthers(): ReadonlyMap<string, number> {
    return this.#state.neededByOthers;
  }

  /**
   * Records which versions other servers of the fleet need now, so that every collection keeps them, without Redis.
   *
   * @param held digests of all versions in the store: others are forgotten.
   */
  async setNeededByOthers(needed: Iterable<string>, held: ReadonlySet<string>): Promise<void> {
    const now = this.now();
    await this.#state.transaction(() => {
      const next = new Map([...this.#state.neededByOthers].filter(([digest]) => held.has(digest)));
      for (const digest of needed) if (held.has(digest)) next.set(digest, now);
      this.#state.setNeededByOthers(next);
    });
  }

  /** @throws StoreError when the text is not a digest. */
  blobPath(digest: string): string {
    return this.layout.blob(digest);
  }

  get root(): OwnFolder {
    return this.#folders.root;
  }

  get blobs(): OwnFolder {
    return this.#folders.blobs;
  }

  /** @throws StoreError when the store has no staging folder, which happens only in read-only mode. */
  get staging(): OwnFolder {
    const { staging } = this.#folders;
    if (staging !== undefined) return staging;
    throw new StoreError(`${this.layout.staging}: expected a folder, got nothing`, false);
  }

  get stagingIfThere(): OwnFolder | undefined {
    return this.#folders.staging;
  }

  /** The tables as they are now. Write to them only in change() and note(). */
  get tables(): Tables {
    return this.#state.tables;
  }

  /**
   * Runs `work` in the write transaction, which is the only lock, and updates index.json. If `work` throws, nothing is
   * changed.
   *
   * Resolves once it is committed: visible to all, and safe if this process ends. See flushed() for power failures.
   */
  async change<T>(work: (tables: Tables) => T): Promise<T> {
    let isIndexWritten = false;
    try {
      const result = await this.#state.transaction(() => {
        const came = work(this.#state.tables);
        this.#state.bumpGeneration();
        isIndexWritten = true;
        replaceIndex(this.root, this.indexText(), this.onStep);
        return came;
      });
      this.onStep('committed');
      return result;
    } catch (error) {
      // index.json may describe the change that failed: a full disk can stop the commit itself.
      if (isIndexWritten) await this.repairIndex().catch(() => {});
      throw error;
    }
  }

  /**
   * Like change(), for pins, use notes and other records outside index.json, which stays as it is, as does the
   * generation. Concurrent calls are combined into one transaction.
   */
  note<T>(work: (tables: Tables) => T): Promise<T> {
    return this.#state.transaction(() => work(this.#state.tables));
  }

  /** Resolves when everything committed so far survives a power failure. */
  async flushed(): Promise<void> {
    await this.#state.flushed();
    this.root.sync(INDEX_FILE);
    this.root.sync();
    this.onStep('flushed');
  }

  async close(): Promise<void> {
    await this.#state.close();
    this.#folders.close();
  }

  /** Returns the text that index.json should have; inside a transaction, the text for after the commit. */
  indexText(): string {
    return buildIndex({
      channels: this.channels(),
      versions: this.versions(),
      manifestSize: (digest) => this.#manifestSize(digest),
    });
  }

  /** Enters the adopted records, unless another process was faster, and repairs index.json. Called by openStore(). */
  async settle(adopted: Adopted | undefined): Promise<void> {
    if (adopted !== undefined) {
      await this.#state.transaction(() => {
        if (this.#state.isSettled) return;
        enter(this.#state.tables, adopted);
        this.#state.bumpGeneration();
        this.#state.settle();
      });
      await this.#state.flushed();
      this.onStep('adopted');
    }
    await this.repairIndex();
  }

  /**
   * Rewrites index.json if it is wrong: it may be behind or ahead when a process ended, or a disk filled up, during a
   * change.
   */
  async repairIndex(): Promise<void> {
    if (!this.isIndexRight()) await this.#writeIndex();
  }

  /** Returns true when index.json matches the records. @throws StoreError when it is not a file. */
  isIndexRight(): boolean {
    return this.root.hasText(INDEX_FILE, this.indexText());
  }

  #writeIndex(): Promise<void> {
    return this.#state.transaction(() => replaceIndex(this.root, this.indexText(), this.onStep));
  }

  #list<K extends keyof Tables>(name: K): ReturnType<Tables[K]['entries']>[number][1][] {
    return this.#state.tables[name].entries().map(([, record]) => record);
  }

  #manifestSize(digest: string): number {
    const known = this.#manifestSizes.get(digest);
    if (known !== undefined) return known;
    // 0 when the blob is missing: verify reports that, and other channels can still be changed.
    const found = isDigest(digest) ? this.blobs.stat(digest) : undefined;
    const size = found?.isFile() === true ? found.size : 0;
    if (size > 0) this.#manifestSizes.set(digest, size);
    return size;
  }
}
