/** Distinguishes versions of a file by their stat. Reads nothing itself. */
import type { BigIntStats } from 'node:fs';

/**
 * Age in milliseconds below which a file's times prove nothing: file systems count time in ticks of up to 10 ms, and a
 * second write in the same tick can leave the whole stat unchanged.
 */
const FRESH_MS = 100n;
/** The same for times in whole seconds (ext4 with 128-byte inodes, HFS+) or in steps of two seconds (FAT). */
const COARSE_FRESH_MS = 2000n + FRESH_MS;
const SECOND_NS = 1_000_000_000n;

/** Returns a value that changes when the file is replaced, written, truncated, or gets other permissions. */
export function identityOf(stats: BigIntStats): string {
  return `${contentOf(stats)}:${stats.ctimeNs}`;
}

function contentOf({ dev, ino, size, mtimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}`;
}

/**
 * Tells whether an open file still has the bytes that it had when it was found. A file that lost its name since, because another
 * was renamed to it or because it was removed, has another ctime and fewer links, and the same bytes.
 */
export function keepsBytes(stats: BigIntStats, found: { readonly identity: string; readonly links: bigint }): boolean {
  if (identityOf(stats) === found.identity) return true;
  return stats.nlink < found.links && found.identity.startsWith(`${contentOf(stats)}:`);
}

/**
 * Returns true when the file was written so recently, within a tick of its file system, that an equal identity later
 * does not prove equal bytes. A time of whole seconds counts as one from a file system with coarse times.
 *
 * @param wallMs wall clock in milliseconds since the epoch, by which files are stamped. When the clocks disagree (a
 *   file server's, for example), no file counts as fresh.
 */
export function isFresh(stats: BigIntStats, wallMs: number): boolean {
  const age = BigInt(Math.trunc(wallMs)) - stats.mtimeNs / 1_000_000n;
  return age > -FRESH_MS && age < (stats.mtimeNs % SECOND_NS === 0n ? COARSE_FRESH_MS : FRESH_MS);
}
