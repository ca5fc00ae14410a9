/**
 * A folder of the store, held by its descriptor: operations act on that folder, whatever its path leads to by now. A
 * store may come from anywhere, so links, pipes and devices in it are rejected, never followed or opened. Knows files
 * and modes; not what they are for.
 *
 * Node.js has no openat(): on Linux a name in the folder is reached by `/proc/self/fd/N/NAME`, which is equivalent.
 * Without /proc it is reached by its path, so a folder that someone swaps for a link in the meantime is followed.
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

/** Mode of folders that Reveille makes, whatever the umask: server and publisher may run as different users. */
const FOLDER_MODE = 0o755;
/** Mode of a file that is not whole yet: nobody else reads it. */
const PART_MODE = 0o600;
/** O_NONBLOCK: opening must not block when a file has just been replaced by a pipe. */
const CAREFUL = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Paths by the `/proc/self/fd` names of open folders: error messages show the path. */
const paths = new Map<string, string>();

/** Names the type of a directory entry for an error message; only files are accepted. */
function entryType(stats: Stats): string {
  if (stats.isFile()) return 'a file';
  if (stats.isDirectory()) return 'a folder';
  if (stats.isSymbolicLink()) return 'a link';
  if (stats.isFIFO()) return 'a pipe';
  return stats.isSocket() ? 'a socket' : 'a device';
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** Returns the error with paths in place of descriptor names. */
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
      throw new StoreError(`${path}: expected a folder, got ${entryType(found)}`);
    }
    throw new StoreError(`${path}: expected a folder that can be read: ${whatFailed(named(error))}`);
  }
  return new OwnFolder(path, fd);
}

/** Returns the folder's name under /proc/self/fd where that works, else its path. */
function wayTo(fd: number, path: string): string {
  const way = `/proc/self/fd/${fd}`;
  const [held, found] = [fstatSync(fd), statSync(way, { throwIfNoEntry: false })];
  return found?.ino === held.ino && found.dev === held.dev ? way : path;
}

/** Tells files apart on a machine. */
export interface FileId {
  readonly dev: bigint;
  readonly ino: bigint;
}

export class OwnFolder {
  readonly path: string;
  readonly #fd: number;
  readonly #way: string;
  #isClosed = false;

  /** Use open(). */
  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
    this.#way = wayTo(fd, path);
    paths.set(this.#way, path);
  }

  /**
   * @param path resolved path.
   * @returns undefined when nothing has that path.
   * @throws StoreError when it is not a folder.
   */
  static open(path: string): OwnFolder | undefined {
    return openFolder(path, path);
  }

  /**
   * Opens a folder inside this one.
   *
   * @returns undefined when nothing has that name.
   * @throws StoreError when it is not a folder.
   */
  folder(name: string): OwnFolder | undefined {
    return openFolder(this.#at(name), join(this.path, name));
  }

  /** Like folder(), and creates the folder if it is missing. */
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
    if (made === undefined)
      throw new StoreError(
        `${join(this.path, name)}: expected the folder that was just created, got another one`,
        false,
      );
    // The umask may have removed bits from the mode.
    if (isOurs) fchmodSync(made.#fd, FOLDER_MODE);
    return made;
  }

  /** Sets the folder's own mode so that other users can enter it. */
  openToAll(): void {
    told(() => fchmodSync(this.#fd, FOLDER_MODE));
  }

  names(): Promise<string[]> {
    return toldLater(readdir(this.#way));
  }

  /** Returns the status of an entry; links are not followed. @returns undefined when nothing has that name. */
  stat(name: string): Stats | undefined {
    return told(() => lstatSync(this.#at(name), { throwIfNoEntry: false }));
  }

  /**
   * Returns a value that changes with every write to the file and every change of its mode.
   *
   * @returns undefined when it is missing.
   */
  identity(name: string): string | undefined {
    const found = told(() => lstatSync(this.#at(name), { bigint: true, throwIfNoEntry: false }));
    return found === undefined ? undefined : identityOf(found);
  }

  /** Returns the entry's device and inode. @returns undefined when nothing has that name. */
  fileId(name: string): FileId | undefined {
    return told(() => lstatSync(this.#at(name), { bigint: true, throwIfNoEntry: false }));
  }

  /** @returns true when the file exists. @throws StoreError when the name is not that of a file. */
  hasFile(name: string): boolean {
    const found = this.stat(name);
    if (found === undefined) return false;
    this.#expectFile(name, found);
    return true;
  }

  /** Opens a file for reading. @throws StoreError when it is not a file, Error with the system's code. */
  async open(name: string): Promise<FileHandle> {
    // Checked before opening: opening a device can have side effects.
    this.hasFile(name);
    return await this.#openFile(name, constants.O_RDONLY);
  }

  /** Like open(), synchronously. The caller closes the descriptor. */
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
   * Reads a whole file into memory.
   *
   * @param most cap on its size in bytes.
   * @returns undefined when the file is missing.
   * @throws StoreError when the file is larger.
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

  /** Returns true when a file has exactly this text. A file of another length is not read: it may be of any size. */
  hasText(name: string, text: string): boolean {
    if (!this.hasFile(name)) return false;
    const fd = this.openSync(name);
    try {
      return fstatSync(fd).size === Buffer.byteLength(text) && readFileSync(fd, 'utf8') === text;
    } finally {
      closeSync(fd);
    }
  }

  /** Creates a file for writing, with exactly this mode, whatever the umask. */
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

  /**
   * Opens a file for reading and writing, and keeps the bytes that it has. Creates it if it is missing. It gets a mode
   * for its owner alone until the caller gives it another one.
   *
   * @throws StoreError when it is not a file, Error with the system's code when it belongs to another user.
   */
  async openPart(name: string): Promise<FileHandle> {
    if (!this.hasFile(name)) {
      const { O_RDWR, O_CREAT, O_EXCL } = constants;
      return await toldLater(open(this.#at(name), O_RDWR | O_CREAT | O_EXCL | CAREFUL, PART_MODE));
    }
    // The mode may forbid even the owner to write.
    const before = await this.open(name);
    try {
      await before.chmod(PART_MODE);
    } finally {
      await before.close();
    }
    return await this.#openFile(name, constants.O_RDWR);
  }

  /** Like create(), synchronously, replacing an existing entry. The caller closes the descriptor. */
  replaceSync(name: string, mode: number): number {
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    this.unlinkSync(name);
    const fd = told(() => openSync(this.#at(name), O_WRONLY | O_CREAT | O_EXCL | CAREFUL, mode));
    fchmodSync(fd, mode);
    return fd;
  }

  /** Removes the name; the target of a link stays. */
  unlinkSync(name: string): void {
    if (this.stat(name) !== undefined) told(() => unlinkSync(this.#at(name)));
  }

  /** Moves an entry into this or another folder, replacing what has the new name there. */
  rename(name: string, to: OwnFolder, newName: string): void {
    told(() => renameSync(this.#at(name), to.#at(newName)));
  }

  /** Removes an entry; a folder with all its contents. */
  async remove(name: string): Promise<void> {
    const found = this.stat(name);
    if (found === undefined) return;
    if (!found.isDirectory()) {
      await toldLater(unlink(this.#at(name)));
      return;
    }
    const folder = this.folder(name);
    try {
      // oxlint-disable-next-line no-await-in-loop -- holds at most one descriptor per level of the tree.
      for (const inside of (await folder?.names()) ?? []) await folder!.remove(inside);
    } finally {
      folder?.close();
    }
    await toldLater(rmdir(this.#at(name)));
  }

  /** Flushes the folder's names to disk; with a name, the contents of that file. */
  sync(name?: string): void {
    const fd = name === undefined ? this.#fd : this.openSync(name);
    try {
      told(() => fsyncSync(fd));
    } finally {
      if (name !== undefined) closeSync(fd);
    }
  }

  /** Closes the descriptor once; later calls do nothing, because another file may have the same number by then. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    paths.delete(this.#way);
    closeSync(this.#fd);
  }

  /** @param access O_RDONLY or O_RDWR. @throws StoreError when it is not a file, Error with the system's code. */
  async #openFile(name: string, access: number): Promise<FileHandle> {
    const file = await toldLater(open(this.#at(name), access | CAREFUL));
    try {
      this.#expectFile(name, await file.stat());
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  #expectFile(name: string, found: Stats): void {
    if (!found.isFile()) throw new StoreError(`${join(this.path, name)}: expected a file, got ${entryType(found)}`);
  }

  #at(name: string): string {
    // Names may come from disks and from the database.
    if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
      throw new StoreError(
        `${this.path}: expected the name of a file, got ${JSON.stringify(name.slice(0, 200))}`,
        false,
      );
    }
    return `${this.#way}/${name}`;
  }
}
