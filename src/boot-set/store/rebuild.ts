/**
 * The database made anew from index.json, for a store whose database is damaged or lost. Keeps the damaged one aside and
 * tells what only it knew: pins, rollouts, notes of use. Knows who has the database open; nothing of commands.
 */
import { readFile } from 'node:fs/promises';
import { readLayout } from './adopt.ts';
import { MAX_PREVIOUS } from './channel-changes.ts';
import { type Survey, surveyDatabase } from './database-file.ts';
import { type Layout, LOCK_FILE, STATE_FILE } from './layout.ts';
import { ensureLayout, layoutAt, StoreFolders } from './make-layout.ts';
import type { OwnFolder } from './own-folder.ts';
import type { ChannelRecord } from './records.ts';
import { State } from './state.ts';
import { Store } from './store.ts';
import { quote, StoreError, whatFailed } from './store-error.ts';

export interface RebuildOptions {
  readonly path: string;
  /** Milliseconds since the epoch. Default: the system's clock. */
  readonly now?: () => number;
}

export interface Rebuilt {
  readonly path: string;
  readonly channels: number;
  readonly versions: number;
  /** Where the damaged database is now; undefined: there was none. */
  readonly aside: string | undefined;
  /** What is lost; undefined: nobody can tell, since the database can't be read or is not there. */
  readonly lost: Survey | undefined;
}

/** LMDB's lock file is locked by every process that has the database open; the system lists who that is. */
const LOCKS = '/proc/locks';

/** @returns the numbers of the processes that have the database open. @throws StoreError where that can't be told. */
async function holders(root: OwnFolder): Promise<string[]> {
  const lock = root.inode(LOCK_FILE);
  if (lock === undefined) return [];
  let text: string;
  try {
    text = await readFile(LOCKS, 'utf8');
  } catch (error) {
    throw new StoreError(
      `${LOCKS}: expected to read there whether a server has the store open: ${whatFailed(error)}`,
      false,
    );
  }
  // `1: POSIX  ADVISORY  READ  4711 fe:00:2302081 0 0`. File systems differ in how they call their device.
  const pids = text.split('\n').flatMap((line) => {
    const [, pid, inode] = /POSIX\s+\S+\s+\S+\s+(-?[0-9]+)\s+[0-9a-f]+:[0-9a-f]+:([0-9]+)\s/.exec(line) ?? [];
    return inode === String(lock) && pid !== String(process.pid) ? [pid!] : [];
  });
  return [...new Set(pids)];
}

async function expectNobody(layout: Layout, root: OwnFolder): Promise<void> {
  const pids = await holders(root);
  if (pids.length === 0) return;
  throw new StoreError(
    `${layout.state}: expected nobody to have the database open, got ${pids.map((pid) => `process ${pid}`).join(', ')}: stop the server and other commands first`,
  );
}

/** Moves the database to a name of its own. @returns the name; undefined: there is none. */
function setAside(root: OwnFolder, now: number): string | undefined {
  if (root.stat(STATE_FILE) === undefined) return undefined;
  const day = new Date(now).toISOString().replace(/[-:]|\.[0-9]+/g, '');
  let name = `${STATE_FILE}.damaged-${day}`;
  for (let more = 2; root.stat(name) !== undefined; more++) name = `${STATE_FILE}.damaged-${day}-${more}`;
  root.rename(STATE_FILE, root, name);
  return name;
}

/** index.json says what is current. What was so before, is taken to be what was published before. */
function withFormer(channel: ChannelRecord, numbers: readonly number[], isNamed: boolean): ChannelRecord {
  // One that index.json does not name has nothing but candidates.
  const current = isNamed ? channel.current : undefined;
  const former = numbers.filter((number) => number !== current).toSorted((a, b) => b - a);
  return { ...channel, current, previous: current === undefined ? [] : former.slice(0, MAX_PREVIOUS) };
}

/**
 * Reads every blob that index.json leads to, and compares it with its digest: nothing is moved before that.
 *
 * @returns when the new database is on the disk.
 * @throws StoreError with one clear line; then the store is as it was.
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
    // Who has opened it between our look and its move writes into the file that is aside.
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

/** Puts the damaged database back, unless there is a new one. @returns what is to be thrown. */
function takeBack(layout: Layout, root: OwnFolder, aside: string | undefined, error: unknown): unknown {
  if (aside === undefined) return error;
  if (root.stat(STATE_FILE) === undefined) {
    root.rename(aside, root, STATE_FILE);
    return error;
  }
  return new StoreError(
    `${whatFailed(error)}; the former database is ${quote(`${layout.root}/${aside}`)}`,
    error instanceof StoreError && error.isMistake,
  );
}
