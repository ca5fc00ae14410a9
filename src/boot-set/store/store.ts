/**
 * A store of boot sets on disk: an OCI image layout, and the database that is the truth about it. Opens it, reads it, and
 * changes it under its only lock. Knows no packets; publishing, collecting and checking are files of their own.
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
  /** Nothing is created, adopted or put right. Default false. */
  readonly readOnly?: boolean;
  /** Whether an empty or missing folder becomes a store. Default: unless readOnly. */
  readonly create?: boolean;
  /** Milliseconds since the epoch. Default: the system's clock. */
  readonly now?: () => number;
  /** Called after each step that another process could see; a test ends the process there. */
  readonly onStep?: (step: string) => void;
}

/** What channels have where they say nothing else. */
export const DEFAULT_CHANNEL_SETTINGS: Required<ChannelSettings> = {
  pinIdleMs: 15 * 60_000,
  pinCapMs: 2 * 3_600_000,
  keepVersions: 3,
};

/** Opens, creates (unless readOnly) or adopts. @throws StoreError with one clear line. */
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
    throw new StoreError(`${layout.root}: expected a store, got an OCI image layout without one`);
  // Checked before the database is made: what is wrong with a layout leaves nothing behind.
  let adopted = isThere ? undefined : isNew ? NOTHING : await readForeign(layout, folders, now());
  if (!readOnly) {
    try {
      folders.make();
      onStep('folders made');
    } catch (error) {
      if (error instanceof StoreError) throw error;
      throw new StoreError(`${layout.root}: can not be written to: ${whatFailed(error)}`, false);
    }
  }
  const state = await State.open(layout.state, readOnly);
  onStep('database opened');
  const store = new Store({ layout, folders, state, now, onStep });
  try {
    // A process that ended while it made the database left an empty one.
    if (!state.isSettled && adopted === undefined) adopted = await readForeign(layout, folders, now());
    if (!readOnly) await store.settle(adopted);
    else if (!state.isSettled) throw new StoreError(`${layout.root}: expected a store, got one that is not yet made`);
    return store;
  } catch (error) {
    await state.close();
    throw error;
  }
}

const NOTHING: Adopted = { channels: [], versions: [], named: new Set() };

/** Loaded when it is needed: most stores are their own, and zod takes longer to load than a small verb. */
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
  /** Manifests do not change, so neither do their sizes. */
  readonly #manifestSizes = new Map<string, number>();

  /** Use openStore. */
  constructor({ layout, folders, state, now, onStep }: StoreParts) {
    this.path = layout.root;
    this.#folders = folders;
    this.layout = layout;
    this.#state = state;
    this.now = now;
    this.onStep = onStep;
  }

  /**
   * Grows with every change that a server must see; read in a few microseconds. Reading it takes a new look at the
   * database: lists read in the same turn of the event loop are of the same moment.
   */
  get generation(): number {
    return this.#state.generation;
  }

  channels(): ChannelRecord[] {
    return this.#list('channels');
  }

  /** In the order of their numbers within a channel. */
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

  /** What channels have that say nothing else. */
  defaults(): Required<ChannelSettings> {
    return { ...DEFAULT_CHANNEL_SETTINGS, ...this.#state.defaults };
  }

  /** A server's settings, so that a collection by anyone else goes by them too. */
  async setDefaults(settings: ChannelSettings): Promise<void> {
    const wanted = { ...DEFAULT_CHANNEL_SETTINGS, ...settings };
    if (JSON.stringify(wanted) === JSON.stringify(this.defaults())) return;
    await this.change(() => this.#state.setDefaults(wanted));
  }

  /** @throws StoreError for what is no digest. */
  blobPath(digest: string): string {
    return this.layout.blob(digest);
  }

  get root(): OwnFolder {
    return this.#folders.root;
  }

  get blobs(): OwnFolder {
    return this.#folders.blobs;
  }

  /** @throws StoreError where there is none: only who may write nothing finds none. */
  get staging(): OwnFolder {
    const { staging } = this.#folders;
    if (staging !== undefined) return staging;
    throw new StoreError(`${this.layout.staging}: expected a folder, got nothing`, false);
  }

  get stagingIfThere(): OwnFolder | undefined {
    return this.#folders.staging;
  }

  /** As the tables are now; to be read only, outside of change and note. */
  get tables(): Tables {
    return this.#state.tables;
  }

  /**
   * Runs `work` in the write transaction, the only lock; index.json follows. What throws is undone.
   *
   * @returns when it is committed: visible to all, safe from the end of this process. See flushed().
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
      // index.json may tell of what did not come to be: a full disk can stop the commit itself.
      if (isIndexWritten) await this.repairIndex().catch(() => {});
      throw error;
    }
  }

  /**
   * Like change, for pins, use notes and other records that index.json does not show: it stays as it is, as does the
   * generation. Several at once become one transaction.
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

  /** What index.json should hold. In a transaction: as it will be. */
  indexText(): string {
    return buildIndex({
      channels: this.channels(),
      versions: this.versions(),
      manifestSize: (digest) => this.#manifestSize(digest),
    });
  }

  /** Enters what was adopted unless another process was faster, and puts index.json right. openStore calls it. */
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

  /** index.json may lag behind, or ahead, where a process ended or a disk was full in the middle of a change. */
  async repairIndex(): Promise<void> {
    if (!this.isIndexRight()) await this.#writeIndex();
  }

  /** Whether index.json says what the records say. @throws StoreError for what is no file. */
  isIndexRight(): boolean {
    const text = this.indexText();
    const bytes = Buffer.byteLength(text);
    if (!this.root.hasFile(INDEX_FILE)) return false;
    // One of another length is not read: it may be of any.
    return this.root.stat(INDEX_FILE)?.size === bytes && this.root.text(INDEX_FILE, bytes) === text;
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
    // 0 where there is no such blob: verify tells of it, and other channels can still be changed.
    const found = isDigest(digest) ? this.blobs.stat(digest) : undefined;
    const size = found?.isFile() === true ? found.size : 0;
    if (size > 0) this.#manifestSizes.set(digest, size);
    return size;
  }
}
