/** Small stores and boot sets for tests, in temporary folders. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { sha256 } from '../../src/boot-set/store/manifest.ts';
import { type PublishRequest, type Published, publish } from '../../src/boot-set/store/publish.ts';
import { versionName } from '../../src/boot-set/store/records.ts';
import { openStore, type Store, type StoreOptions } from '../../src/boot-set/store/store.ts';

export function folder(parent = tmpdir()): string {
  const path = mkdtempSync(join(parent, 'reveille-store-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export const canMount = process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0;

/** Mounts a file system in memory until the end of the test. @returns its folder; undefined where that is not allowed. */
export function mounted(bytes: number): string | undefined {
  const path = folder();
  if (process.getuid?.() !== 0) return undefined;
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'none', path]).status !== 0) return undefined;
  onTestFinished(() => {
    execFileSync('umount', ['--lazy', path]);
  });
  return path;
}

/** Creates a folder with these files. */
export function filesIn(files: Readonly<Record<string, string | Uint8Array>>, into = folder()): string {
  for (const [name, content] of Object.entries(files)) {
    const path = join(into, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  return into;
}

/** Opens a store that is closed after the test. */
export async function openFor(path: string, options: Partial<StoreOptions> = {}): Promise<Store> {
  const store = await openStore({ path, ...options });
  onTestFinished(() => store.close());
  return store;
}

export async function newStore(options: Partial<StoreOptions> = {}): Promise<Store> {
  return await openFor(join(folder(), 'store'), options);
}

export function publishFiles(
  store: Store,
  channel: string,
  files: Readonly<Record<string, string | Uint8Array>>,
  more: Partial<PublishRequest> = {},
): Promise<Published> {
  return publish(store, { channel, paths: [filesIn(files)], ...more });
}

/** Names, bytes and modes of every file below a folder, except LMDB's own. */
export function photograph(path: string): Record<string, string> {
  if (!existsSync(path)) return {};
  const names = readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith('state.lmdb'))
    .map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(names.map((name) => [name.slice(path.length + 1), sha256(readFileSync(name))]));
}

/** Bytes of a version's file, looked up through its record and blob. */
export function contentOf(store: Store, name: string, file: string): Buffer {
  const version = store.versions().find(({ channel, number }) => versionName(channel, number) === name);
  const record = version?.files.find((one) => one.name === file);
  if (record === undefined) throw new Error(`${name} has no ${file}`);
  return readFileSync(store.blobPath(record.digest));
}

export function blobsOf(store: Store): string[] {
  return readdirSync(store.layout.blobs).toSorted();
}

/** Message of the error that `work` must throw. */
export async function messageOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
  throw new Error('nothing was thrown');
}

/** Overwrites a blob, which is read-only. */
export function damage(store: Store, digest: string, bytes: string): void {
  chmodSync(store.blobPath(digest), 0o644);
  writeFileSync(store.blobPath(digest), bytes);
}
