/**
 * Opens the blobs of boot sets through the buffer cache: mapped where the engine can, copied otherwise. Equal bytes are
 * held once, however many versions contain them. Keeps the bytes of versions in use and reads those of current versions
 * ahead. Knows digests and sizes; no file names and no nodes.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type AllocateFile, allocateShared, type MapFile } from '../bytes/shared-bytes.ts';
import type { BufferCache } from '../content/buffer-cache.ts';
import type { HeldBytes, Loaded, Unloaded } from '../content/buffer-cache-types.ts';
import { OPENINGS, READS } from '../content/disk-turns.ts';
import { mostBytes, readingOf, readWhole, ringReadingOf, SMALL_BYTES, tooLarge } from '../content/file-snapshot.ts';
import { FileSupply } from '../content/file-supply.ts';
import { holdRing, lacksMemory } from '../content/held-ring.ts';
import { shareNetascii } from '../content/shared-netascii.ts';
import { systemCode } from '../content/system-failure.ts';
import type { Denied, TransferMode } from '../content/types.ts';
import { whenReady } from '../content/when-ready.ts';
import { whenWhole } from '../content/when-whole.ts';
import type { CatalogVersion } from './store/catalog.ts';
import type { FileRecord } from './store/records.ts';
import type { Store } from './store/store.ts';

/**
 * Cap on damaged blobs remembered; damage beyond it is reported every time.
 * @limit Damaged blobs that are reported only once. Shows: nothing: further ones are reported each time.
 */
const MAX_DAMAGED = 1024;
/** O_NONBLOCK: in place of a file there may be a FIFO without a writer, whose opening would block. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export interface BlobShelfOptions {
  readonly cache: BufferCache;
  readonly mapFile: MapFile | undefined;
  /** Allocates memory for blobs that can't be mapped. */
  readonly allocateFile: AllocateFile | undefined;
  readonly clock: { now(): number };
  readonly store: Pick<Store, 'blobPath'>;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
}

/** Reads a small blob as a whole. @returns undefined when the blob is shorter than its record says. */
async function readBlob(handle: FileHandle, size: number, mode: TransferMode): Promise<Loaded | undefined> {
  const shared = mode === 'octet' ? allocateShared(size) : undefined;
  const bytes = shared?.bytes ?? new Uint8Array(size);
  if (!(await readWhole(handle, bytes))) return undefined;
  return { handle: shared?.handle ?? shareNetascii(bytes) };
}

function keyOf({ digest, size }: FileRecord, mode: TransferMode): string {
  return `blob\0${mode}\0${digest}\0${size}`;
}

export class BlobShelf {
  readonly #options: BlobShelfOptions;
  readonly #damaged = new Set<string>();
  /** Versions whose bytes stay in the cache. */
  #kept = new Map<string, CatalogVersion>();
  #ahead: readonly FileRecord[] = [];
  #isReadingAhead = false;
  #closed = false;

  constructor(options: BlobShelfOptions) {
    this.#options = options;
  }

  /** Returns the file's bytes, or `missing` (see lost()). Never returns a blob whose size differs from its record. */
  acquire(file: FileRecord, mode: TransferMode): HeldBytes | Unloaded | Promise<HeldBytes | Unloaded> {
    const { cache } = this.#options;
    const key = keyOf(file, mode);
    if (file.size <= SMALL_BYTES) return cache.acquire(key, () => this.#load(file, mode), file.size);
    const held = cache.acquire(key, () => this.#load(file, mode), 0, mostBytes(file.size, mode));
    return whenReady(held, (ready) =>
      lacksMemory(ready)
        ? holdRing(cache, () => this.#open(file, (...opened) => this.#stream(opened, file, mode, true)))
        : ready,
    );
  }

  /** Reports a blob that is missing although a version still refers to it. @returns the refusal for the request. */
  lost(file: FileRecord): Denied {
    return this.#damage(file, 'no such file');
  }

  /** Keeps the bytes of exactly these versions in the cache once they are loaded, and releases all others. */
  keep(versions: Iterable<CatalogVersion>): void {
    const wanted = new Map<string, CatalogVersion>();
    for (const version of versions) wanted.set(version.name, version);
    for (const [name, version] of wanted) if (!this.#kept.has(name)) this.#keepOne(version);
    for (const [name, version] of this.#kept) if (!wanted.has(name)) this.#dropOne(version);
    this.#kept = wanted;
  }

  /** Also keeps the bytes of this version, until the next keep(). */
  keepAlso(version: CatalogVersion): void {
    if (this.#kept.has(version.name)) return;
    this.#keepOne(version);
    this.#kept.set(version.name, version);
  }

  /**
   * Loads files before they are requested, one after the other.
   *
   * @param budget cap in bytes on what the cache holds with them.
   */
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
        // oxlint-disable-next-line no-await-in-loop -- one file at a time, so that requests need not wait for the disk.
        const came = await this.acquire(file, 'octet');
        if (came.kind !== 'held') continue;
        // oxlint-disable-next-line no-await-in-loop -- one file at a time, as above.
        await whenWhole(came.supply);
        came.release();
      }
    } finally {
      this.#isReadingAhead = false;
    }
  }

  #load(file: FileRecord, mode: TransferMode): Promise<Loaded | Unloaded> {
    return this.#open(file, async (opened, device) => {
      if (file.size > SMALL_BYTES) {
        const supply = await this.#stream([opened, device], file, mode, false);
        return { handle: supply.handle, supply, discard: () => supply.stop(), idles: true };
      }
      try {
        const blob = await READS.run(device, () => readBlob(opened, file.size, mode));
        return blob ?? this.#damage(file, 'cut short');
      } finally {
        await opened.close().catch(() => undefined);
      }
    });
  }

  /** Opens a blob and checks its size. @param use takes over the handle, and closes it unless it throws. */
  async #open<T>(file: FileRecord, use: (opened: FileHandle, device: number) => Promise<T>): Promise<T | Unloaded> {
    const path = this.#options.store.blobPath(file.digest);
    let handle: FileHandle;
    try {
      handle = await OPENINGS.run(dirname(path), () => open(path, FLAGS));
    } catch (error) {
      const code = systemCode(error);
      if (code === undefined) throw error;
      // Its version may have been collected a moment ago; only the caller can tell.
      if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing' };
      if (['EACCES', 'EPERM', 'ELOOP'].includes(code)) return this.#damage(file, code);
      return { kind: 'busy', reason: (error as Error).message };
    }
    try {
      const stats = await handle.stat();
      const isWrong = !stats.isFile() || stats.size !== file.size;
      if (!isWrong) return await use(handle, stats.dev);
      await handle.close();
      return this.#damage(
        file,
        stats.isFile() ? `expected ${file.size} bytes, got ${stats.size}` : 'not a regular file',
      );
    } catch (error) {
      await handle.close().catch(() => undefined);
      if (error instanceof RangeError) return tooLarge(file.size, error);
      if (systemCode(error) === undefined) throw error;
      return { kind: 'busy', reason: (error as Error).message };
    }
  }

  /** Streams a blob. Blobs never change, so one that is cut short is damaged. */
  async #stream(
    [opened, device]: readonly [FileHandle, number],
    file: FileRecord,
    mode: TransferMode,
    isRing: boolean,
  ): Promise<FileSupply> {
    const { mapFile, allocateFile, clock } = this.#options;
    const ways = { mapFile, allocateFile };
    const whole = { file: opened, size: file.size, device, isUnchanged: () => Promise.resolve(true) };
    const reading = isRing ? ringReadingOf(whole, mode, ways) : await readingOf(whole, mode, ways);
    return new FileSupply({
      reading,
      size: mostBytes(file.size, mode),
      isRing,
      clock: () => clock.now(),
      onFailure: (failure, error) => {
        if (failure === 'changed') this.#damage(file, 'cut short');
        else this.#options.onWarning('a blob could not be read to its end', { file: file.name, reason: String(error) });
      },
    });
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
