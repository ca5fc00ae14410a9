/**
 * Finds the files of a boot set on disk: their names in the set and their paths. Looks at folders and links; opens no
 * file. Knows what may be published, not how.
 */
import { constants } from 'node:fs';
import { access, lstat, readdir, realpath, stat } from 'node:fs/promises';
import { basename, join, sep } from 'node:path';
import { identityOf } from '../../content/file-identity.ts';
import { byName, checkFileName, MAX_FILES } from './manifest.ts';
import { quote, StoreError, whatFailed } from './store-error.ts';

export interface FoundFile {
  /** Name in the set: relative, with `/` as its separator. */
  readonly name: string;
  /** Path with symbolic links resolved. */
  readonly path: string;
  readonly size: number;
  /** A value that changes with every write to the file. */
  readonly identity: string;
}

class Scan {
  readonly #files = new Map<string, FoundFile>();

  get files(): FoundFile[] {
    return [...this.#files.values()].toSorted(byName);
  }

  /** @param path resolved path. */
  async addFile(name: string, shown: string, path: string): Promise<void> {
    const problem = checkFileName(name);
    if (problem !== undefined) throw new StoreError(`${quote(shown)}: file ${quote(name)}: ${problem}`);
    const before = this.#files.get(name);
    if (before !== undefined) {
      throw new StoreError(
        `${quote(shown)}: expected each name once, got ${quote(name)} also from ${quote(before.path)}`,
      );
    }
    if (this.#files.size >= MAX_FILES) throw new StoreError(`${quote(shown)}: expected at most ${MAX_FILES} files`);
    const found = await stat(path, { bigint: true });
    if (!found.isFile()) throw new StoreError(`${quote(shown)}: expected a file or a folder, got neither`);
    await access(path, constants.R_OK).catch((error: unknown) => {
      throw new StoreError(`${quote(shown)}: expected a file that can be read: ${whatFailed(error)}`);
    });
    this.#files.set(name, { name, path, size: Number(found.size), identity: identityOf(found) });
  }

  /**
   * @param root resolved folder that links must not leave.
   * @param above resolved folders above this one; a link back to one of them would never end.
   */
  async addFolder(prefix: string, path: string, root: string, above: readonly string[]): Promise<void> {
    for (const bytes of await readdir(path, { encoding: 'buffer' })) {
      const name = bytes.toString('utf8');
      const shown = join(path, name);
      if (!Buffer.from(name, 'utf8').equals(bytes)) {
        throw new StoreError(`${quote(shown)}: expected names in UTF-8`);
      }
      const found = await lstat(shown);
      const real = found.isSymbolicLink() ? await follow(shown, root) : shown;
      const isFolder = found.isSymbolicLink() ? (await stat(real)).isDirectory() : found.isDirectory();
      if (!isFolder) {
        await this.addFile(`${prefix}${name}`, shown, real);
      } else if (above.includes(real)) {
        throw new StoreError(
          `${quote(shown)}: expected a link without a cycle, got a link to a folder that contains it`,
        );
      } else {
        await this.addFolder(`${prefix}${name}/`, real, root, [...above, real]);
      }
    }
  }
}

async function follow(link: string, root: string): Promise<string> {
  let real: string;
  try {
    real = await realpath(link);
  } catch (error) {
    throw new StoreError(`${quote(link)}: expected a link to an existing file or folder: ${whatFailed(error)}`);
  }
  if (real !== root && !real.startsWith(root.endsWith(sep) ? root : `${root}${sep}`)) {
    throw new StoreError(`${quote(link)}: expected a link to a place in ${quote(root)}, got a link to ${quote(real)}`);
  }
  return real;
}

/**
 * Lists the contents of folders by their names inside the folder, and files by their base names.
 *
 * @throws StoreError for the first thing that can't be published.
 */
export async function scan(paths: readonly string[]): Promise<FoundFile[]> {
  const found = new Scan();
  for (const path of paths) {
    try {
      const real = await realpath(path);
      if ((await stat(real)).isDirectory()) await found.addFolder('', real, real, [real]);
      else await found.addFile(basename(path), path, real);
    } catch (error) {
      if (error instanceof StoreError) throw error;
      throw new StoreError(`${quote(path)}: expected files and folders that can be read: ${whatFailed(error)}`);
    }
  }
  if (found.files.length === 0) {
    throw new StoreError(`${paths.map(quote).join(', ') || 'nothing'}: expected at least one file, got none`);
  }
  return found.files;
}
