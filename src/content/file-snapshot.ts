/**
 * Gets the bytes of a regular file, copied into memory or mapped: small files as a whole, larger ones while they are
 * sent. Knows descriptors; no names, caches or clients.
 *
 * The path was checked before, but a folder in it may have been swapped for a symbolic link since. So the descriptor
 * decides: where the system says it leads, and whether it is the very file that was looked at.
 */
import { constants, readlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { sep } from 'node:path';
import { type AllocateFile, allocateShared, type MapFile } from '../bytes/shared-bytes.ts';
import type { Loaded, Unloaded } from './buffer-cache-types.ts';
import { OPENINGS, READS } from './disk-turns.ts';
import { keepsBytes } from './file-identity.ts';
import { NetasciiReading, OctetReading, type OpenFile, type Reading, sharedFileMemory } from './file-reading.ts';
import { FileSupply, type FileSupplyOptions, RING_BYTES } from './file-supply.ts';
import { asText } from './name.ts';
import { shareNetascii } from './shared-netascii.ts';
import { answerToFailure, systemCode } from './system-failure.ts';
import { realPathOf, systemPath } from './system-path.ts';
import type { Busy, Denied, TransferMode } from './types.ts';

/** A regular file that was looked at, and found inside the root or a trusted folder. */
export interface FoundFile {
  readonly kind: 'file';
  /** Paths of that folder and of the file, without symbolic links, as bytes (see system-path.ts). */
  readonly root: string;
  readonly path: string;
  /** Size in bytes. */
  readonly size: number;
  /** Device number of its disk. */
  readonly device: bigint;
  /** See identityOf(). */
  readonly identity: string;
  /** Number of hard links. A file that loses a name keeps its bytes. */
  readonly links: bigint;
  /** True when the file was written a moment ago: an equal identity later does not prove equal bytes. */
  readonly fresh: boolean;
}

/** The file is no longer the one that was looked at, or changed while it was read. Another look may help. */
export const CHANGED: Busy = { kind: 'busy', reason: 'the file kept changing while it was being read' };

/**
 * O_NONBLOCK: opening a FIFO must not wait for a writer. Windows lacks O_NONBLOCK and O_NOFOLLOW, which then count as
 * 0.
 */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
/**
 * Files up to this size are read whole before anything is sent: an edit meanwhile then costs another reading and no
 * transfer. At 8 MB/s the reading takes two milliseconds.
 * @limit Size up to which a file is read whole before the first reply.
 */
export const SMALL_BYTES = 16 * 1024;

/** Returns true when `path` is `root` or lies below it; both are absolute and free of symbolic links. */
export function isInside(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

/** @returns undefined when the open file lies inside the root. */
async function checkPlace(fd: number, file: FoundFile, platform: NodeJS.Platform): Promise<Denied | Busy | undefined> {
  if (platform !== 'linux') return (await realPathOf(file.path)) === file.path ? undefined : CHANGED;
  let path: string;
  try {
    // Blocks for no disk: the kernel has the path in memory.
    path = readlinkSync(`/proc/self/fd/${fd}`, { encoding: 'latin1' });
  } catch (error) {
    return { kind: 'denied', reason: `/proc is needed to check the path of an open file: ${systemCode(error)}` };
  }
  return isInside(path, file.root)
    ? undefined
    : { kind: 'denied', reason: `opened ${asText(path)}, outside ${asText(file.root)}` };
}

async function isUnchanged(handle: FileHandle, file: FoundFile): Promise<boolean> {
  const stats = await handle.stat({ bigint: true });
  return stats.isFile() && keepsBytes(stats, file);
}

/** Like isUnchanged(), for files that are only ever replaced: whatever happens to the name, the bytes stay. */
async function isAsLong(handle: FileHandle, file: FoundFile): Promise<boolean> {
  return (await handle.stat()).size === file.size;
}

/** @returns true when all of `into` was filled; false when the file was truncated. */
export async function readWhole(handle: FileHandle, into: Uint8Array): Promise<boolean> {
  let at = 0;
  while (at < into.length) {
    const { bytesRead } = await handle.read(into.subarray(at), { position: at });
    if (bytesRead === 0) return false;
    at += bytesRead;
  }
  return true;
}

export interface SnapshotOptions {
  /** Maps files that are never changed in place. Default: they are copied. */
  readonly mapFile?: MapFile | undefined;
  /** True when files are only ever replaced by others. Default: true where they are mapped. */
  readonly isImmutable?: boolean;
  /** Allocates memory for copies. Default: shared memory. */
  readonly allocateFile?: AllocateFile | undefined;
  /** Platform whose way of locating a descriptor is used; tests pass another one. Default: the current platform. */
  readonly platform?: NodeJS.Platform;
}

/** Opens the file if it is still the one that was found. The caller closes it. */
function openFound(file: FoundFile, platform: NodeJS.Platform): Promise<FileHandle | Unloaded> {
  return OPENINGS.run(file.root, () => openNow(file, platform));
}

async function openNow(file: FoundFile, platform: NodeJS.Platform): Promise<FileHandle | Unloaded> {
  let handle: FileHandle;
  try {
    handle = await open(systemPath(file.path), FLAGS);
  } catch (error) {
    // The file existed a moment ago, and its path had no symbolic links.
    const vanished = ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(error) ?? '');
    return vanished ? CHANGED : answerToFailure(error);
  }
  try {
    const misplaced = await checkPlace(handle.fd, file, platform);
    if (misplaced === undefined && (await isUnchanged(handle, file))) return handle;
    await handle.close();
    return misplaced ?? CHANGED;
  } catch (error) {
    await handle.close().catch(() => undefined);
    return answerToFailure(error);
  }
}

/**
 * Copies a small file as a whole, if it is still the one that was found.
 *
 * @param file must be small, because netascii is converted in one go.
 * @returns the bytes; CHANGED; or why they can't be read.
 */
export async function snapshot(
  file: FoundFile,
  mode: TransferMode,
  options: SnapshotOptions = {},
): Promise<Loaded | Unloaded> {
  const handle = await openFound(file, options.platform ?? process.platform);
  if ('kind' in handle) return handle;
  try {
    const shared = mode === 'octet' ? allocateShared(file.size) : undefined;
    const bytes = shared?.bytes ?? new Uint8Array(file.size);
    const isWhole = await READS.run(file.device, () => readWhole(handle, bytes));
    if (!isWhole || !(await isUnchanged(handle, file))) return CHANGED;
    return { handle: shared?.handle ?? shareNetascii(bytes) };
  } catch (error) {
    return answerToFailure(error);
  } finally {
    // Nothing was written, so a failing close loses nothing.
    await handle.close().catch(() => undefined);
  }
}

/**
 * Chooses where an open file's bytes go: mapped, copied or converted.
 *
 * @throws RangeError when there is not enough memory.
 */
export async function readingOf(opened: OpenFile, mode: TransferMode, options: SnapshotOptions): Promise<Reading> {
  if (mode === 'netascii') return new NetasciiReading(opened, 2 * opened.size);
  const memory = (await options.mapFile?.(opened.file.fd, opened.size)) ?? options.allocateFile?.(opened.size);
  return new OctetReading(opened, memory ?? sharedFileMemory(opened.file, opened.size));
}

/** Like readingOf(), into a ring. */
export function ringReadingOf(opened: OpenFile, mode: TransferMode, { allocateFile }: SnapshotOptions): Reading {
  if (mode === 'netascii') return new NetasciiReading(opened, RING_BYTES);
  return new OctetReading(opened, allocateFile?.(RING_BYTES) ?? sharedFileMemory(opened.file, RING_BYTES));
}

/** Returns the upper bound of a file's content in bytes. */
export function mostBytes(size: number, mode: TransferMode): number {
  return mode === 'netascii' ? 2 * size : size;
}

/**
 * Returns the refusal for a file too large for memory. V8 throws a RangeError when memory is short, and for arrays
 * above its limit (4 GiB on Node.js 20).
 */
export function tooLarge(size: number, error: RangeError): Denied {
  const reason = `a file of ${size} bytes can't be held in memory: ${error.message}`;
  return { kind: 'denied', reason, tooLarge: true };
}

/** Options for a file that is read while it is sent. */
export interface StreamOptions extends SnapshotOptions, Pick<FileSupplyOptions, 'clock' | 'onFailure' | 'isRing'> {}

/**
 * Starts reading the file, if it is still the one that was found. The supply fails if the file is truncated or written
 * to before all of it has been read.
 *
 * @returns its supply, which the caller must stop; CHANGED; or why it can't be read.
 */
export async function stream(
  file: FoundFile,
  mode: TransferMode,
  options: StreamOptions,
): Promise<FileSupply | Unloaded> {
  const handle = await openFound(file, options.platform ?? process.platform);
  if ('kind' in handle) return handle;
  try {
    const { isRing = false, mapFile, isImmutable = mapFile !== undefined, clock, onFailure } = options;
    const check = isImmutable ? isAsLong : isUnchanged;
    const { size, device } = file;
    const opened: OpenFile = { file: handle, size, device, isUnchanged: () => check(handle, file) };
    const reading = isRing ? ringReadingOf(opened, mode, options) : await readingOf(opened, mode, options);
    return new FileSupply({ reading, size: mostBytes(file.size, mode), isRing, clock, onFailure });
  } catch (error) {
    await handle.close().catch(() => undefined);
    if (error instanceof RangeError) return tooLarge(file.size, error);
    return answerToFailure(error);
  }
}
