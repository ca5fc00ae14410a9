/**
 * Pulls a boot set from a registry into a store: checks the manifest, downloads the blobs that the store lacks into a
 * staging folder, and makes the version visible in one transaction when it is whole. Until then the store is unchanged.
 * A pull that is cut off leaves its downloads in the staging folder for the next one.
 */
import { checkChannelName } from '../boot-set/store/channel-name.ts';
import { type BootSet, byName, EMPTY_CONFIG, EMPTY_DIGEST } from '../boot-set/store/manifest.ts';
import { commit, type Published } from '../boot-set/store/publish.ts';
import {
  checkPlace,
  type Entry,
  makeRoom,
  MAX_KERNEL_ARGUMENTS_CHARACTERS,
  type Standing,
} from '../boot-set/store/publish-plan.ts';
import { checkFileNames, parseManifest } from '../boot-set/store/read-manifest.ts';
import { goodBlob, type StagedBlob, stageText } from '../boot-set/store/staged-set.ts';
import { StagingFolder } from '../boot-set/store/staging-folder.ts';
import type { Store } from '../boot-set/store/store.ts';
import { quote, StoreError, whatFailed } from '../boot-set/store/store-error.ts';
import { downloadAll, takeOver } from './downloads.ts';
import type { Reference } from './reference.ts';
import { type Blob, type Manifest, Registry } from './registry.ts';
import { type RegistryOptions, TransientError } from './registry-http.ts';

export interface PullRequest extends RegistryOptions {
  readonly reference: Reference;
  readonly channel: string;
  readonly standing: Standing;
  /** True when the channel follows the reference. */
  readonly isFollowed?: boolean;
  /** True to find out what a pull would download, and change nothing. */
  readonly dryRun?: boolean;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface Pulled extends Pick<Published, 'manifest' | 'files' | 'bytes'> {
  /** The version's record; undefined for a dry run. */
  readonly version: Published | undefined;
  /** Number of blobs that were downloaded, and their size in bytes; for a dry run, those that the store lacks. */
  readonly blobs: number;
  readonly downloaded: number;
}

/** @throws StoreError when the manifest is not that of a boot set. */
export function setOf({ text }: Manifest, name: string): BootSet {
  const set = parseManifest(text);
  if (typeof set === 'string') throw new StoreError(`${quote(name)}: expected a boot set: ${set}`);
  const { config } = JSON.parse(text) as { config?: { digest?: unknown } };
  const { kernelArguments = '' } = set;
  const problem =
    checkFileNames(set) ??
    (config?.digest === `sha256:${EMPTY_DIGEST}` ? undefined : 'expected the empty config {}') ??
    (kernelArguments.length <= MAX_KERNEL_ARGUMENTS_CHARACTERS && !/\p{Cc}/u.test(kernelArguments)
      ? undefined
      : `expected kernel arguments in one line of at most ${MAX_KERNEL_ARGUMENTS_CHARACTERS} characters`);
  if (problem !== undefined) throw new StoreError(`${quote(name)}: expected a boot set: ${problem}`);
  return set;
}

/** @returns each blob of the files once. @throws StoreError when a digest has two sizes. */
function blobsOf({ files }: BootSet, name: string): Blob[] {
  const blobs = new Map<string, Blob>();
  for (const { digest, size } of files) {
    if ((blobs.get(digest)?.size ?? size) !== size) {
      throw new StoreError(`${quote(name)}: expected one size for each blob, got two for sha256:${digest}`);
    }
    blobs.set(digest, { digest, size });
  }
  return [...blobs.values()];
}

/**
 * Resolves once the version is visible to all and survives a power failure.
 *
 * @throws StoreError, or the signal's reason; the store is then unchanged.
 */
export async function pull(store: Store, request: PullRequest): Promise<Pulled> {
  const { reference, channel, standing, isFollowed = false, dryRun = false, signal } = request;
  checkChannelName(channel);
  const registry = new Registry(reference, request, signal);
  try {
    const manifest = (await registry.manifest())!;
    const set = setOf(manifest, reference.text);
    const wanted = blobsOf(set, reference.text);
    checkPlace(store.tables, channel);
    const good = new Map<string, string | undefined>();
    for (const { digest, size } of wanted) {
      signal?.throwIfAborted();
      // oxlint-disable-next-line no-await-in-loop -- hashing one blob at a time gives a large one the disk to itself.
      good.set(digest, await goodBlob(store.blobs, digest, size));
    }
    const lacking = wanted.filter(({ digest }) => good.get(digest) === undefined);
    const total = lacking.reduce((sum, { size }) => sum + size, 0);
    const figures = {
      manifest: manifest.digest,
      files: set.files.length,
      bytes: set.files.reduce((sum, { size }) => sum + size, 0),
      blobs: lacking.length,
      downloaded: total,
    };
    if (dryRun) return { ...figures, version: undefined };
    const { kernelArguments } = set;
    const entry: Entry = {
      channel,
      labels: {},
      keep: false,
      standing,
      isFollowed,
      ...(kernelArguments === undefined ? {} : { kernelArguments }),
    };
    const staging = new StagingFolder(store.staging);
    store.onStep('staging made');
    let isOver = true;
    try {
      const { folder } = staging;
      const place = { folder, blobs: store.blobs, onStep: store.onStep, signal };
      const blobs: StagedBlob[] = wanted.map(({ digest }) => ({ name: digest, digest, good: good.get(digest) }));
      const kept = await takeOver(store, folder, lacking);
      store.onStep('left blobs taken over');
      const rest = lacking.map(({ digest, size }) => ({ digest, size: size - (kept.get(digest) ?? 0) }));
      await makeRoom(store, rest);
      let done = 0;
      await downloadAll(registry, lacking, place, (bytes) => {
        done += bytes;
        request.onProgress?.(done, total);
      });
      for (const { name, digest, size } of [
        await stageText('config', EMPTY_CONFIG, place),
        await stageText('manifest', manifest.text, place),
      ]) {
        // oxlint-disable-next-line no-await-in-loop -- two small files.
        blobs.push({ name, digest, good: await goodBlob(store.blobs, digest, size) });
      }
      signal?.throwIfAborted();
      const files = set.files.toSorted(byName);
      const version = await commit(store, entry, { files, manifest: manifest.digest, blobs, folder });
      const whole = rest.filter(({ size }, at) => size === 0 && lacking[at]!.size > 0);
      const downloaded = rest.reduce((sum, { size }) => sum + size, 0);
      return { ...figures, blobs: lacking.length - whole.length, downloaded, version };
    } catch (error) {
      isOver = !(error instanceof TransientError) && signal?.aborted !== true;
      throw error;
    } finally {
      if (isOver) {
        await staging.remove().catch(() => {});
        store.onStep('staging removed');
      } else staging.folder.close();
    }
  } catch (error) {
    if (error instanceof StoreError || signal?.aborted === true) throw error;
    throw new StoreError(`${store.path}: pulling failed: ${whatFailed(error)}`, false);
  } finally {
    await registry.close();
  }
}
