/**
 * The second step of publishing: the copy. Copies, hashes and syncs the files of a plan into a staging folder, and puts
 * the manifest beside them: everything that a version needs is on the disk, and no part of the store yet. Knows files;
 * no records.
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

/** One file is read while another is synced. */
const FILES_AT_ONCE = 2;

/** A file in the staging folder, and what it will be called among the blobs. */
export interface StagedBlob {
  /** In the staging folder. */
  readonly name: string;
  readonly digest: string;
  /** The identity of the blob that is there already and as it should be: it stays. undefined: there is none. */
  readonly good: string | undefined;
}

export interface StagedSet {
  /** In the order of their names. */
  readonly files: readonly FileRecord[];
  /** SHA-256 of the manifest. */
  readonly manifest: string;
  /** The files, the config and the manifest. */
  readonly blobs: readonly StagedBlob[];
}

interface Copy {
  /** In the staging folder. */
  readonly name: string;
  readonly record: FileRecord;
}

/** The staging folder, the blobs, the hook that is told of each step, and the signal. */
export interface StagingPlace {
  readonly folder: OwnFolder;
  readonly blobs: OwnFolder;
  readonly onStep: (step: string) => void;
  /** Stops it between two chunks. */
  readonly signal?: AbortSignal | undefined;
}

/** @returns when everything is on the disk. @throws StoreError, Error with the system's code, or the signal's reason. */
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
    // oxlint-disable-next-line no-await-in-loop -- a large one has the disk to itself.
    blobs.push({ name, digest, good: await goodBlob(place.blobs, digest, size) });
  }
  return { files, manifest: stagedManifest.digest, blobs };
}

/**
 * Looks for a blob that is there already. What is damaged is published anew; what is good stays the file that it is: older
 * versions are sent from it.
 *
 * @returns its identity, if its bytes and its mode are as they should be.
 */
async function goodBlob(blobs: OwnFolder, digest: string, size: number): Promise<string | undefined> {
  const identity = blobs.identity(digest);
  const found = blobs.stat(digest);
  if (found?.isFile() !== true || found.size !== size || (found.mode & 0o777) !== BLOB_MODE) return undefined;
  // One that can't be read is a damaged one.
  const hashed = await hashFile(blobs, digest).catch(() => undefined);
  return hashed?.digest === digest ? identity : undefined;
}

/** Some at a time, the largest first: what is left at the end is small. */
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
        throw new StoreError(`${quote(file.path)}: expected files that do not change meanwhile: publish again`, false);
      }
      return { name: file.name, ...hashed };
    } finally {
      await copy.close();
    }
  } finally {
    await source.close();
  }
}

async function writeWhole(file: FileHandle, chunk: Buffer, at: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done, at + done);
    done += bytesWritten;
  }
}

async function stageText(
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
