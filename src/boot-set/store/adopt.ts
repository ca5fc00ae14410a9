/**
 * Reads the records of a new store from an OCI layout that another tool has written, such as `skopeo copy
 * oci:STORE:install-1 oci:NEW:install-1`. Checks everything; changes only the modes of blobs.
 */
import { z } from 'zod';
import { checkApart, checkChannelName, parseVersionName } from './channel-name.ts';
import { type Hashed, hashFile } from './hash-file.ts';
import {
  BLOB_MODE,
  CREATED,
  INDEX_FILE,
  isDigest,
  KEEP,
  LABEL_PREFIX,
  type Layout,
  MEDIA_TYPE,
  REF_NAME,
} from './layout.ts';
import type { StoreFolders } from './make-layout.ts';
import { type BootSet, MAX_MANIFEST_BYTES } from './manifest.ts';
import { checkFileNames, parseManifest } from './read-manifest.ts';
import { schemaMistake } from '../../text/schema-mistake.ts';
import { type ChannelRecord, type VersionRecord, versionName } from './records.ts';
import { quote, StoreError, whatFailed } from './store-error.ts';

/** @limit Size of an `index.json` that is adopted. Shows: an error message. */
const MAX_INDEX_BYTES = 64 * 1024 * 1024;

const INDEX = z.object({
  schemaVersion: z.literal(2),
  manifests: z.array(
    z.object({
      mediaType: z.string(),
      digest: z.string(),
      annotations: z.record(z.string(), z.string()).optional(),
    }),
  ),
});

type Descriptor = z.infer<typeof INDEX>['manifests'][number];

/** Contents of a layout, ready to become records. */
export interface Adopted {
  /**
   * Channels with a reference of their own, which names their current version; for others the last version is current.
   */
  readonly named: ReadonlySet<string>;
  readonly channels: readonly ChannelRecord[];
  readonly versions: readonly VersionRecord[];
}

async function readIndex(layout: Layout, folders: StoreFolders): Promise<readonly Descriptor[]> {
  const found = folders.root.stat(INDEX_FILE);
  if (found === undefined) {
    // The layout has only just been created.
    if (!folders.hasBlobs || (await folders.blobs.names()).length === 0) return [];
    throw new StoreError(`${layout.index}: expected an OCI image index, got nothing`);
  }
  let json: unknown;
  try {
    json = JSON.parse(folders.root.text(INDEX_FILE, MAX_INDEX_BYTES) ?? '');
  } catch (error) {
    if (error instanceof StoreError) throw error;
    throw new StoreError(`${layout.index}: expected an OCI image index: ${whatFailed(error)}`);
  }
  const parsed = INDEX.safeParse(json);
  if (!parsed.success) {
    throw new StoreError(
      `${layout.index}: expected an OCI image index: ${schemaMistake(parsed.error, json, 'the index')}`,
    );
  }
  return parsed.data.manifests;
}

/** Hashes each blob once, however many versions share it. */
class Blobs {
  readonly #layout: Layout;
  readonly #folders: StoreFolders;
  readonly #checked = new Map<string, number>();

  constructor(layout: Layout, folders: StoreFolders) {
    this.#layout = layout;
    this.#folders = folders;
  }

  /**
   * Sets the mode of the checked blobs: other tools leave files that their owner can write to, or that nobody else can
   * read.
   */
  async protect(): Promise<void> {
    for (const digest of this.#checked.keys()) {
      // oxlint-disable no-await-in-loop -- one open descriptor at a time, however many blobs there are.
      const file = await this.#folders.blobs.open(digest);
      try {
        if (((await file.stat()).mode & 0o777) !== BLOB_MODE) await file.chmod(BLOB_MODE);
      } finally {
        await file.close();
      }
      // oxlint-enable no-await-in-loop
    }
  }

  /** @throws StoreError when the blob is missing, unreadable, or has another digest or size. */
  async check(digest: string, size?: number): Promise<void> {
    const path = this.#layout.blob(digest);
    if (!this.#checked.has(digest)) {
      let found: Hashed;
      try {
        found = await hashFile(this.#folders.blobs, digest);
      } catch (error) {
        if (error instanceof StoreError) throw error;
        throw new StoreError(`${path}: expected a blob that can be read: ${whatFailed(error)}`);
      }
      if (found.digest !== digest) {
        throw new StoreError(
          `${path}: expected bytes whose digest is the name of the file, got sha256:${found.digest}`,
        );
      }
      this.#checked.set(digest, found.size);
    }
    const actual = this.#checked.get(digest)!;
    if (size !== undefined && actual !== size) throw new StoreError(`${path}: expected ${size} bytes, got ${actual}`);
  }
}

async function readSet(layout: Layout, folders: StoreFolders, blobs: Blobs, digest: string): Promise<BootSet> {
  const path = layout.blob(digest);
  const size = folders.hasBlobs ? folders.blobs.stat(digest)?.size : undefined;
  if (size === undefined) throw new StoreError(`${path}: expected a manifest, got nothing`);
  if (size > MAX_MANIFEST_BYTES) {
    throw new StoreError(`${path}: expected a manifest of at most ${MAX_MANIFEST_BYTES} bytes, got ${size}`);
  }
  await blobs.check(digest);
  const set = parseManifest(folders.blobs.text(digest, MAX_MANIFEST_BYTES) ?? '');
  if (typeof set === 'string') throw new StoreError(`${path}: expected the manifest of a boot set: ${set}`);
  const problem = checkFileNames(set);
  if (problem !== undefined) throw new StoreError(`${path}: ${problem}`);
  // oxlint-disable-next-line no-await-in-loop -- one file after the other, so that a large one has the disk to itself.
  for (const file of set.files) await blobs.check(file.digest, file.size);
  return set;
}

/** Adds the path of index.json to the error of a rejected name. */
function atIndex(layout: Layout, check: () => void): void {
  try {
    check();
  } catch (error) {
    throw new StoreError(`${layout.index}: ${whatFailed(error)}`);
  }
}

interface Named {
  readonly ref: string;
  readonly digest: string;
  readonly annotations: Readonly<Record<string, string>>;
}

function named(layout: Layout, { mediaType, digest, annotations = {} }: Descriptor): Named {
  const ref = annotations[REF_NAME];
  const hex = digest.startsWith('sha256:') ? digest.slice(7) : '';
  if (!isDigest(hex)) throw new StoreError(`${layout.index}: expected a sha256 digest, got ${quote(digest)}`);
  if (ref === undefined) {
    throw new StoreError(`${layout.index}: expected a name (${REF_NAME}) for each manifest, got none for ${digest}`);
  }
  if (mediaType !== MEDIA_TYPE.manifest) {
    throw new StoreError(`${layout.index}: ${quote(ref)}: expected ${MEDIA_TYPE.manifest}, got ${quote(mediaType)}`);
  }
  return { ref, digest: hex, annotations };
}

/**
 * Turns references `X-N` into versions, and references `X` into the current version of channel X. For a channel without
 * a reference the last version is current. Hashes every blob.
 *
 * @throws StoreError for the first fault found.
 */
export async function readLayout(layout: Layout, folders: StoreFolders, now: number): Promise<Adopted> {
  const refs = (await readIndex(layout, folders)).map((descriptor) => named(layout, descriptor));
  const blobs = new Blobs(layout, folders);
  const versions = new Map<string, VersionRecord>();
  const channels = new Map<string, Map<number, string>>();
  const add = async (channel: string, number: number, { digest, annotations }: Named): Promise<void> => {
    const { files, kernelArguments } = await readSet(layout, folders, blobs, digest);
    const created = Date.parse(annotations[CREATED] ?? '');
    versions.set(versionName(channel, number), {
      channel,
      number,
      manifest: digest,
      files,
      ...(kernelArguments === undefined ? {} : { kernelArguments }),
      labels: Object.fromEntries(
        Object.entries(annotations)
          .filter(([key]) => key.startsWith(LABEL_PREFIX))
          .map(([key, value]) => [key.slice(LABEL_PREFIX.length), value]),
      ),
      keep: annotations[KEEP] === 'true',
      publishedAt: Number.isNaN(created) ? now : created,
    });
    const numbers = channels.get(channel) ?? new Map<number, string>();
    channels.set(channel, numbers.set(number, digest));
  };
  for (const one of refs) {
    const parsed = parseVersionName(one.ref);
    if (parsed === undefined) continue;
    atIndex(layout, () => checkChannelName(parsed.channel));
    await add(parsed.channel, parsed.number, one);
  }
  const current = new Map<string, number>();
  for (const one of refs) {
    if (parseVersionName(one.ref) !== undefined) continue;
    atIndex(layout, () => checkChannelName(one.ref));
    const numbers = channels.get(one.ref) ?? new Map<number, string>();
    const known = [...numbers].findLast(([, digest]) => digest === one.digest)?.[0];
    const number = known ?? Math.max(0, ...numbers.keys()) + 1;
    if (known === undefined) await add(one.ref, number, one);
    current.set(one.ref, number);
  }
  const names = [...channels.keys()];
  for (const name of names) {
    const others = names.filter((other) => other !== name);
    atIndex(layout, () => checkApart(name, others));
  }
  await blobs.protect();
  return {
    named: new Set(current.keys()),
    versions: [...versions.values()],
    channels: [...channels].map(([name, numbers]) => {
      const last = Math.max(...numbers.keys());
      return { name, current: current.get(name) ?? last, previous: [], nextNumber: last + 1, settings: {} };
    }),
  };
}
