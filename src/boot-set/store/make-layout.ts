/** The files and folders of an empty store: makes them where there is nothing, and turns down what is something else. */
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { readText } from './index-file.ts';
import { type Layout, NEW, OCI_LAYOUT } from './layout.ts';
import { quote, StoreError, whatFailed } from './store-error.ts';

async function namesIn(path: string): Promise<string[] | undefined> {
  try {
    return await readdir(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new StoreError(`${path}: expected a folder that can be read: ${whatFailed(error)}`);
  }
}

/**
 * Makes sure that there is a layout: an empty one where there was nothing.
 *
 * @param create whether it may be made.
 * @returns whether it was made: then there is nothing in it.
 * @throws StoreError when there is something else.
 */
export async function ensureLayout(layout: Layout, create: boolean): Promise<boolean> {
  const names = await namesIn(layout.root);
  const text = names === undefined ? undefined : readText(layout.ociLayout);
  if (text !== undefined) {
    if (!/"imageLayoutVersion"\s*:\s*"1\./.test(text)) {
      throw new StoreError(`${layout.ociLayout}: expected an OCI image layout of version 1, got ${quote(text.trim())}`);
    }
    return false;
  }
  const strange = (names ?? []).filter((name) => !name.startsWith(`oci-layout${NEW}`) && name !== 'lost+found');
  if (strange.length > 0) {
    throw new StoreError(
      `${layout.root}: expected a store, an OCI image layout or an empty folder, got a folder with ${quote(strange[0]!)} in it`,
    );
  }
  if (!create)
    throw new StoreError(
      `${layout.root}: expected a store, got ${names === undefined ? 'nothing' : 'an empty folder'}`,
    );
  try {
    await mkdir(layout.root, { recursive: true });
    // A name of its own: there is no lock yet, and two may make one store at once.
    const made = `${layout.ociLayout}${NEW}-${process.pid}`;
    await writeFile(made, OCI_LAYOUT);
    await rename(made, layout.ociLayout);
    return true;
  } catch (error) {
    throw new StoreError(`${layout.root}: can not be made a store: ${whatFailed(error)}`, false);
  }
}

/** The folders that a store has beside its files. */
export async function ensureFolders(layout: Layout): Promise<void> {
  await mkdir(layout.blobs, { recursive: true });
  await mkdir(layout.staging, { recursive: true });
}
