/**
 * A regular file's bytes, copied into shared memory or mapped. Knows descriptors; not names, caches or who asks.
 *
 * The path was checked before, but a folder on the way may have been swapped for a symbolic link since. So what
 * counts is the descriptor: where the system says it leads, and whether it is the very file that was looked at.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readlink } from 'node:fs/promises';
import { sep } from 'node:path';
import { allocateShared, type MapFile } from '../bytes/shared-bytes.ts';
import type { Loaded, Unloaded } from './buffer-cache.ts';
import { identityOf } from './file-identity.ts';
import { asText } from './name.ts';
import { shareNetascii } from './shared-netascii.ts';
import { answerToFailure, systemCode } from './system-failure.ts';
import { realPathOf, systemPath } from './system-path.ts';
import type { Busy, Denied } from './types.ts';

/** A regular file that was looked at and found to lie inside the root, or inside a folder that is trusted as it is. */
export interface FoundFile {
  readonly kind: 'file';
  /** That folder and the file, both without symbolic links, as bytes (see system-path.ts). */
  readonly root: string;
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** See identityOf. */
  readonly identity: string;
  /** Written just now: an equal identity later does not prove equal bytes. */
  readonly fresh: boolean;
}

/** The file is no longer the one that was looked at, or did not stay so while it was read. Looking again may help. */
export const CHANGED: Busy = { kind: 'busy', reason: 'the file kept changing while it was being read' };

/** O_NONBLOCK: opening a FIFO must not wait for a writer. Windows has neither flag and takes them as 0. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
/** Bytes per read: the thread pool is shared, and no read should keep a thread of it for long. */
const CHUNK_BYTES = 4 * 1024 ** 2;

/** Whether `path` is `root` or lies below it; both absolute and free of symbolic links. */
export function isInside(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

/** @returns undefined when the open file lies inside the root. */
async function checkPlace(fd: number, file: FoundFile, platform: NodeJS.Platform): Promise<Denied | Busy | undefined> {
  if (platform !== 'linux') return (await realPathOf(file.path)) === file.path ? undefined : CHANGED;
  let path: string;
  try {
    path = await readlink(`/proc/self/fd/${fd}`, { encoding: 'latin1' });
  } catch (error) {
    return { kind: 'denied', reason: `can't tell where an open file lies without /proc: ${systemCode(error)}` };
  }
  return isInside(path, file.root)
    ? undefined
    : { kind: 'denied', reason: `opened ${asText(path)}, outside ${asText(file.root)}` };
}

async function isUnchanged(handle: FileHandle, file: FoundFile): Promise<boolean> {
  const stats = await handle.stat({ bigint: true });
  return stats.isFile() && identityOf(stats) === file.identity;
}

/** @returns whether all of `into` was filled: a file that ends early was truncated, and that is no end of file. */
export async function readWhole(handle: FileHandle, into: Uint8Array): Promise<boolean> {
  let at = 0;
  while (at < into.length) {
    const { bytesRead } = await handle.read(into.subarray(at, at + CHUNK_BYTES), { position: at });
    if (bytesRead === 0) return false;
    at += bytesRead;
  }
  return true;
}

export interface SnapshotOptions {
  /** How to map files that are never changed in place. Default: they are copied. */
  readonly mapFile?: MapFile | undefined;
  /** How to copy files. Default: they are read into shared memory. */
  readonly copyFile?: MapFile | undefined;
  /** Whose ways of asking where a descriptor leads to use: tests pass others. Default: this one. */
  readonly platform?: NodeJS.Platform;
}

/**
 * Maps or copies it. A copy may stay without a reader: what it has cost is reading.
 *
 * @returns undefined when the system would not.
 */
async function takeOpened(
  handle: FileHandle,
  file: FoundFile,
  take: MapFile,
  idles: boolean,
): Promise<Loaded | Busy | undefined> {
  const mapping = await take(handle.fd, file.size);
  if (mapping === undefined) return undefined;
  let unchanged = false;
  try {
    unchanged = await isUnchanged(handle, file);
  } finally {
    if (!unchanged) mapping.unmap();
  }
  return unchanged ? { handle: mapping.handle, discard: () => mapping.unmap(), idles } : CHANGED;
}

async function readOpened(
  handle: FileHandle,
  file: FoundFile,
  mode: 'octet' | 'netascii',
  { mapFile, copyFile, platform = process.platform }: SnapshotOptions,
): Promise<Loaded | Unloaded> {
  const misplaced = await checkPlace(handle.fd, file, platform);
  if (misplaced !== undefined) return misplaced;
  if (!(await isUnchanged(handle, file))) return CHANGED;
  for (const take of mode === 'octet' && file.size > 0 ? [mapFile, copyFile] : []) {
    // oxlint-disable-next-line no-await-in-loop -- the second way is for where the first fails.
    const taken = take === undefined ? undefined : await takeOpened(handle, file, take, take === copyFile);
    if (taken !== undefined) return taken;
  }
  const shared = mode === 'octet' ? allocateShared(file.size) : undefined;
  const bytes = shared?.bytes ?? new Uint8Array(file.size);
  if (!(await readWhole(handle, bytes)) || !(await isUnchanged(handle, file))) return CHANGED;
  return { handle: shared?.handle ?? shareNetascii(bytes) };
}

/**
 * Copies or maps the file, if it is still the one that was found, from its first byte to its last.
 *
 * @param mode netascii converts it (see shareNetascii: bound the size).
 * @returns the bytes; CHANGED; or why they can't be had.
 */
export async function snapshot(
  file: FoundFile,
  mode: 'octet' | 'netascii',
  options: SnapshotOptions = {},
): Promise<Loaded | Unloaded> {
  let handle: FileHandle;
  try {
    handle = await open(systemPath(file.path), FLAGS);
  } catch (error) {
    // It was there a moment ago, and its path had no symbolic links in it.
    const vanished = ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(error) ?? '');
    return vanished ? CHANGED : answerToFailure(error);
  }
  try {
    return await readOpened(handle, file, mode, options);
  } catch (error) {
    // V8's word for memory that is not to be had, and for arrays longer than it makes (4 GiB on Node.js 20).
    if (error instanceof RangeError) {
      const reason = `a file of ${file.size} bytes can't be held in memory: ${error.message}`;
      return { kind: 'denied', reason, tooLarge: true };
    }
    return answerToFailure(error);
  } finally {
    // Nothing was written: a failing close loses nothing.
    await handle.close().catch(() => undefined);
  }
}
