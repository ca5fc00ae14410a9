/**
 * The truth of a store: one LMDB environment whose write transaction is the only lock there is, between threads and
 * between processes. Knows tables of records; neither blobs nor index.json.
 */
import { type Database, open, type RootDatabase } from 'lmdb';
import { damaged } from './database-file.ts';
import {
  type ChannelRecord,
  type ChannelSettings,
  isWhole,
  type OverrideRecord,
  type PinRecord,
  type UseNote,
  type VersionRecord,
} from './records.ts';
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

/**
 * Of what is read nothing is believed that is not of its form: paths are made of digests. A record that people made and
 * that is damaged stops what is being done; one of those that servers write for a few hours is as if it were not there.
 */
class LmdbTable<V> implements Table<V> {
  readonly #database: Database<V, string>;
  readonly #table: keyof Tables;
  readonly #path: string;

  constructor(database: Database<V, string>, table: keyof Tables, path: string) {
    this.#database = database;
    this.#table = table;
    this.#path = path;
  }

  get(key: string): V | undefined {
    const value = this.#database.get(key);
    return value === undefined || this.#isWhole(key, value) ? value : undefined;
  }

  put(key: string, value: V): void {
    this.#database.putSync(key, value);
  }

  remove(key: string): void {
    this.#database.removeSync(key);
  }

  entries(): [string, V][] {
    const all = [...this.#database.getRange()].map(({ key, value }): [string, V] => [key, value]);
    return all.filter(([key, value]) => this.#isWhole(key, value));
  }

  #isWhole(key: string, value: V): boolean {
    if (isWhole(this.#table, key, value)) return true;
    if (this.#table === 'pins' || this.#table === 'useNotes') return false;
    throw damaged(this.#path, `expected a record of ${this.#table} at ${quote(key)}, got a damaged one`);
  }

  keys(): string[] {
    return [...this.#database.getKeys()];
  }
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
    const tables = Object.entries(DATABASES).map(([table, name]) => [
      table,
      new LmdbTable(root.openDB({ name }), table as keyof Tables, path),
    ]);
    this.tables = Object.fromEntries(tables) as Tables;
  }

  /**
   * @param path of a file that was checked (database-file.ts), or is not there.
   * @param readOnly the file is there, and nothing is to be written.
   * @throws StoreError for a newer format, or a file that can't be opened.
   */
  static async open(path: string, readOnly: boolean): Promise<State> {
    let root: RootDatabase<unknown, string>;
    try {
      root = open<unknown, string>({
        path,
        readOnly,
        noSubdir: true,
        maxDbs: Object.keys(DATABASES).length + 1,
        // With it, each commit that fails also rejects a promise that nobody can get hold of.
        eventTurnBatching: false,
      });
    } catch (error) {
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
