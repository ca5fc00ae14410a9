/** Telling one version of a file from another by its stat. Reads nothing itself. */
import type { BigIntStats } from 'node:fs';

/**
 * How young a file may be for its times to prove nothing, in milliseconds: file systems count time in ticks of up to
 * 10 ms, and a second write in the same tick can leave all of the stat as it was.
 */
const FRESH_MS = 100n;

/** Changes whenever the file is replaced, written, truncated, or given other permissions. */
export function identityOf(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`;
}

/**
 * Whether the file was written just now, so that an equal identity later does not prove equal bytes.
 *
 * @param wallMs the time of day, as files are stamped with it. A clock that is wrong (the file server's, say) makes
 *   no file fresh.
 */
export function isFresh(stats: BigIntStats, wallMs: number): boolean {
  const age = BigInt(Math.trunc(wallMs)) - stats.mtimeNs / 1_000_000n;
  return age > -FRESH_MS && age < FRESH_MS;
}
