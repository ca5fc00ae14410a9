/**
 * The bytes of boot sets, by way of the buffer cache: mapped where the engine can, else copied; the same bytes once,
 * however many versions have them. Keeps those of versions that somebody boots, and reads those of current ones ahead.
 * Knows digests and sizes; neither names nor nodes.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { allocateShared, type MapFile } from '../bytes/shared-bytes.ts';
import type { BufferCache, HeldBytes, Loaded, Unloaded } from '../content/buffer-cache.ts';
import { readWhole } from '../content/file-snapshot.ts';
import { shareNetascii } from '../content/shared-netascii.ts';
import { systemCode } from '../content/system-failure.ts';
import type { BootRequest, Denied } from '../content/types.ts';
import type { CatalogVersion } from './store/catalog.ts';
import type { FileRecord } from './store/records.ts';
import type { Store } from './store/store.ts';

type Mode = BootRequest['mode'];

/** Larger blobs are not converted to netascii: that takes a few milliseconds per MiB without a pause. */
const MAX_NETASCII_BYTES = 16 * 1024 ** 2;
/** Blobs told of as damaged; more are not remembered, and told of again. */
const MAX_DAMAGED = 1024;
/** O_NONBLOCK: what is no file may be a FIFO that nobody writes to. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export interface BlobShelfOptions {
  readonly cache: BufferCache;
  readonly mapFile: MapFile | undefined;
  readonly store: Pick<Store, 'blobPath'>;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
}

async function readBlob(
  handle: FileHandle,
  size: number,
  mode: Mode,
  map: MapFile | undefined,
): Promise<Loaded | undefined> {
  if (map !== undefined && mode === 'octet' && size > 0) {
    const mapping = await map(handle.fd, size);
    if (mapping !== undefined) return { handle: mapping.handle, discard: () => mapping.unmap(), idles: true };
  }
  const shared = mode === 'octet' ? allocateShared(size) : undefined;
  const bytes = shared?.bytes ?? new Uint8Array(size);
  if (!(await readWhole(handle, bytes))) return undefined;
  return { handle: shared?.handle ?? shareNetascii(bytes) };
}

function keyOf({ digest, size }: FileRecord, mode: Mode): string {
  return `blob\0${mode}\0${digest}\0${size}`;
}

export class BlobShelf {
  readonly #options: BlobShelfOptions;
  readonly #damaged = new Set<string>();
  /** Versions whose bytes stay. */
  #kept = new Map<string, CatalogVersion>();
  #ahead: readonly FileRecord[] = [];
  #isReadingAhead = false;
  #closed = false;

  constructor(options: BlobShelfOptions) {
    this.#options = options;
  }

  /** The file's bytes, or `missing`: see lost(). A blob that is not what its record says is never given out. */
  acquire(file: FileRecord, mode: Mode): HeldBytes | Unloaded | Promise<HeldBytes | Unloaded> {
    if (mode === 'netascii' && file.size > MAX_NETASCII_BYTES) {
      const reason = `${file.size} bytes are too many to convert to netascii (at most ${MAX_NETASCII_BYTES})`;
      return { kind: 'denied', reason, tooLarge: true };
    }
    return this.#options.cache.acquire(keyOf(file, mode), () => this.#load(file, mode), file.size);
  }

  /** For a blob that is missing though there is a version that has it. */
  lost(file: FileRecord): Denied {
    return this.#damage(file, 'no such file');
  }

  /** From now on the bytes of these versions stay, once they are here, and no others'. */
  keep(versions: Iterable<CatalogVersion>): void {
    const wanted = new Map<string, CatalogVersion>();
    for (const version of versions) wanted.set(version.name, version);
    for (const [name, version] of wanted) if (!this.#kept.has(name)) this.#keepOne(version);
    for (const [name, version] of this.#kept) if (!wanted.has(name)) this.#dropOne(version);
    this.#kept = wanted;
  }

  /** The bytes of this version stay as well, until the next keep(). */
  keepAlso(version: CatalogVersion): void {
    if (this.#kept.has(version.name)) return;
    this.#keepOne(version);
    this.#kept.set(version.name, version);
  }

  /** Reads files in before they are asked for, one after the other, as far as the budget goes. */
  readAhead(files: readonly FileRecord[], budget: number): void {
    this.#ahead = files;
    if (!this.#isReadingAhead) void this.#readAhead(budget);
  }

  close(): void {
    this.#closed = true;
    this.keep([]);
  }

  #keepOne({ files }: CatalogVersion): void {
    for (const file of files) this.#options.cache.keep(keyOf(file, 'octet'));
  }

  #dropOne({ files }: CatalogVersion): void {
    for (const file of files) this.#options.cache.drop(keyOf(file, 'octet'));
  }

  async #readAhead(budget: number): Promise<void> {
    const { cache } = this.#options;
    this.#isReadingAhead = true;
    try {
      for (;;) {
        const [file, ...rest] = this.#ahead;
        if (file === undefined || this.#closed) return;
        this.#ahead = rest;
        if (cache.has(keyOf(file, 'octet'))) continue;
        const { heldBytes, shelvedBytes } = cache.stats();
        if (heldBytes + shelvedBytes + file.size > budget) continue;
        // oxlint-disable-next-line no-await-in-loop -- one at a time, so that requests do not wait for the disk.
        const came = await this.acquire(file, 'octet');
        if (came.kind === 'held') came.release();
      }
    } finally {
      this.#isReadingAhead = false;
    }
  }

  async #load(file: FileRecord, mode: Mode): Promise<Loaded | Unloaded> {
    const { store, mapFile } = this.#options;
    const path = store.blobPath(file.digest);
    let handle: FileHandle;
    try {
      handle = await open(path, FLAGS);
    } catch (error) {
      const code = systemCode(error);
      if (code === undefined) throw error;
      // Its version may have been collected a moment ago: who asks for it can tell.
      if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing' };
      if (['EACCES', 'EPERM', 'ELOOP'].includes(code)) return this.#damage(file, code);
      return { kind: 'busy', reason: (error as Error).message };
    }
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) return this.#damage(file, 'no regular file');
      if (stats.size !== file.size) return this.#damage(file, `${stats.size} bytes instead of ${file.size}`);
      return (await readBlob(handle, file.size, mode, mapFile)) ?? this.#damage(file, 'cut short');
    } catch (error) {
      if (error instanceof RangeError) {
        const reason = `a file of ${file.size} bytes can't be held in memory: ${error.message}`;
        return { kind: 'denied', reason, tooLarge: true };
      }
      if (systemCode(error) === undefined) throw error;
      return { kind: 'busy', reason: (error as Error).message };
    } finally {
      await handle.close().catch(() => undefined);
    }
  }

  #damage(file: FileRecord, found: string): Denied {
    if (!this.#damaged.has(file.digest)) {
      if (this.#damaged.size < MAX_DAMAGED) this.#damaged.add(file.digest);
      this.#options.onWarning('a blob of the store is damaged: it is not served; run reveille verify', {
        file: file.name,
        blob: this.#options.store.blobPath(file.digest),
        found,
      });
    }
    return { kind: 'denied', reason: `damaged in the store: ${found}` };
  }
}
