/** Verifies a store: hashes every blob, reads every manifest, and compares both with the records. Changes nothing. */
import { listBlobs, referenced } from './collect.ts';
import { hashFile } from './hash-file.ts';
import { BLOB_MODE, INDEX_FILE } from './layout.ts';
import { byName, MAX_MANIFEST_BYTES } from './manifest.ts';
import { parseManifest } from './read-manifest.ts';
import { type VersionRecord, versionName } from './records.ts';
import { abandonedFolders } from './staging-folder.ts';
import type { Store } from './store.ts';
import { StoreError, whatFailed } from './store-error.ts';

export interface Damage {
  /** A blob's digest, or the name of a file or record. */
  readonly what: string;
  readonly problem: string;
  /** The versions affected. */
  readonly versions: readonly string[];
}

export interface Verified {
  readonly versions: number;
  readonly blobs: number;
  readonly bytes: number;
  readonly damage: readonly Damage[];
  /**
   * Blobs that no version names, and folders of dead processes. They are no damage; the next collection removes them.
   */
  readonly leftovers: number;
}

async function checkBlob(store: Store, digest: string): Promise<{ bytes: number; problem?: string }> {
  let found: Awaited<ReturnType<typeof hashFile>>;
  try {
    found = await hashFile(store.blobs, digest);
  } catch (error) {
    return { bytes: 0, problem: error instanceof StoreError ? error.message : `cannot be read: ${whatFailed(error)}` };
  }
  if (found.digest !== digest)
    return { bytes: found.size, problem: `its bytes have a different digest, sha256:${found.digest}` };
  // Root can read it whatever its mode; a server of another user can't.
  if ((found.mode & BLOB_MODE) !== BLOB_MODE) {
    const mode = found.mode.toString(8).padStart(4, '0');
    return { bytes: found.size, problem: `expected mode 0444, which every server can read, got ${mode}` };
  }
  return { bytes: found.size };
}

/**
 * Compares a version with its manifest, whose digest was checked before.
 *
 * @returns what is wrong; undefined when they match.
 */
async function compare(store: Store, version: VersionRecord): Promise<string | undefined> {
  const set = parseManifest(store.blobs.text(version.manifest, MAX_MANIFEST_BYTES) ?? '');
  if (typeof set === 'string') return `its manifest is not the manifest of a boot set: ${set}`;
  const inManifest = JSON.stringify([set.files.toSorted(byName), set.kernelArguments]);
  const inRecord = JSON.stringify([
    version.files.map(({ name, digest, size }) => ({ name, digest, size })).toSorted(byName),
    version.kernelArguments,
  ]);
  return inManifest === inRecord ? undefined : 'its record differs from its manifest';
}

/** @param signal stops it between two blobs. */
export async function verify(store: Store, signal?: AbortSignal): Promise<Verified> {
  const startedAt = store.generation;
  const versions = store.versions();
  const names = (digest: string): string[] =>
    versions
      .filter(({ manifest, files }) => manifest === digest || files.some((file) => file.digest === digest))
      .map(({ channel, number }) => versionName(channel, number));
  const needed = referenced(versions);
  const damage: Damage[] = [];
  const bad = new Set<string>();
  let bytes = 0;
  for (const digest of needed) {
    signal?.throwIfAborted();
    const checked = await checkBlob(store, digest);
    bytes += checked.bytes;
    if (checked.problem === undefined) continue;
    // The version was collected in the meantime.
    if (!referenced(store.generation === startedAt ? versions : store.versions()).has(digest)) continue;
    bad.add(digest);
    damage.push({ what: digest, problem: checked.problem, versions: names(digest) });
  }
  for (const version of versions) {
    if (bad.has(version.manifest)) continue;
    const name = versionName(version.channel, version.number);
    const problem = await compare(store, version).catch((error: unknown) => whatFailed(error));
    if (problem === undefined || store.tables.versions.get(name) === undefined) continue;
    damage.push({ what: name, problem, versions: [name] });
  }
  damage.push(...(await checkRecords(store)));
  const orphans = (await listBlobs(store)).filter((digest) => !needed.has(digest));
  const abandoned = await abandonedFolders(store.stagingIfThere, store.now());
  return {
    versions: versions.length,
    blobs: needed.size,
    bytes,
    damage,
    leftovers: orphans.length + abandoned.length,
  };
}

/** Compares the records with each other and with index.json, under the lock, so that all are of one moment. */
async function checkRecords(store: Store): Promise<Damage[]> {
  const damage: Damage[] = [];
  const look = (): void => {
    for (const { name, current, rollout } of store.channels()) {
      for (const number of [current, rollout?.candidate]) {
        if (number === undefined || store.tables.versions.get(versionName(name, number)) !== undefined) continue;
        damage.push({ what: name, problem: `it refers to version ${number}, which does not exist`, versions: [] });
      }
    }
    if (!store.isIndexRight()) {
      damage.push({
        what: INDEX_FILE,
        problem: 'differs from the database: the next change rewrites it',
        versions: [],
      });
    }
  };
  await store.note(look);
  return damage;
}
