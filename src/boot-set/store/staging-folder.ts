/**
 * A place in the store where a process prepares files that are not yet the store's, or no longer: `staging/PID-RANDOM`.
 * What a process leaves there when it dies is told by its number.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Layout } from './layout.ts';

/** After that a folder is left over even if some process has its number. */
export const MAX_STAGING_AGE_MS = 24 * 3_600_000;

/** @returns its path. */
export async function makeStagingFolder(layout: Layout): Promise<string> {
  const path = join(layout.staging, `${process.pid}-${randomBytes(6).toString('hex')}`);
  await mkdir(path, { recursive: true });
  return path;
}

export async function removeStagingFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: there is one, of another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** @returns the folders of processes that are gone. */
export async function abandonedFolders(layout: Layout, now: number): Promise<string[]> {
  const names = await readdir(layout.staging).catch(() => []);
  const abandoned: string[] = [];
  for (const name of names) {
    const path = join(layout.staging, name);
    const pid = Number(/^([1-9][0-9]*)-/.exec(name)?.[1] ?? 0);
    const age = now - ((await stat(path).catch(() => undefined))?.mtimeMs ?? now);
    if (pid === 0 || !isAlive(pid) || age > MAX_STAGING_AGE_MS) abandoned.push(path);
  }
  return abandoned;
}

/** Bytes of the files in a folder without folders in it. */
export async function bytesIn(path: string): Promise<number> {
  const names = await readdir(path).catch(() => []);
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(path, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
