/**
 * Garbage collection. Marks versions that nothing needs, waits for a grace time, checks them again under the lock and
 * removes them; then removes blobs that no manifest names and the folders of dead processes. Records go before blobs,
 * so that an interrupted collection leaves only files for the next one.
 */
import { isDigest } from './layout.ts';
import { EMPTY_DIGEST } from './manifest.ts';
import { GRACE_MS, type VersionRecord, versionName } from './records.ts';
import { isPinLive, type Needs, rootsOf } from './roots.ts';
import { abandonedFolders, bytesIn, StagingFolder } from './staging-folder.ts';
import type { Tables } from './state.ts';
import type { Store } from './store.ts';

/**
 * How long an ended pin is remembered, so that a node that comes back late can be told from a new one.
 * @limit Time for which an ended pin is remembered.
 */
export const ENDED_PIN_MS = 24 * 3_600_000;

export interface CollectOptions {
  readonly graceMs?: number;
  /** True to report what would be removed, and write nothing. */
  readonly dryRun?: boolean;
  /** Stops it between two blobs; the next collection continues from there. */
  readonly signal?: AbortSignal;
}

export interface Collected {
  readonly dryRun: boolean;
  /** Removed versions, with the size of their files in bytes, shared ones included. */
  readonly versions: readonly { readonly name: string; readonly bytes: number }[];
  /** Removed channels, which had no versions left. */
  readonly channels: readonly string[];
  /** Versions that nothing needs but whose grace time is not over. */
  readonly waiting: readonly { readonly name: string; readonly until: number }[];
  /** Number of removed blobs; `leftovers` counts removed folders of dead processes. */
  readonly blobs: number;
  readonly leftovers: number;
  /** Bytes freed on disk. */
  readonly bytes: number;
}

interface Plan {
  readonly remove: readonly VersionRecord[];
  readonly channels: readonly string[];
  /** Versions whose mark is set or cleared. */
  readonly mark: readonly VersionRecord[];
  readonly waiting: readonly { readonly name: string; readonly until: number }[];
  readonly endedPins: readonly string[];
}

function nameOf({ channel, number }: VersionRecord): string {
  return versionName(channel, number);
}

/** Facts for a plan besides the tables. */
type Circumstances = Pick<Needs, 'defaults' | 'neededByOthers'>;

function needs(tables: Tables, circumstances: Circumstances): Omit<Needs, 'versions'> & { versions: VersionRecord[] } {
  const list = <V>(entries: [string, V][]): V[] => entries.map(([, record]) => record);
  return {
    channels: list(tables.channels.entries()),
    versions: list(tables.versions.entries()),
    overrides: list(tables.overrides.entries()),
    pins: list(tables.pins.entries()),
    useNotes: tables.useNotes.entries(),
    ...circumstances,
  };
}

function plan(tables: Tables, circumstances: Circumstances, now: number, graceMs: number): Plan {
  const { defaults } = circumstances;
  const all = needs(tables, circumstances);
  const roots = rootsOf(all, now);
  const remove: VersionRecord[] = [];
  const mark: VersionRecord[] = [];
  const waiting: { name: string; until: number }[] = [];
  for (const version of all.versions) {
    const { unrootedAt, ...unmarked } = version;
    if (roots.has(nameOf(version))) {
      if (unrootedAt !== undefined) mark.push(unmarked);
      continue;
    }
    // A clock that was set back must not prolong the grace time.
    const since = Math.min(unrootedAt ?? now, now);
    if (now - since >= graceMs) {
      remove.push(version);
      continue;
    }
    if (since !== unrootedAt) mark.push({ ...unmarked, unrootedAt: since });
    waiting.push({ name: nameOf(version), until: since + graceMs });
  }
  const gone = new Set(remove.map(nameOf));
  const alive = new Set(all.versions.filter((version) => !gone.has(nameOf(version))).map(({ channel }) => channel));
  const channels = all.channels
    .filter(({ name, current, rollout }) => current === undefined && rollout === undefined && !alive.has(name))
    .map(({ name }) => name);
  const settings = new Map(all.channels.map((channel) => [channel.name, { ...defaults, ...channel.settings }]));
  // Pins are kept even when their version goes: a node that comes back for its initrd must not get that of another
  // version.
  const endedPins = tables.pins
    .entries()
    .filter(([, pin]) => now - pin.usedAt > ENDED_PIN_MS && !isPinLive(pin, settings.get(pin.channel) ?? defaults, now))
    .map(([key]) => key);
  return { remove, channels, mark, waiting, endedPins };
}

function apply(tables: Tables, { remove, channels, mark, endedPins }: Plan): void {
  for (const version of mark) tables.versions.put(nameOf(version), version);
  for (const key of endedPins) tables.pins.remove(key);
  for (const version of remove) {
    tables.versions.remove(nameOf(version));
    tables.useNotes.remove(nameOf(version));
    const channel = tables.channels.get(version.channel);
    if (channel === undefined) continue;
    const previous = channel.previous.filter((number) => number !== version.number);
    tables.channels.put(channel.name, { ...channel, previous });
  }
  for (const name of channels) {
    tables.numbers.put(name, tables.channels.get(name)!.nextNumber);
    tables.channels.remove(name);
  }
}

/** Returns the digests that the versions need, including the config that all of them share. */
export function referenced(versions: readonly VersionRecord[]): Set<string> {
  const digests = new Set(versions.length === 0 ? [] : [EMPTY_DIGEST]);
  for (const { manifest, files } of versions) {
    digests.add(manifest);
    for (const { digest } of files) digests.add(digest);
  }
  return digests;
}

function versionsIn(tables: Tables): VersionRecord[] {
  return tables.versions.entries().map(([, version]) => version);
}

/** Returns the names in blobs that are digests; other files are left alone. */
export async function listBlobs(store: Store): Promise<string[]> {
  return (await store.blobs.names()).filter(isDigest);
}

function blobBytes(store: Store, digests: readonly string[]): number {
  return digests.reduce((sum, digest) => {
    const found = store.blobs.stat(digest);
    return sum + (found?.isFile() === true ? found.size : 0);
  }, 0);
}

/** Removes blobs that no version names. @returns the number and size in bytes of these blobs. */
async function sweepBlobs(store: Store, signal?: AbortSignal): Promise<{ count: number; bytes: number }> {
  const names = await listBlobs(store);
  const before = referenced(store.versions());
  const orphans = names.filter((digest) => !before.has(digest));
  if (orphans.length === 0) return { count: 0, bytes: 0 };
  const bytes = blobBytes(store, orphans);
  const trash = new StagingFolder(store.staging);
  store.onStep('trash made');
  // Blobs are renamed under the lock, so that a publisher finds each one either present or absent; unlinking large
  // files would hold the lock too long.
  const moved = await store.note((tables) => {
    const now = referenced(versionsIn(tables));
    return orphans.filter((digest) => {
      if (now.has(digest)) return false;
      try {
        store.blobs.rename(digest, trash.folder, digest);
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
        throw error;
      }
      store.onStep('blob moved to trash');
      return true;
    });
  });
  store.onStep('lock let go');
  for (const digest of moved) {
    signal?.throwIfAborted();
    await trash.folder.remove(digest);
    store.onStep('blob unlinked');
  }
  await trash.remove();
  store.onStep('trash removed');
  return { count: moved.length, bytes };
}

function circumstancesOf(store: Store): Circumstances {
  return { defaults: store.defaults(), neededByOthers: store.neededByOthers() };
}

async function dryRun(store: Store, now: number, graceMs: number): Promise<Collected> {
  const { remove, channels, waiting } = plan(store.tables, circumstancesOf(store), now, graceMs);
  const gone = new Set(remove.map(nameOf));
  const needed = referenced(store.versions().filter((version) => !gone.has(nameOf(version))));
  const orphans = (await listBlobs(store)).filter((digest) => !needed.has(digest));
  const abandoned = await abandonedFolders(store.stagingIfThere, now);
  const left = await Promise.all(abandoned.map((name) => bytesIn(store.staging, name)));
  return {
    dryRun: true,
    versions: remove.map((version) => ({ name: nameOf(version), bytes: bytesOf(version) })),
    channels,
    waiting,
    blobs: orphans.length,
    leftovers: abandoned.length,
    bytes: left.reduce((sum, size) => sum + size, blobBytes(store, orphans)),
  };
}

export function bytesOf({ files }: VersionRecord): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** @throws StoreError, or Error with the system's code; what was removed before stays removed. */
export async function collect(store: Store, options: CollectOptions = {}): Promise<Collected> {
  const { graceMs = GRACE_MS } = options;
  const now = store.now();
  const makePlan = (tables: Tables): Plan => plan(tables, circumstancesOf(store), now, graceMs);
  if (options.dryRun === true) return await dryRun(store, now, graceMs);

  await store.repairIndex();
  let done = makePlan(store.tables);
  if (done.remove.length > 0 || done.channels.length > 0) {
    // The plan is made again under the lock: a node may have received one of the versions since.
    done = await store.change((tables) => {
      const again = makePlan(tables);
      apply(tables, again);
      return again;
    });
    // Records must reach the disk before blobs go: otherwise a power failure could restore a record without its blob.
    await store.flushed();
  } else if (done.mark.length > 0 || done.endedPins.length > 0) {
    await store.note((tables) => {
      const { mark, endedPins } = makePlan(tables);
      apply(tables, { remove: [], channels: [], waiting: [], mark, endedPins });
    });
    store.onStep('marked');
  }
  const swept = await sweepBlobs(store, options.signal);
  let bytes = swept.bytes;
  const abandoned = await abandonedFolders(store.staging, now);
  for (const name of abandoned) {
    bytes += await bytesIn(store.staging, name);
    await store.staging.remove(name);
    store.onStep('leftover removed');
  }
  return {
    dryRun: false,
    versions: done.remove.map((version) => ({ name: nameOf(version), bytes: bytesOf(version) })),
    channels: done.channels,
    waiting: done.waiting,
    blobs: swept.count,
    leftovers: abandoned.length,
    bytes,
  };
}
