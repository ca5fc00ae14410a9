/**
 * The content that nodes should receive: the files of one directory, or of several versions, in shared memory for all
 * threads. Read before the storm begins; the server under test never sees it.
 */
import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { BootPlan } from '../plan/plan.ts';

/** Position of a file in its version's buffer, in bytes. */
interface Place {
  readonly offset: number;
  readonly length: number;
}

export interface ExpectedVersion {
  readonly name: string;
  readonly buffer: SharedArrayBuffer;
  readonly files: ReadonlyMap<string, Place>;
}

/**
 * Sets of versions are kept as bits of an integer.
 * @limit Versions compared. Shows: an error message.
 */
export const MAX_VERSIONS = 31;
/** V8 makes no larger buffer on Node.js 20. */
const MAX_BYTES = 4 * 1024 ** 3 - 65_536;

/** A directory that cannot be compared with. The message is one line. */
export class ExpectedError extends Error {
  override readonly name = 'ExpectedError';
}

/** @returns the name as a path below a directory: `\`, doubled and leading slashes count as one `/`, as on servers. */
export function pathOf(filename: string): string {
  return filename
    .replaceAll('\\', '/')
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

function readInto(path: string, into: Uint8Array): void {
  const fd = openSync(path, 'r');
  try {
    if (fstatSync(fd).size !== into.length)
      throw new ExpectedError(`${path}: expected a file that does not change while it is read`);
    for (let at = 0; at < into.length; ) {
      const count = readSync(fd, into, at, into.length - at, at);
      if (count === 0) throw new ExpectedError(`${path}: expected a file that does not change while it is read`);
      at += count;
    }
  } finally {
    closeSync(fd);
  }
}

/** Loads the files of one directory. @param names as nodes ask for them; names without a file are skipped. */
function loadVersion(name: string, directory: string, names: Iterable<string>): ExpectedVersion {
  const files = new Map<string, Place>();
  let total = 0;
  for (const asked of names) {
    const path = pathOf(asked);
    if (path === '' || path.split('/').includes('..') || files.has(path)) continue;
    const stats = statSync(join(directory, path), { throwIfNoEntry: false });
    if (stats?.isFile() !== true) continue;
    files.set(path, { offset: total, length: stats.size });
    total += stats.size;
  }
  if (total > MAX_BYTES) throw new ExpectedError(`${directory}: expected at most 4 GiB to compare with, got ${total}`);
  const buffer = new SharedArrayBuffer(total);
  for (const [path, { offset, length }] of files) {
    readInto(join(directory, path), new Uint8Array(buffer, offset, length));
  }
  return { name, buffer, files };
}

/**
 * Loads the directory given to `--verify` (one version) or `--versions` (each subdirectory is one version).
 *
 * @throws ExpectedError, in one line, when there is nothing to compare with.
 */
export function loadExpected(
  directory: string,
  kind: 'verify' | 'versions',
  names: ReadonlySet<string>,
): ExpectedVersion[] {
  const stats = statSync(directory, { throwIfNoEntry: false });
  if (stats?.isDirectory() !== true) throw new ExpectedError(`--${kind}: expected a directory, got ${directory}`);
  if (kind === 'verify') return [loadVersion('', directory, names)];
  const entries = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  if (entries.length === 0 || entries.length > MAX_VERSIONS) {
    throw new ExpectedError(
      `--versions: expected 1 to ${MAX_VERSIONS} subdirectories in ${directory}, one for each version, got ${entries.length}`,
    );
  }
  return entries.map((entry) => loadVersion(entry.name, join(directory, entry.name), names));
}

/**
 * @returns the bytes that a node fetches from power-on to the end of its boot, by the first version; undefined where
 * the size of a file is not known. Names that contain variables are taken not to exist.
 */
export function bytesOfBoot(plan: BootPlan, versions: readonly ExpectedVersion[] = []): number | undefined {
  let sum = 0;
  for (const { search, size, repeat, optional, closeAfterBlocks } of plan.stages) {
    const found = search
      .map((name) => versions[0]?.files.get(pathOf(name))?.length)
      .find((length) => length !== undefined);
    const length = closeAfterBlocks === undefined ? (found ?? size ?? (optional ? 0 : undefined)) : undefined;
    if (length === undefined) return undefined;
    sum += length * repeat;
  }
  return sum;
}

/** One version as a thread reads it. */
interface Readable {
  readonly bytes: Buffer;
  readonly files: ReadonlyMap<string, Place>;
}

/** All versions, as one thread sees them. */
export class Expectation {
  readonly #versions: readonly Readable[];

  constructor(versions: readonly ExpectedVersion[]) {
    this.#versions = versions.map(({ buffer, files }) => ({ bytes: Buffer.from(buffer), files }));
  }

  /** The set of all versions, as bits. */
  get all(): number {
    return 2 ** this.#versions.length - 1;
  }

  /** @returns undefined when no version has the file, so that there is nothing to compare with. */
  check(filename: string): FileCheck | undefined {
    const path = pathOf(filename);
    const places = this.#versions.map(({ files }) => files.get(path));
    return places.some((place) => place !== undefined)
      ? new FileCheck(
          this.#versions.map(({ bytes }) => bytes),
          places,
        )
      : undefined;
  }
}

/** Compares one download, while it arrives, with every version of its file. */
export class FileCheck {
  readonly #bytes: readonly Buffer[];
  readonly #places: readonly (Place | undefined)[];
  #candidates = 0;
  #wrongAt = -1;

  constructor(bytes: readonly Buffer[], places: readonly (Place | undefined)[]) {
    this.#bytes = bytes;
    this.#places = places;
    for (const [version, place] of places.entries()) if (place !== undefined) this.#candidates |= 1 << version;
  }

  /** Offset of the first byte that no version has; -1 while every byte has matched. */
  get wrongAt(): number {
    return this.#wrongAt;
  }

  /** Compares bytes[start, end), which belong at `offset` of the file. */
  feed(bytes: Uint8Array, start: number, end: number, offset: number): void {
    const length = end - start;
    for (let left = this.#candidates; left !== 0; left &= left - 1) {
      const version = 31 - Math.clz32(left & -left);
      const place = this.#places[version]!;
      const from = place.offset + offset;
      const fits = offset + length <= place.length;
      if (fits && this.#bytes[version]!.compare(bytes, start, end, from, from + length) === 0) continue;
      this.#candidates &= ~(1 << version);
      if (this.#candidates === 0) this.#wrongAt = offset;
    }
  }

  /**
   * @returns the versions that are equal to the whole download, as bits; 0 when it is wrong. @param length bytes of the
   * download.
   */
  end(length: number): number {
    for (const [version, place] of this.#places.entries()) {
      if (place?.length !== length) this.#candidates &= ~(1 << version);
    }
    if (this.#candidates === 0 && this.#wrongAt < 0) this.#wrongAt = length;
    return this.#candidates;
  }
}
