/**
 * Publishes files into the store as a version of a channel, in three steps: the plan (publish-plan.ts) checks the
 * request, the copy (staged-set.ts) puts the files on disk, and one transaction here makes them visible. Until then the
 * store is unchanged, and the staged files belong to no version.
 */
import { withCurrent } from './channel-changes.ts';
import type { OwnFolder } from './own-folder.ts';
import { checkPlace, type Entry, planPublishing, type PublishRequest } from './publish-plan.ts';
import { type ChannelRecord, type VersionRecord, versionName } from './records.ts';
import { type StagedSet, stageSet } from './staged-set.ts';
import { StagingFolder } from './staging-folder.ts';
import type { Tables } from './state.ts';
import type { Store } from './store.ts';
import { StoreError, whatFailed } from './store-error.ts';

export { checkPublishable, type PublishRequest } from './publish-plan.ts';

export interface Published {
  /** The version's explicit name. */
  readonly name: string;
  readonly channel: string;
  readonly number: number;
  readonly manifest: string;
  readonly files: number;
  readonly bytes: number;
  /** True when no version had the same content. */
  readonly isNew: boolean;
  /** The formerly current version. The channel is now at `number`, unless that is a candidate. */
  readonly before: number | undefined;
}

/**
 * Resolves once the version is visible to all and survives a power failure.
 *
 * @throws StoreError, or the signal's reason; the store is then unchanged.
 */
export async function publish(store: Store, request: PublishRequest): Promise<Published> {
  const { onStep } = store;
  const { signal } = request;
  let staging: StagingFolder | undefined;
  try {
    const plan = await planPublishing(store, request);
    staging = new StagingFolder(store.staging);
    onStep('staging made');
    const { folder } = staging;
    const set = await stageSet(plan, { folder, blobs: store.blobs, onStep, signal });
    signal?.throwIfAborted();
    return await commit(store, plan, { ...set, folder });
  } catch (error) {
    if (error instanceof StoreError || signal?.aborted === true) throw error;
    throw new StoreError(`${store.path}: publishing failed: ${whatFailed(error)}`, false);
  } finally {
    if (staging !== undefined) {
      await staging.remove().catch(() => {});
      onStep('staging removed');
    }
  }
}

export interface Staged extends StagedSet {
  readonly folder: OwnFolder;
}

/** Third step: moves the staged files into the store and writes the records, in one transaction. No signal stops it. */
export async function commit(store: Store, plan: Entry, set: Staged): Promise<Published> {
  const { channel } = plan;
  const entry = await store.change((tables) => {
    checkPlace(tables, channel);
    moveIn(store, set);
    return enter(tables, plan, set, store.now());
  });
  await store.flushed();
  const name = versionName(channel, entry.number);
  checkStored(store, { name, channel, number: entry.number, manifest: set.manifest });
  return {
    name,
    channel,
    manifest: set.manifest,
    files: set.files.length,
    bytes: set.files.reduce((sum, { size }) => sum + size, 0),
    ...entry,
  };
}

/** Moves staged blobs into the store, over damaged ones. A good blob that is still the file checked before stays. */
function moveIn(store: Store, { folder, blobs }: Staged): void {
  for (const { name, digest, good } of blobs) {
    if (good !== undefined && store.blobs.identity(digest) === good) continue;
    folder.rename(name, store.blobs, digest);
    store.onStep('blob moved in');
  }
  store.blobs.sync();
  store.onStep('blobs synced');
}

/** Gives the set its number (that of a version with the same content, if one exists) and moves the channel to it. */
function enter(
  tables: Tables,
  { channel: name, labels, keep, standing, isFollowed = false, kernelArguments }: Entry,
  { files, manifest }: StagedSet,
  publishedAt: number,
): Pick<Published, 'number' | 'isNew' | 'before'> {
  const channel = tables.channels.get(name) ?? newChannel(tables, name);
  const same = tables.versions
    .entries()
    .map(([, version]) => version)
    .find((version) => version.channel === name && version.manifest === manifest);
  const number = same?.number ?? channel.nextNumber;
  const version: VersionRecord =
    same === undefined
      ? {
          channel: name,
          number,
          manifest,
          files,
          ...(kernelArguments === undefined ? {} : { kernelArguments }),
          labels,
          keep,
          publishedAt,
        }
      : {
          ...same,
          // Without labels, a republished version keeps those it has.
          labels: Object.keys(labels).length === 0 ? same.labels : labels,
          keep: same.keep || keep,
        };
  tables.versions.put(versionName(name, number), version);
  const next = {
    ...channel,
    nextNumber: Math.max(channel.nextNumber, number + 1),
    ...(isFollowed ? { followed: manifest } : {}),
  };
  const moved = {
    current: () => withCurrent(next, number),
    candidate: () => ({ ...next, rollout: { candidate: number, percent: 0, paused: false } }),
    waiting: () => next,
  };
  tables.channels.put(name, moved[channel.current === number ? 'current' : standing]());
  return { number, isNew: same === undefined, before: channel.current };
}

function newChannel({ numbers }: Tables, name: string): ChannelRecord {
  return { name, current: undefined, previous: [], nextNumber: numbers.get(name) ?? 1, settings: {} };
}

/**
 * Checks that the commit is visible: the number is taken, and its record is ours unless someone has removed it since. A
 * publisher deletes its own files once the exit code is 0.
 */
function checkStored(
  store: Store,
  { name, channel, number, manifest }: Pick<Published, 'name' | 'channel' | 'number' | 'manifest'>,
): void {
  // Reading the generation refreshes the snapshot, which may be older than the commit.
  void store.generation;
  const { channels, numbers, versions } = store.tables;
  const next = channels.get(channel)?.nextNumber ?? numbers.get(channel) ?? 0;
  const stored = versions.get(name);
  if (next > number && (stored === undefined || stored.manifest === manifest)) return;
  throw new StoreError(`${store.path}: the database has lost ${name}: publish again`, false);
}
