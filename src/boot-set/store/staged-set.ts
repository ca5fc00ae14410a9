/**
 * Second step of publishing: the copy. Copies, hashes and syncs the files of a plan into a staging folder and adds the
 * manifest: everything that the version needs is then on disk, but not yet part of the store. Knows files; no records.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { identityOf } from '../../content/file-identity.ts';
import { hashFile, hashHandle } from './hash-file.ts';
import { BLOB_MODE } from './layout.ts';
import { buildManifest, byName, EMPTY_CONFIG, MAX_MANIFEST_BYTES, sha256 } from './manifest.ts';
import type { OwnFolder } from './own-folder.ts';
import type { PublishPlan } from './publish-plan.ts';
import type { FileRecord } from './records.ts';
import type { FoundFile } from './scan.ts';
import { quote, StoreError } from './store-error.ts';

/** Two files at once: one is read while the other is synced. */
const FILES_AT_ONCE = 2;

/** A file in the staging folder, and its name among the blobs. */
export interface StagedBlob {
  /** Name in the staging folder. */
  readonly name: string;
  readonly digest: string;
  /** Identity of a good blob that the store already has; it stays. undefined when the store has none. */
  readonly good: string | undefined;
}

export interface StagedSet {
  /** Sorted by name. */
  readonly files: readonly FileRecord[];
  /** SHA-256 of the manifest. */
  readonly manifest: string;
  /** The files, the config and the manifest. */
  readonly blobs: readonly StagedBlob[];
}

interface Copy {
  /** Name in the staging folder. */
  readonly name: string;
  readonly record: FileRecord;
}

/** Destination of the copy: staging folder, blobs, step hook and signal. */
export interface StagingPlace {
  readonly folder: OwnFolder;
  readonly blobs: OwnFolder;
  readonly onStep: (step: string) => void;
  /** Stops the copy between two chunks. */
  readonly signal?: AbortSignal | undefined;
}

/** Resolves once everything is on disk. @throws StoreError, Error with the system's code, or the signal's reason. */
export async function stageSet(plan: PublishPlan, place: StagingPlace): Promise<StagedSet> {
  const copies = await copyAll(plan.files, place);
  const files = copies.map(({ record }) => record).toSorted(byName);
  const manifest = buildManifest({ ...plan, files });
  if (Buffer.byteLength(manifest) > MAX_MANIFEST_BYTES) {
    throw new StoreError(`expected names that fit a manifest of ${MAX_MANIFEST_BYTES} bytes`);
  }
  const staged = copies.map(({ name, record }) => ({ name, digest: record.digest, size: record.size }));
  staged.push(await stageText('config', EMPTY_CONFIG, place));
  const stagedManifest = await stageText('manifest', manifest, place);
  staged.push(stagedManifest);
  const blobs: StagedBlob[] = [];
  for (const { name, digest, size } of staged) {
    place.signal?.throwIfAborted();
    // oxlint-disable-next-line no-await-in-loop -- hashing one blob at a time gives a large one the disk to itself.
    blobs.push({ name, digest, good: await goodBlob(place.blobs, digest, size) });
  }
  return { files, manifest: stagedManifest.digest, blobs };
}

/**
 * Checks a blob that the store already has. A damaged blob is published again; a good one keeps its file, because older
 * versions are sent from it.
 *
 * @returns its identity when its bytes and its mode are right.
 */
export async function goodBlob(blobs: OwnFolder, digest: string, size: number): Promise<string | undefined> {
  const identity = blobs.identity(digest);
  const found = blobs.stat(digest);
  if (found?.isFile() !== true || found.size !== size || (found.mode & 0o777) !== BLOB_MODE) return undefined;
  // A blob that can't be read counts as damaged.
  const hashed = await hashFile(blobs, digest).catch(() => undefined);
  return hashed?.digest === digest ? identity : undefined;
}

/** Copies FILES_AT_ONCE files at a time, the largest first, so that the copies finish at nearly the same time. */
async function copyAll(files: readonly FoundFile[], place: StagingPlace): Promise<Copy[]> {
  const waiting = files.map((file, at) => ({ file, name: String(at) }));
  waiting.sort((a, b) => a.file.size - b.file.size);
  const copies: Copy[] = [];
  const failures: unknown[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.pop(); next !== undefined && failures.length === 0; next = waiting.pop()) {
      const { file, name } = next;
      copies.push({ name, record: await copyFile(file, name, place) });
    }
  };
  const workers = Array.from({ length: FILES_AT_ONCE }, () => work().catch((error: unknown) => failures.push(error)));
  await Promise.all(workers);
  if (failures.length > 0) throw failures[0];
  return copies;
}

async function copyFile(file: FoundFile, name: string, { folder, onStep, signal }: StagingPlace): Promise<FileRecord> {
  const { O_RDONLY, O_NONBLOCK } = constants;
  const source = await open(file.path, O_RDONLY | O_NONBLOCK);
  try {
    const copy = await folder.create(name, BLOB_MODE);
    try {
      onStep('file made');
      const hashed = await hashHandle(source, (chunk, at) => writeWhole(copy, chunk, at), signal);
      onStep('file written');
      await copy.sync();
      onStep('file synced');
      const now = identityOf(await source.stat({ bigint: true }));
      if (now !== file.identity || hashed.size !== file.size) {
        throw new StoreError(
          `${quote(file.path)}: expected a file that does not change while it is published: publish again`,
          false,
        );
      }
      return { name: file.name, ...hashed };
    } finally {
      await copy.close();
    }
  } finally {
    await source.close();
  }
}

export async function writeWhole(file: FileHandle, chunk: Buffer, at: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done, at + done);
    done += bytesWritten;
  }
}

export async function stageText(
  name: string,
  text: string,
  { folder, onStep }: StagingPlace,
): Promise<{ name: string; digest: string; size: number }> {
  const file = await folder.create(name, BLOB_MODE);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  onStep(`${name} staged`);
  return { name, digest: sha256(text), size: Buffer.byteLength(text) };
}
