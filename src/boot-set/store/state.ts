/**
 * The truth of a store: one LMDB environment whose write transaction is the only lock there is, between threads and
 * between processes. Knows tables of records; neither blobs nor index.json.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { ChannelRecord, ChannelSettings, UseNote, OverrideRecord, PinRecord, VersionRecord } from './records.ts';
import { quote, StoreError, whatFailed } from './store-error.ts';

/** Raised when older programs could no longer read what is written. */
export const FORMAT = 1;
/** The tables and what their databases are called on disk: the names of databases stay as they are. */
const DATABASES: Readonly<Record<keyof Tables, string>> = {
  channels: 'channels',
  versions: 'versions',
  pins: 'pins',
  overrides: 'overrides',
  useNotes: 'leases',
  numbers: 'numbers',
};
/** Where a page of LMDB's has its magic number, and what it is, with the format's version after it. */
const MAGIC_AT = 24;
const MAGIC = 'dec0efbe02000000';

export interface Table<V> {
  get(key: string): V | undefined;
  /** Only in a transaction. */
  put(key: string, value: V): void;
  /** Only in a transaction. */
  remove(key: string): void;
  /** In the order of the keys' bytes. */
  entries(): [key: string, V][];
  /** As entries, without reading the records: a twentieth of the time. */
  keys(): string[];
}

export interface Tables {
  readonly channels: Table<ChannelRecord>;
  readonly versions: Table<VersionRecord>;
  readonly pins: Table<PinRecord>;
  readonly overrides: Table<OverrideRecord>;
  readonly useNotes: Table<UseNote>;
  /** The next number of channels that are gone: one that comes again goes on from there. */
  readonly numbers: Table<number>;
}

class LmdbTable<V> implements Table<V> {
  readonly #database: Database<V, string>;

  constructor(database: Database<V, string>) {
    this.#database = database;
  }

  get(key: string): V | undefined {
    return this.#database.get(key);
  }

  put(key: string, value: V): void {
    this.#database.putSync(key, value);
  }

  remove(key: string): void {
    this.#database.removeSync(key);
  }

  entries(): [string, V][] {
    return [...this.#database.getRange()].map(({ key, value }) => [key, value]);
  }

  keys(): string[] {
    return [...this.#database.getKeys()];
  }
}

/** LMDB reads whatever is in the file as its own and dies of what is not. @throws StoreError */
function checkMagic(path: string): void {
  const fd = openSync(path, 'r');
  try {
    const page = Buffer.alloc(MAGIC_AT + MAGIC.length / 2);
    const length = readSync(fd, page, 0, page.length, 0);
    if (length === 0 || page.toString('hex', MAGIC_AT) === MAGIC) return;
  } finally {
    closeSync(fd);
  }
  throw new StoreError(`${path}: expected the database of a store, got something else or a damaged one`, false);
}

export class State {
  readonly tables: Tables;
  readonly #path: string;
  readonly #root: RootDatabase<unknown, string>;
  readonly #meta: Database<unknown, string>;
  /** Whether the last commit did. */
  #hasFailed = false;

  private constructor(path: string, root: RootDatabase<unknown, string>, meta: Database<unknown, string>) {
    this.#path = path;
    this.#root = root;
    this.#meta = meta;
    const tables = Object.entries(DATABASES).map(([table, name]) => [table, new LmdbTable(root.openDB({ name }))]);
    this.tables = Object.fromEntries(tables) as Tables;
  }

  /**
   * @param readOnly the file is there, and nothing is to be written.
   * @throws StoreError for a newer format, a file that is no such database, or one that can't be opened.
   */
  static async open(path: string, readOnly: boolean, isThere: boolean): Promise<State> {
    let root: RootDatabase<unknown, string>;
    try {
      if (isThere) checkMagic(path);
      root = open<unknown, string>({
        path,
        readOnly,
        noSubdir: true,
        maxDbs: Object.keys(DATABASES).length + 1,
        // With it, each commit that fails also rejects a promise that nobody can get hold of.
        eventTurnBatching: false,
      });
    } catch (error) {
      if (error instanceof StoreError) throw error;
      throw new StoreError(`${path}: can not be opened: ${whatFailed(error)}`, false);
    }
    try {
      // The others are only opened, and made where there are none, once it is known that they mean what we think.
      const meta = root.openDB<unknown, string>({ name: 'meta' });
      const format = meta.get('format');
      if (format !== undefined && format !== FORMAT) {
        throw new StoreError(
          `${path}: expected a store of format ${FORMAT}, got ${quote(JSON.stringify(format))}: a newer one?`,
        );
      }
      return new State(path, root, meta);
    } catch (error) {
      await root.close();
      throw error;
    }
  }

  /** Whether anything has been put in it. Until then it is as if it were not there. */
  get isSettled(): boolean {
    return this.#meta.get('format') !== undefined;
  }

  /** Takes a new look at the database; lists that are read in the same turn of the event loop are of that look. */
  get generation(): number {
    this.#meta.resetReadTxn();
    return (this.#meta.get('generation') as number | undefined) ?? 0;
  }

  get defaults(): ChannelSettings {
    return (this.#meta.get('defaults') as ChannelSettings | undefined) ?? {};
  }

  /** Only in a transaction. */
  setDefaults(settings: ChannelSettings): void {
    this.#meta.putSync('defaults', settings);
  }

  /** Only in a transaction. */
  settle(): void {
    this.#meta.putSync('format', FORMAT);
  }

  /** Only in a transaction. */
  bumpGeneration(): void {
    this.#meta.putSync('generation', ((this.#meta.get('generation') as number | undefined) ?? 0) + 1);
  }

  /**
   * Runs `work` with the lock held, in this thread; the waiting for the lock is done in another. What throws is undone.
   *
   * @returns when it is visible to all and survives the end of the process, though not yet that of the machine.
   */
  async transaction<T>(work: () => T): Promise<T> {
    let hasRun = false;
    try {
      const result = await this.#root.childTransaction(() => {
        const came = work();
        hasRun = true;
        return came;
      });
      this.#hasFailed = false;
      return result;
    } catch (error) {
      if (!hasRun) throw error;
      // What was to be written could not be: the reason is in a promise of its own.
      this.#hasFailed = true;
      const reason = error instanceof Error && 'commitError' in error ? await reasonOf(error.commitError) : error;
      // A write that a full disk cuts short is an input/output error to LMDB.
      throw new StoreError(`${this.#path}: could not be written to, is the disk full? ${whatFailed(reason)}`, false);
    }
  }

  /** When everything committed so far survives a power failure. */
  async flushed(): Promise<void> {
    await this.#root.flushed;
  }

  async close(): Promise<void> {
    const closed = this.#root.close();
    // After a commit that failed LMDB's promise never resolves; the end of the process closes it then.
    if (!this.#hasFailed) await closed;
  }
}

async function reasonOf(rejection: unknown): Promise<unknown> {
  try {
    await rejection;
  } catch (error) {
    return error;
  }
  return new Error('the database could not be written to');
}
