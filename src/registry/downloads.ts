/**
 * The downloads of one pull in a staging folder. Takes over what pulls that were killed, stopped or cut off have left,
 * and continues each blob at its length. Knows files; neither manifests nor records.
 */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { BLOB_MODE } from '../boot-set/store/layout.ts';
import type { OwnFolder } from '../boot-set/store/own-folder.ts';
import { writeWhole } from '../boot-set/store/staged-set.ts';
import { abandonedFolders } from '../boot-set/store/staging-folder.ts';
import type { Store } from '../boot-set/store/store.ts';
import { StoreError, whatFailed } from '../boot-set/store/store-error.ts';
import { filePieces } from './file-pieces.ts';
import type { Blob, BlobStart, Registry } from './registry.ts';

/** Two at once: one is written while the other one waits for the network. */
const BLOBS_AT_ONCE = 2;

export interface DownloadPlace {
  readonly folder: OwnFolder;
  readonly onStep: (step: string) => void;
}

/**
 * Moves what ended pulls have downloaded of these blobs into the folder. Nobody has compared it with its digest yet.
 *
 * @returns its size in bytes by digest.
 */
export async function takeOver(
  store: Store,
  folder: OwnFolder,
  blobs: readonly Blob[],
): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  // A pull that still runs, however old, would go on writing to what was taken from it.
  for (const name of await abandonedFolders(store.stagingIfThere, store.now(), Number.POSITIVE_INFINITY)) {
    // oxlint-disable-next-line no-await-in-loop -- folders are few.
    await takeFrom(store.staging, name, folder, blobs, sizes);
  }
  return sizes;
}

async function takeFrom(
  staging: OwnFolder,
  name: string,
  folder: OwnFolder,
  blobs: readonly Blob[],
  sizes: Map<string, number>,
): Promise<void> {
  let left: OwnFolder | undefined;
  try {
    left = staging.folder(name);
    for (const { digest, size } of blobs) {
      const found = left?.stat(digest);
      // A second name of the file would let another process change it later.
      if (found?.isFile() !== true || found.nlink !== 1 || found.size > size) continue;
      if (found.size <= (sizes.get(digest) ?? 0)) continue;
      left!.rename(digest, folder, digest);
      sizes.set(digest, found.size);
    }
    if ((await left?.names())?.length === 0) await staging.remove(name);
  } catch {
    // A link in the folder's place, a file of another user, another pull or a collection that was faster: without its
    // bytes they are downloaded.
  } finally {
    left?.close();
  }
}

/** Downloads the blobs that are not whole yet. @throws StoreError, or the signal's reason. */
export async function downloadAll(
  registry: Registry,
  blobs: readonly Blob[],
  place: DownloadPlace,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const waiting = blobs.toSorted((a, b) => a.size - b.size);
  const failures: unknown[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.pop(); next !== undefined && failures.length === 0; next = waiting.pop()) {
      // oxlint-disable-next-line no-await-in-loop -- BLOBS_AT_ONCE workers take one blob after the other.
      await downloadOne(registry, next, place, onBytes);
    }
  };
  const workers = Array.from({ length: BLOBS_AT_ONCE }, () => work().catch((error: unknown) => failures.push(error)));
  await Promise.all(workers);
  if (failures.length > 0) throw failures[0];
}

async function downloadOne(
  registry: Registry,
  blob: Blob,
  { folder, onStep }: DownloadPlace,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const file = await folder.openPart(blob.digest);
  try {
    onStep('blob file made');
    const sink = { write: (piece: Uint8Array, at: number) => writeOrFail(file, piece, at, folder.path) };
    await registry.download(blob, sink, onBytes, await startOf(file, onBytes));
    onStep('blob downloaded');
    await file.chmod(BLOB_MODE);
    await file.sync();
    onStep('blob synced');
  } finally {
    await file.close();
  }
}

/** Hashes the bytes that a file has already. */
async function startOf(file: FileHandle, onBytes: (bytes: number) => void): Promise<BlobStart> {
  const { size } = await file.stat();
  const hash = createHash('sha256');
  for await (const piece of filePieces(file, 0, size)) {
    hash.update(piece);
    onBytes(piece.length);
  }
  return { hash, at: size };
}

async function writeOrFail(file: FileHandle, piece: Uint8Array, at: number, path: string): Promise<void> {
  try {
    await writeWhole(file, Buffer.from(piece.buffer, piece.byteOffset, piece.length), at);
  } catch (error) {
    throw new StoreError(`${path}: could not be written to: ${whatFailed(error)}`, false);
  }
}
