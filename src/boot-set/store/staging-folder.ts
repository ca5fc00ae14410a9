/**
 * A place in the store where a process prepares files that are not yet the store's, or no longer: `staging/PID-RANDOM`.
 * What a process leaves there when it dies is told by its number; names of any other form are none of ours.
 */
import { randomBytes } from 'node:crypto';
import type { OwnFolder } from './own-folder.ts';

/** After that a folder is left over even if some process has its number. */
export const MAX_STAGING_AGE_MS = 24 * 3_600_000;

const NAME = /^([1-9][0-9]{0,9})-[0-9a-f]+$/;

export class StagingFolder {
  readonly folder: OwnFolder;
  readonly #staging: OwnFolder;
  readonly #name: string;

  constructor(staging: OwnFolder) {
    this.#staging = staging;
    this.#name = `${process.pid}-${randomBytes(6).toString('hex')}`;
    this.folder = staging.makeFolder(this.#name);
  }

  /** With all that is in it. */
  async remove(): Promise<void> {
    this.folder.close();
    await this.#staging.remove(this.#name);
  }
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

/** @param staging undefined: there is none. @returns the names of what processes have left that are gone. */
export async function abandonedFolders(staging: OwnFolder | undefined, now: number): Promise<string[]> {
  const abandoned: string[] = [];
  for (const name of (await staging?.names()) ?? []) {
    const pid = NAME.exec(name)?.[1];
    if (pid === undefined) continue;
    const age = now - (staging?.stat(name)?.mtimeMs ?? now);
    if (!isAlive(Number(pid)) || age > MAX_STAGING_AGE_MS) abandoned.push(name);
  }
  return abandoned;
}

/** Bytes of the files in a folder of the staging area, or of the file that has the name. */
export async function bytesIn(staging: OwnFolder, name: string): Promise<number> {
  const found = staging.stat(name);
  if (found?.isDirectory() !== true) return found?.isFile() === true ? found.size : 0;
  const folder = staging.folder(name);
  if (folder === undefined) return 0;
  try {
    const sizes = (await folder.names()).map((inside) => folder.stat(inside));
    return sizes.reduce((sum, stats) => sum + (stats?.isFile() === true ? stats.size : 0), 0);
  } finally {
    folder.close();
  }
}
