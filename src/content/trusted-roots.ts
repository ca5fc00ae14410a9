/**
 * The folders that links in a root may lead into. Knows their paths, and which of them are there; no names of files.
 *
 * The path of each is resolved once: at the start, or, where it is not there yet, as soon as it is. From then on what it
 * led to is trusted, and nothing that takes its place.
 */
import { realpathSync, statSync } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isInside } from './file-snapshot.ts';
import { asBytes } from './name.ts';
import { systemCode } from './system-failure.ts';
import { realPathOf, systemPath } from './system-path.ts';

export interface TrustedRootsOptions {
  /** Paths, which may be or contain symbolic links. */
  readonly folders: readonly string[];
  /** Told once for each folder that is not there at the start. */
  readonly onWarning?: ((message: string, detail: Readonly<Record<string, unknown>>) => void) | undefined;
}

/** From a folder and a name in it to its path, or undefined when there is none. */
type Step = (folder: string, part: string) => string | undefined | Promise<string | undefined>;

/** The system's code for a folder that can't be resolved, which may pass. @throws the error itself when it is ours. */
function codeOf(error: unknown): string {
  const code = systemCode(error);
  if (code === undefined) throw error;
  return code;
}

export class TrustedRoots {
  /** Without symbolic links, one character per byte as all paths of Directory's. */
  readonly #resolved: string[] = [];
  readonly #away = new Set<string>();
  #looking: Promise<void> | undefined;

  /** Looks at each folder. */
  constructor({ folders, onWarning }: TrustedRootsOptions) {
    for (const folder of folders.map((one) => resolve(one))) {
      try {
        const real = realpathSync(folder, { encoding: 'latin1' });
        if (!statSync(systemPath(real)).isDirectory()) {
          throw Object.assign(new Error('not a directory'), { syscall: 'stat', code: 'ENOTDIR' });
        }
        this.#resolved.push(real);
      } catch (error) {
        const code = codeOf(error);
        onWarning?.('a folder of trustedRoots cannot be reached: waiting for it', { folder, code });
        this.#away.add(asBytes(folder));
      }
    }
  }

  /**
   * Finds the folder that a file lies in; looks again for those that were away.
   *
   * @param real the file's path without symbolic links.
   * @returns undefined when the file lies in none of the folders that exist.
   */
  async folderOf(real: string): Promise<string | undefined> {
    const known = this.#known(real);
    if (known !== undefined || this.#away.size === 0) return known;
    this.#looking ??= this.#lookForAway().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
    return this.#known(real);
  }

  /**
   * Tells whether a name may lead into a folder that is away: over a symbolic link whose target can't be reached.
   *
   * @param root without symbolic links. @param name relative to it. @param step finds a part of it in a folder.
   */
  async mayHold(root: string, name: string, step: Step = join): Promise<boolean> {
    if (this.#away.size === 0) return false;
    let path: string | undefined = root;
    try {
      for (const part of name.split('/')) {
        // oxlint-disable-next-line no-await-in-loop -- one part after the other, up to the first that is not there.
        path = await step(path, part);
        if (path === undefined) return false;
        // oxlint-disable-next-line no-await-in-loop -- as above.
        const stats = await lstat(systemPath(path));
        // oxlint-disable-next-line no-await-in-loop -- as above.
        if (stats.isSymbolicLink() && !(await isReached(path))) return true;
      }
    } catch (error) {
      codeOf(error);
    }
    return false;
  }

  #known(real: string): string | undefined {
    return this.#resolved.find((folder) => isInside(real, folder));
  }

  async #lookForAway(): Promise<void> {
    await Promise.all(
      Array.from(this.#away, async (folder) => {
        try {
          const real = await realPathOf(folder);
          if (!(await stat(systemPath(real))).isDirectory()) return;
          this.#resolved.push(real);
          this.#away.delete(folder);
        } catch (error) {
          codeOf(error);
        }
      }),
    );
  }
}

async function isReached(link: string): Promise<boolean> {
  try {
    await stat(systemPath(link));
    return true;
  } catch (error) {
    // A circle of links leads to no folder, whatever is mounted.
    return codeOf(error) === 'ELOOP';
  }
}
