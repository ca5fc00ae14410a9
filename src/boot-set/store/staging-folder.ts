/**
 * A folder in the store for files that are not yet, or no longer, part of it: `staging/PID-HEX`, where HEX is the number
 * of the PID namespace and random digits. They tell which folders were left by dead processes; names of any other form
 * are left alone.
 */
import { randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import type { OwnFolder } from './own-folder.ts';

/**
 * Age after which a folder counts as abandoned even if a process has its PID.
 * @limit Age at which a staging folder is removed although a process has its PID. Shows: leftovers of `reveille gc`.
 */
export const MAX_STAGING_AGE_MS = 24 * 3_600_000;

const RANDOM_BYTES = 6;
const NAME = /^([1-9][0-9]{0,9})-([0-9a-f]*)[0-9a-f]{12}$/;

/** Number of this process's PID namespace: a PID means nothing in another one. Empty where it is unknown. */
function pidNamespace(): string {
  try {
    return BigInt(/[0-9]+/.exec(readlinkSync('/proc/self/ns/pid'))![0]).toString(16);
  } catch {
    return '';
  }
}

export class StagingFolder {
  readonly folder: OwnFolder;
  readonly #staging: OwnFolder;
  readonly #name: string;

  constructor(staging: OwnFolder) {
    this.#staging = staging;
    this.#name = `${process.pid}-${pidNamespace()}${randomBytes(RANDOM_BYTES).toString('hex')}`;
    this.folder = staging.makeFolder(this.#name);
  }

  /** Removes the folder with all its contents. */
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
    // EPERM: the process exists and belongs to another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/**
 * @param staging undefined when the store has no staging folder.
 * @param maxAgeMs age at which a folder counts as left whatever its process does; Infinity: only of dead processes.
 * @returns the names of folders left by dead processes.
 */
export async function abandonedFolders(
  staging: OwnFolder | undefined,
  now: number,
  maxAgeMs = MAX_STAGING_AGE_MS,
): Promise<string[]> {
  const abandoned: string[] = [];
  const ours = pidNamespace();
  for (const name of (await staging?.names()) ?? []) {
    const [, pid, namespace] = NAME.exec(name) ?? [];
    if (pid === undefined) continue;
    const age = now - (staging?.stat(name)?.mtimeMs ?? now);
    // Processes of other PID namespaces can't be seen.
    const isElsewhere = namespace !== '' && namespace !== ours;
    if ((!isElsewhere && !isAlive(Number(pid))) || age > maxAgeMs) abandoned.push(name);
  }
  return abandoned;
}

/** Returns the size of the files in a folder of the staging area, or of a file, in bytes. */
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
