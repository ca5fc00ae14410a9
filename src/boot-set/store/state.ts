/**
 * The authoritative state of a store: one LMDB environment, whose write transaction is the only lock between threads
 * and processes. Knows tables of records; no blobs and no index.json.
 */
import { Worker } from 'node:worker_threads';
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

/** Format version; incremented when older programs could no longer read the database. */
export const FORMAT = 1;
/** Names of the tables' databases on disk; they must not change. */
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
  /** Only within a transaction. */
  put(key: string, value: V): void;
  /** Only within a transaction. */
  remove(key: string): void;
  /** Returns entries in the byte order of their keys. */
  entries(): [key: string, V][];
  /** Returns the keys without reading the records, in a twentieth of the time of entries(). */
  keys(): string[];
}

export interface Tables {
  readonly channels: Table<ChannelRecord>;
  readonly versions: Table<VersionRecord>;
  readonly pins: Table<PinRecord>;
  readonly overrides: Table<OverrideRecord>;
  readonly useNotes: Table<UseNote>;
  /** Next version number of removed channels: a channel of the same name continues from there. */
  readonly numbers: Table<number>;
}

/**
 * Validates every record it reads, because paths are built from digests. A damaged record made by people stops the
 * operation; a damaged one that servers write for a few hours (pins, use notes) is treated as missing.
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

/** Databases that this process has open, by path, with how often. */
const opened = new Map<string, number>();

/**
 * Script for a thread: reads the database once. Where LMDB fails, it waits between attempts for ten seconds in all, and
 * then throws outside of any call; in a thread of its own, the first wait can end the attempt instead.
 */
const READ_ONCE = `
const { workerData: { here, options }, parentPort } = process.getBuiltinModule('node:worker_threads');
const { createRequire } = process.getBuiltinModule('node:module');
const require = createRequire(here);
Atomics.wait = () => { throw new Error('taken'); };
require('lmdb').open(options).openDB({ name: 'meta' }).get('format');
parentPort.postMessage('read');
`;

/**
 * LMDB tells processes apart by their PID, so it can't serve two that have the same PID in different PID namespaces,
 * such as PID 1 in two containers. It then fails at the first read, which this function does in a thread, and only if a
 * reader with this process's PID is in LMDB's table: it may have been left by a process that was killed.
 *
 * @throws StoreError when another process has the same PID.
 */
async function checkPid(path: string, root: RootDatabase<unknown, string>): Promise<void> {
  if (opened.has(path)) return;
  const readers = [...root.readerList().matchAll(/^\s*([0-9]+)\s/gm)].map(([, pid]) => Number(pid));
  if (!readers.includes(process.pid)) return;
  const options = { path, readOnly: true, noSubdir: true, maxDbs: Object.keys(DATABASES).length + 1 };
  const thread = new Worker(READ_ONCE, { eval: true, workerData: { here: import.meta.url, options }, stderr: true });
  const hasRead = await new Promise<boolean>((resolve) => {
    thread.once('message', () => resolve(true));
    thread.once('error', () => resolve(false));
    thread.once('exit', () => resolve(false));
  });
  await thread.terminate();
  if (hasRead) return;
  throw new StoreError(
    `${path}: another process has the PID ${process.pid} as well, in another container, and the database tells processes apart by their PID: let the containers share a PID namespace (docker run --pid=container:NAME, shareProcessNamespace in Kubernetes), or run the command in the other container (docker exec)`,
    false,
  );
}

export class State {
  readonly tables: Tables;
  readonly #path: string;
  readonly #root: RootDatabase<unknown, string>;
  readonly #meta: Database<unknown, string>;
  /** True when the last commit failed. */
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
   * @param path path of a file that was checked (database-file.ts), or does not exist.
   * @param readOnly true when the file exists and nothing must be written.
   * @throws StoreError for an unknown format, or a file that can't be opened.
   */
  static async open(path: string, readOnly: boolean): Promise<State> {
    let root: RootDatabase<unknown, string>;
    try {
      root = open<unknown, string>({
        path,
        readOnly,
        noSubdir: true,
        maxDbs: Object.keys(DATABASES).length + 1,
        // With batching, each failed commit also rejects a promise that no caller can reach.
        eventTurnBatching: false,
      });
    } catch (error) {
      throw new StoreError(`${path}: cannot be opened: ${whatFailed(error)}`, false);
    }
    try {
      await checkPid(path, root);
      // The other databases are opened or created only once the format is known to be ours.
      const meta = root.openDB<unknown, string>({ name: 'meta' });
      const format = meta.get('format');
      if (format !== undefined && format !== FORMAT) {
        throw new StoreError(
          `${path}: expected a store of format ${FORMAT}, got ${quote(JSON.stringify(format))}: was it written by a newer version of Reveille?`,
        );
      }
      const state = new State(path, root, meta);
      opened.set(path, (opened.get(path) ?? 0) + 1);
      return state;
    } catch (error) {
      await root.close();
      throw error;
    }
  }

  /** Returns true once the store has been initialized. Until then it counts as missing. */
  get isSettled(): boolean {
    return this.#meta.get('format') !== undefined;
  }

  /** Refreshes the snapshot; lists read in the same turn of the event loop show the same one. */
  get generation(): number {
    this.#meta.resetReadTxn();
    return (this.#meta.get('generation') as number | undefined) ?? 0;
  }

  get defaults(): ChannelSettings {
    return (this.#meta.get('defaults') as ChannelSettings | undefined) ?? {};
  }

  /** Only within a transaction. */
  setDefaults(settings: ChannelSettings): void {
    this.#meta.putSync('defaults', settings);
  }

  /** Digests of versions that other servers of the fleet need, with the time at which this was last known. */
  get neededByOthers(): ReadonlyMap<string, number> {
    const record = this.#meta.get('neededByOthers');
    const entries = typeof record === 'object' && record !== null ? Object.entries(record) : [];
    return new Map(entries.filter((entry): entry is [string, number] => Number.isFinite(entry[1])));
  }

  /** Only within a transaction. */
  setNeededByOthers(needed: ReadonlyMap<string, number>): void {
    this.#meta.putSync('neededByOthers', Object.fromEntries(needed));
  }

  /** Only within a transaction. */
  settle(): void {
    this.#meta.putSync('format', FORMAT);
  }

  /** Only within a transaction. */
  bumpGeneration(): void {
    this.#meta.putSync('generation', ((this.#meta.get('generation') as number | undefined) ?? 0) + 1);
  }

  /**
   * Runs `work` in this thread with the lock held; another thread waits for the lock. If `work` throws, nothing is
   * changed.
   *
   * Resolves once it is visible to all and survives the end of the process, though not yet a power failure.
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
      // The commit failed; the reason is in a promise of its own.
      this.#hasFailed = true;
      const reason = error instanceof Error && 'commitError' in error ? await reasonOf(error.commitError) : error;
      // LMDB reports a write cut short by a full disk as an input/output error.
      throw new StoreError(`${this.#path}: could not be written to (is the disk full?): ${whatFailed(reason)}`, false);
    }
  }

  /** Resolves when everything committed so far survives a power failure. */
  async flushed(): Promise<void> {
    await this.#root.flushed;
  }

  async close(): Promise<void> {
    const left = (opened.get(this.#path) ?? 1) - 1;
    if (left > 0) opened.set(this.#path, left);
    else opened.delete(this.#path);
    const closed = this.#root.close();
    // After a failed commit LMDB's promise never resolves; the end of the process closes the database.
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
