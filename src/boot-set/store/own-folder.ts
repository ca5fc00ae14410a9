/**
 * A folder of the store's, held by its descriptor: what is done in it is done in that folder, whatever its path leads to
 * by now. A store may have come from anywhere, so links, pipes and devices in it are turned down, never followed or
 * opened. Knows files and modes; not what they are for.
 *
 * Node.js has no openat(): on Linux a name in the folder is reached by `/proc/self/fd/N/NAME`, which is the same. Where
 * there is no /proc, it is reached by the path: then a folder that somebody swaps for a link while we work is followed.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
} from 'node:fs';
import { type FileHandle, open, readdir, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { identityOf } from '../../content/file-identity.ts';
import { StoreError, whatFailed } from './store-error.ts';

/** What folders have that we make, whatever the umask is: a server may run as another user than who publishes. */
const FOLDER_MODE = 0o755;
/** O_NONBLOCK: what has just become a pipe must not stop us. */
const CAREFUL = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Descriptors in use, by their way: messages of the system have the path instead. */
const paths = new Map<string, string>();

/** `file` is what we work with; everything else is turned down. */
function kindOf(stats: Stats): string {
  if (stats.isFile()) return 'a file';
  if (stats.isDirectory()) return 'a folder';
  if (stats.isSymbolicLink()) return 'a link';
  if (stats.isFIFO()) return 'a pipe';
  return stats.isSocket() ? 'a socket' : 'a device';
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** The error with paths as a person knows them. */
function named(error: unknown): unknown {
  if (error instanceof Error) {
    error.message = error.message.replace(/\/proc\/self\/fd\/[0-9]+/g, (way) => paths.get(way) ?? way);
  }
  return error;
}

function told<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw named(error);
  }
}

async function toldLater<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw named(error);
  }
}

function openFolder(way: string, path: string): OwnFolder | undefined {
  let fd: number;
  try {
    fd = openSync(way, constants.O_RDONLY | constants.O_DIRECTORY | CAREFUL);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    const found = lstatSync(way, { throwIfNoEntry: false });
    if (found !== undefined && !found.isDirectory()) {
      throw new StoreError(`${path}: expected a folder, got ${kindOf(found)}`);
    }
    throw new StoreError(`${path}: expected a folder that can be read: ${whatFailed(named(error))}`);
  }
  return new OwnFolder(path, fd);
}

/** The folder by its descriptor, where the system has a name for that. */
function wayTo(fd: number, path: string): string {
  const way = `/proc/self/fd/${fd}`;
  const [held, found] = [fstatSync(fd), statSync(way, { throwIfNoEntry: false })];
  return found?.ino === held.ino && found.dev === held.dev ? way : path;
}

export class OwnFolder {
  readonly path: string;
  readonly #fd: number;
  readonly #way: string;
  #isClosed = false;

  /** Use open. */
  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
    this.#way = wayTo(fd, path);
    paths.set(this.#way, path);
  }

  /** @param path resolved. @returns undefined when there is none. @throws StoreError for what is no folder. */
  static open(path: string): OwnFolder | undefined {
    return openFolder(path, path);
  }

  /** A folder in this one. @returns undefined when there is none. @throws StoreError for what is no folder. */
  folder(name: string): OwnFolder | undefined {
    return openFolder(this.#at(name), join(this.path, name));
  }

  /** As folder, and makes it where there is none. */
  makeFolder(name: string): OwnFolder {
    const before = this.folder(name);
    if (before !== undefined) return before;
    let isOurs = true;
    try {
      mkdirSync(this.#at(name), FOLDER_MODE);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw named(error);
      isOurs = false;
    }
    const made = this.folder(name);
    if (made === undefined) throw new StoreError(`${join(this.path, name)}: expected the folder just made`, false);
    // The umask has taken bits away.
    if (isOurs) fchmodSync(made.#fd, FOLDER_MODE);
    return made;
  }

  /** Makes the folder itself what others can enter. */
  openToAll(): void {
    told(() => fchmodSync(this.#fd, FOLDER_MODE));
  }

  names(): Promise<string[]> {
    return toldLater(readdir(this.#way));
  }

  /** Of what has this name, be it a link. @returns undefined when there is nothing. */
  stat(name: string): Stats | undefined {
    return told(() => lstatSync(this.#at(name), { throwIfNoEntry: false }));
  }

  /** Changes with every write to the file and every change of its mode. @returns undefined when there is none. */
  identity(name: string): string | undefined {
    const found = told(() => lstatSync(this.#at(name), { bigint: true, throwIfNoEntry: false }));
    return found === undefined ? undefined : identityOf(found);
  }

  /** The number that the file system knows it by. @returns undefined when there is nothing. */
  inode(name: string): bigint | undefined {
    return told(() => lstatSync(this.#at(name), { bigint: true, throwIfNoEntry: false }))?.ino;
  }

  /** @returns whether there is one. @throws StoreError for what is no file. */
  hasFile(name: string): boolean {
    const found = this.stat(name);
    if (found === undefined) return false;
    this.#expectFile(name, found);
    return true;
  }

  /** To be read. @throws StoreError for what is no file, Error with the system's code. */
  async open(name: string): Promise<FileHandle> {
    // Looked at first: to open a device can do something to it.
    this.hasFile(name);
    const file = await toldLater(open(this.#at(name), constants.O_RDONLY | CAREFUL));
    try {
      this.#expectFile(name, await file.stat());
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** As open, at once. The caller closes it. */
  openSync(name: string): number {
    this.hasFile(name);
    const fd = told(() => openSync(this.#at(name), constants.O_RDONLY | CAREFUL));
    try {
      this.#expectFile(name, fstatSync(fd));
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /**
   * What is in a file: all of it is held in memory.
   *
   * @param most bytes. @returns undefined when there is none. @throws StoreError for more
   */
  text(name: string, most: number): string | undefined {
    if (!this.hasFile(name)) return undefined;
    const fd = this.openSync(name);
    try {
      const { size } = fstatSync(fd);
      if (size > most) throw new StoreError(`${join(this.path, name)}: expected at most ${most} bytes, got ${size}`);
      return readFileSync(fd, 'utf8');
    } finally {
      closeSync(fd);
    }
  }

  /** A new file, to be written; its mode is this one, whatever the umask is. */
  async create(name: string, mode: number): Promise<FileHandle> {
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    const file = await toldLater(open(this.#at(name), O_WRONLY | O_CREAT | O_EXCL | CAREFUL, mode));
    try {
      await file.chmod(mode);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** As create, at once and in place of what has the name. The caller closes it. */
  replaceSync(name: string, mode: number): number {
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    this.unlinkSync(name);
    const fd = told(() => openSync(this.#at(name), O_WRONLY | O_CREAT | O_EXCL | CAREFUL, mode));
    fchmodSync(fd, mode);
    return fd;
  }

  /** The name alone goes: not what a link leads to. */
  unlinkSync(name: string): void {
    if (this.stat(name) !== undefined) told(() => unlinkSync(this.#at(name)));
  }

  /** Into another folder or this one, over what may have the new name there. */
  rename(name: string, to: OwnFolder, newName: string): void {
    told(() => renameSync(this.#at(name), to.#at(newName)));
  }

  /** Whatever has the name goes, a folder with all that is in it. */
  async remove(name: string): Promise<void> {
    const found = this.stat(name);
    if (found === undefined) return;
    if (!found.isDirectory()) {
      await toldLater(unlink(this.#at(name)));
      return;
    }
    const folder = this.folder(name);
    try {
      // oxlint-disable-next-line no-await-in-loop -- no descriptor more than the tree is deep.
      for (const inside of (await folder?.names()) ?? []) await folder!.remove(inside);
    } finally {
      folder?.close();
    }
    await toldLater(rmdir(this.#at(name)));
  }

  /** Makes the names in the folder survive a power failure; with a name, what was written to that file. */
  sync(name?: string): void {
    const fd = name === undefined ? this.#fd : this.openSync(name);
    try {
      told(() => fsyncSync(fd));
    } finally {
      if (name !== undefined) closeSync(fd);
    }
  }

  /** Once is enough; more does nothing: another file may have the descriptor by then. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    paths.delete(this.#way);
    closeSync(this.#fd);
  }

  #expectFile(name: string, found: Stats): void {
    if (!found.isFile()) throw new StoreError(`${join(this.path, name)}: expected a file, got ${kindOf(found)}`);
  }

  #at(name: string): string {
    // Names come from disks and from the database too.
    if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
      throw new StoreError(
        `${this.path}: expected the name of a file, got ${JSON.stringify(name.slice(0, 200))}`,
        false,
      );
    }
    return `${this.#way}/${name}`;
  }
}
