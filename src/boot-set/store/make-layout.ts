/**
 * Files and folders of an empty store: creates missing ones, opens existing ones, and rejects anything else in their
 * place.
 */
import { closeSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, realpath } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Layout, LOCK_FILE, NEW, OCI_LAYOUT, OCI_LAYOUT_FILE, STATE_FILE, TEXT_MODE } from './layout.ts';
import { OwnFolder } from './own-folder.ts';
import { quote, StoreError, whatFailed } from './store-error.ts';

/**
 * Other tools write about thirty bytes.
 * @limit Size of an `oci-layout` file. Shows: an error message.
 */
const MAX_OCI_LAYOUT_BYTES = 4096;

/**
 * Returns the layout of the store at `path`. The path itself may be a symbolic link, as systemd makes it; nothing below
 * it may be.
 */
export async function layoutAt(path: string): Promise<Layout> {
  return new Layout(await realpath(path).catch(() => resolve(path)));
}

async function namesIn(path: string): Promise<string[] | undefined> {
  try {
    return await readdir(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new StoreError(`${path}: expected a folder that can be read: ${whatFailed(error)}`);
  }
}

function within<T>(layout: Layout, work: (root: OwnFolder) => T): T {
  const root = OwnFolder.open(layout.root);
  if (root === undefined) throw new StoreError(`${layout.root}: expected a store, got nothing`);
  try {
    return work(root);
  } finally {
    root.close();
  }
}

/**
 * Makes sure that the layout exists; creates an empty one in an empty folder, or in a missing one whose parent exists.
 *
 * @param create true if it may be created.
 * @returns true when it was created and is therefore empty.
 * @throws StoreError when the folder holds something else.
 */
export async function ensureLayout(layout: Layout, create: boolean): Promise<boolean> {
  const names = await namesIn(layout.root);
  const text =
    names === undefined ? undefined : within(layout, (root) => root.text(OCI_LAYOUT_FILE, MAX_OCI_LAYOUT_BYTES));
  if (text !== undefined) {
    if (!/"imageLayoutVersion"\s*:\s*"1\./.test(text)) {
      throw new StoreError(`${layout.ociLayout}: expected an OCI image layout of version 1, got ${quote(text.trim())}`);
    }
    return false;
  }
  const strange = (names ?? []).filter((name) => !name.startsWith(`oci-layout${NEW}`) && name !== 'lost+found');
  if (strange.length > 0) {
    throw new StoreError(
      `${layout.root}: expected a store, an OCI image layout or an empty folder, got a folder that contains ${quote(strange[0]!)}`,
    );
  }
  if (!create)
    throw new StoreError(
      `${layout.root}: expected a store, got ${names === undefined ? 'nothing' : 'an empty folder'}`,
    );
  try {
    const isOurs = names === undefined && (await makeFolder(layout.root));
    within(layout, (root) => {
      if (isOurs) root.openToAll();
      // A unique name: there is no lock yet, and two processes may create the same store at once.
      const name = `${OCI_LAYOUT_FILE}${NEW}-${process.pid}`;
      const fd = root.replaceSync(name, TEXT_MODE);
      try {
        writeFileSync(fd, OCI_LAYOUT);
      } finally {
        closeSync(fd);
      }
      root.rename(name, root, OCI_LAYOUT_FILE);
    });
    return true;
  } catch (error) {
    if (error instanceof StoreError) throw error;
    throw new StoreError(`${layout.root}: a store cannot be created here: ${whatFailed(error)}`, false);
  }
}

/**
 * Creates the folder of a store, but no folder above it: those are missing where the path has a typing error, or where
 * a disk is not mounted yet.
 *
 * @returns false when another process has created it meanwhile.
 */
async function makeFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EEXIST') return false;
    if (code !== 'ENOENT') throw error;
    throw new StoreError(`${path}: a store is created only in a folder that exists, got no ${dirname(path)}`);
  }
}

/** The folders of a store, held open from its opening to its closing. */
export class StoreFolders {
  readonly root: OwnFolder;
  #blobs: OwnFolder | undefined;
  #staging: OwnFolder | undefined;

  private constructor(root: OwnFolder) {
    this.root = root;
  }

  /**
   * Opens the folders that exist and checks that files are files.
   *
   * @throws StoreError for links, pipes and devices among them.
   */
  static open(layout: Layout): StoreFolders {
    const root = OwnFolder.open(layout.root);
    if (root === undefined) throw new StoreError(`${layout.root}: expected a store, got nothing`);
    const folders = new StoreFolders(root);
    try {
      // Checked here because LMDB opens these by path and follows what it finds.
      for (const name of [STATE_FILE, LOCK_FILE]) root.hasFile(name);
      const blobs = root.folder('blobs');
      folders.#blobs = blobs?.folder('sha256');
      blobs?.close();
      folders.#staging = root.folder('staging');
      return folders;
    } catch (error) {
      folders.close();
      throw error;
    }
  }

  /** Creates the missing folders. */
  make(): void {
    if (this.#blobs === undefined) {
      const blobs = this.root.makeFolder('blobs');
      this.#blobs = blobs.makeFolder('sha256');
      blobs.close();
    }
    this.#staging ??= this.root.makeFolder('staging');
  }

  get hasBlobs(): boolean {
    return this.#blobs !== undefined;
  }

  /** @throws StoreError when the folder does not exist. */
  get blobs(): OwnFolder {
    if (this.#blobs !== undefined) return this.#blobs;
    throw new StoreError(`${this.root.path}/blobs/sha256: expected a folder, got nothing`, false);
  }

  /** The staging folder; undefined when it does not exist and make() was not called. */
  get staging(): OwnFolder | undefined {
    return this.#staging;
  }

  close(): void {
    for (const folder of [this.#blobs, this.#staging, this.root]) folder?.close();
  }
}
