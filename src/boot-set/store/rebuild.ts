/**
 * Rebuilds the database from index.json, for a store whose database is damaged or lost. Keeps the damaged file aside
 * and reports what only it contained: pins, rollouts, notes of use. Knows which processes have the database open;
 * nothing of commands.
 */
import { readdirSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { readLayout } from './adopt.ts';
import { MAX_PREVIOUS } from './channel-changes.ts';
import { type Survey, surveyDatabase } from './database-file.ts';
import { type Layout, LOCK_FILE, STATE_FILE } from './layout.ts';
import { ensureLayout, layoutAt, StoreFolders } from './make-layout.ts';
import type { FileId, OwnFolder } from './own-folder.ts';
import type { ChannelRecord } from './records.ts';
import { State } from './state.ts';
import { Store } from './store.ts';
import { quote, StoreError, whatFailed } from './store-error.ts';

export interface RebuildOptions {
  readonly path: string;
  /** Wall clock in milliseconds since the epoch. Default: the system's clock. */
  readonly now?: () => number;
}

export interface Rebuilt {
  readonly path: string;
  readonly channels: number;
  readonly versions: number;
  /** Path of the damaged database now; undefined when there was none. */
  readonly aside: string | undefined;
  /** Records that are lost; undefined when the database is missing or unreadable. */
  readonly lost: Survey | undefined;
}

/** The kernel's list of locks. Every process that has the database open holds a lock on LMDB's lock file. */
const LOCKS = '/proc/locks';

/**
 * @returns the PIDs of the processes that have the database open.
 * @throws StoreError when the list of locks can't be read.
 */
async function holders(root: OwnFolder): Promise<string[]> {
  const lock = root.fileId(LOCK_FILE);
  if (lock === undefined) return [];
  let text: string;
  try {
    text = await readFile(LOCKS, 'utf8');
  } catch (error) {
    throw new StoreError(
      `${LOCKS}: expected a readable file, to see whether a server has the store open: ${whatFailed(error)}`,
      false,
    );
  }
  // A line reads `1: POSIX  ADVISORY  READ  4711 fe:00:2302081 0 0`. Its device is not compared: stat(2) shows other ones
  // on btrfs and overlayfs.
  const pids = text.split('\n').flatMap((line) => {
    const [, pid, inode] = /POSIX\s+\S+\s+\S+\s+(-?[0-9]+)\s+[0-9a-f]+:[0-9a-f]+:([0-9]+)\s/.exec(line) ?? [];
    return inode === String(lock.ino) && pid !== String(process.pid) ? [pid!] : [];
  });
  return [...new Set(pids)].filter((pid) => mayHold(pid, lock));
}

/** Returns false when the process has the file closed: its lock is on a file of another device with the same inode. */
function mayHold(pid: string, lock: FileId): boolean {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).some((fd) => {
      const found = statSync(`${folder}/${fd}`, { bigint: true, throwIfNoEntry: false });
      return found?.ino === lock.ino && found.dev === lock.dev;
    });
  } catch {
    // The process belongs to another user.
    return true;
  }
}

async function expectNobody(layout: Layout, root: OwnFolder): Promise<void> {
  const pids = await holders(root);
  if (pids.length === 0) return;
  throw new StoreError(
    `${layout.state}: expected a database that no process has open, got ${pids.map((pid) => `process ${pid}`).join(', ')}: stop the server and other commands first`,
  );
}

/** Moves the database aside under a unique name. @returns that name; undefined when there is no database. */
function setAside(root: OwnFolder, now: number): string | undefined {
  if (root.stat(STATE_FILE) === undefined) return undefined;
  const day = new Date(now).toISOString().replace(/[-:]|\.[0-9]+/g, '');
  let name = `${STATE_FILE}.damaged-${day}`;
  for (let more = 2; root.stat(name) !== undefined; more++) name = `${STATE_FILE}.damaged-${day}-${more}`;
  root.rename(STATE_FILE, root, name);
  return name;
}

/**
 * Keeps the current version that index.json names. All other versions count as former ones, the highest number first.
 */
function withFormer(channel: ChannelRecord, numbers: readonly number[], isNamed: boolean): ChannelRecord {
  // A channel that index.json does not name has only candidates.
  const current = isNamed ? channel.current : undefined;
  const former = numbers.filter((number) => number !== current).toSorted((a, b) => b - a);
  return { ...channel, current, previous: current === undefined ? [] : former.slice(0, MAX_PREVIOUS) };
}

/**
 * Rebuilds the database. Before anything is moved, reads every blob that index.json leads to and compares it with its
 * digest.
 *
 * Resolves once the new database is on disk.
 *
 * @throws StoreError with a one-line message; the store is then unchanged.
 */
export async function rebuild({ path, now = Date.now }: RebuildOptions): Promise<Rebuilt> {
  const layout = await layoutAt(path);
  await ensureLayout(layout, false);
  const folders = StoreFolders.open(layout);
  try {
    return await rebuildWithin(layout, folders, now);
  } finally {
    folders.close();
  }
}

async function rebuildWithin(layout: Layout, folders: StoreFolders, now: () => number): Promise<Rebuilt> {
  const { root } = folders;
  await expectNobody(layout, root);
  const { channels, versions, named } = await readLayout(layout, folders, now());
  const lost = root.hasFile(STATE_FILE) ? await surveyDatabase(layout.state) : undefined;
  const numbers = (name: string): number[] =>
    versions.filter(({ channel }) => channel === name).map(({ number }) => number);
  const adopted = {
    named,
    versions,
    channels: channels.map((channel) => withFormer(channel, numbers(channel.name), named.has(channel.name))),
  };
  folders.make();
  await expectNobody(layout, root);
  const aside = setAside(root, now());
  try {
    // A process that opened the database between the first check and the move writes into the file now aside.
    await expectNobody(layout, root);
    const state = await State.open(layout.state, false);
    const store = new Store({ layout, folders, state, now, onStep: () => {} });
    try {
      await store.settle(adopted);
      await store.flushed();
    } finally {
      await state.close();
    }
  } catch (error) {
    throw takeBack(layout, root, aside, error);
  }
  return {
    path: layout.root,
    channels: channels.length,
    versions: versions.length,
    aside: aside === undefined ? undefined : `${layout.root}/${aside}`,
    lost,
  };
}

/** Puts the damaged database back, unless a new one exists. @returns the error to throw. */
function takeBack(layout: Layout, root: OwnFolder, aside: string | undefined, error: unknown): unknown {
  if (aside === undefined) return error;
  if (root.stat(STATE_FILE) === undefined) {
    root.rename(aside, root, STATE_FILE);
    return error;
  }
  return new StoreError(
    `${whatFailed(error)}; the previous database is kept at ${quote(`${layout.root}/${aside}`)}`,
    error instanceof StoreError && error.isMistake,
  );
}
