/** Telling one version of a file from another by its stat. Reads nothing itself. */
import type { BigIntStats } from 'node:fs';

/**
 * How young a file may be for its times to prove nothing, in milliseconds: file systems count time in ticks of up to
 * 10 ms, and a second write in the same tick can leave all of the stat as it was.
 */
const FRESH_MS = 100n;
/** The same where times are whole seconds (ext4 with inodes of 128 bytes, HFS+) or every other second (FAT). */
const COARSE_FRESH_MS = 2000n + FRESH_MS;
const SECOND_NS = 1_000_000_000n;

/** Changes whenever the file is replaced, written, truncated, or given other permissions. */
export function identityOf(stats: BigIntStats): string {
  return `${contentOf(stats)}:${stats.ctimeNs}`;
}

function contentOf({ dev, ino, size, mtimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}`;
}

/**
 * Whether an open file still has the bytes that it had when it was found. A file that lost its name since, because another
 * was renamed to it or because it was removed, has another ctime and fewer links, and the same bytes.
 */
export function keepsBytes(stats: BigIntStats, found: { readonly identity: string; readonly links: bigint }): boolean {
  if (identityOf(stats) === found.identity) return true;
  return stats.nlink < found.links && found.identity.startsWith(`${contentOf(stats)}:`);
}

/**
 * Whether the file was written so recently that an equal identity later does not prove equal bytes: within a tick of
 * its file system. A time of whole seconds is taken for one of a file system that has no others.
 *
 * @param wallMs the time of day, as files are stamped with it. A clock that is wrong (the file server's, say) makes
 *   no file fresh.
 */
export function isFresh(stats: BigIntStats, wallMs: number): boolean {
  const age = BigInt(Math.trunc(wallMs)) - stats.mtimeNs / 1_000_000n;
  return age > -FRESH_MS && age < (stats.mtimeNs % SECOND_NS === 0n ? COARSE_FRESH_MS : FRESH_MS);
}
