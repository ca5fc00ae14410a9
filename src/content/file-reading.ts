/**
 * Reads an open file into memory piece by piece, as octets or as netascii. Knows a descriptor and a place in memory;
 * not how fast, how far or for whom to read.
 */
import type { FileHandle } from 'node:fs/promises';
import { allocateShared, type FileMemory, type SharedHandle } from '../bytes/shared-bytes.ts';
import { NetasciiEncoder } from '../protocol/netascii.ts';
import { READS } from './disk-turns.ts';

export interface Reading {
  /** The memory that is being filled. */
  readonly handle: SharedHandle;
  /** True when the last byte has been read. */
  readonly isAtEnd: boolean;
  /**
   * Reads the next bytes, at most `length` (1 or more), into memory from `at` on. Calls must not overlap.
   *
   * @returns the number of bytes; 0 when the file ends before its size. Rejects with the system's error.
   */
  next(at: number, length: number): Promise<number>;
  /** @returns true when the file is the same as when it was opened. */
  isUnchanged(): Promise<boolean>;
  /** Closes the file. Further calls do nothing. */
  close(): Promise<void>;
  /** Skips a read that still waits for its turn at the disk; it counts as 0 bytes. */
  cancel(): void;
  /** Frees the memory. Call once, when nobody reads it. */
  free(): void;
}

/** The open file of a reading. */
export interface OpenFile {
  readonly file: FileHandle;
  /** Size in bytes, 1 or more. */
  readonly size: number;
  /** Device number of its disk. */
  readonly device: number | bigint;
  readonly isUnchanged: () => Promise<boolean>;
}

/** Allocates memory shared by all threads. @throws RangeError when there is not enough memory. */
export function sharedFileMemory(file: FileHandle, length: number): FileMemory {
  const { handle, bytes } = allocateShared(length);
  return {
    handle,
    fill: async (_, at, wanted, position) => {
      const { bytesRead } = await file.read(bytes.subarray(at, at + wanted), { position });
      return bytesRead;
    },
    free: () => {},
  };
}

/** The open file of a reading, and how far it has been read. */
class FilePosition {
  readonly file: FileHandle;
  readonly #size: number;
  readonly #device: number | bigint;
  #position = 0;
  #isCancelled = false;

  constructor({ file, size, device }: OpenFile) {
    this.file = file;
    this.#size = size;
    this.#device = device;
  }

  get isAtEnd(): boolean {
    return this.#position === this.#size;
  }

  /**
   * Reads on when the disk has a turn. After cancel() nothing is read.
   *
   * @param length bytes wanted, 1 or more.
   * @param read reads at most that many from a position, and returns how many.
   */
  async readOn(length: number, read: (length: number, position: number) => Promise<number>): Promise<number> {
    const most = Math.min(length, this.#size - this.#position);
    const count = await READS.run(this.#device, async () => (this.#isCancelled ? 0 : await read(most, this.#position)));
    this.#position += count;
    return count;
  }

  cancel(): void {
    this.#isCancelled = true;
  }

  /** Ignores errors: nothing was written, so a failing close loses nothing. */
  async close(): Promise<void> {
    await this.file.close().catch(() => undefined);
  }
}

/** Reads a file's bytes unchanged. */
export class OctetReading implements Reading {
  readonly handle: SharedHandle;
  readonly isUnchanged: () => Promise<boolean>;
  readonly #source: FilePosition;
  readonly #memory: FileMemory;

  constructor(opened: OpenFile, memory: FileMemory) {
    this.handle = memory.handle;
    this.isUnchanged = opened.isUnchanged;
    this.#source = new FilePosition(opened);
    this.#memory = memory;
  }

  get isAtEnd(): boolean {
    return this.#source.isAtEnd;
  }

  next(at: number, length: number): Promise<number> {
    // The descriptor is looked up when the turn has come: by then the file may be closed, and the number another file's.
    const read = (most: number, position: number): Promise<number> =>
      this.#memory.fill(this.#source.file.fd, at, most, position);
    return this.#source.readOn(length, read);
  }

  close(): Promise<void> {
    return this.#source.close();
  }

  cancel(): void {
    this.#source.cancel();
  }

  free(): void {
    this.#memory.free();
  }
}

/** Cap on bytes converted in one go, which takes about half a millisecond. */
const MOST_CONVERTED = 64 * 1024;

/** Converts a text file to netascii (RFC 764): at most two bytes for each of the file's. */
export class NetasciiReading implements Reading {
  readonly handle: SharedHandle;
  readonly isUnchanged: () => Promise<boolean>;
  readonly #source: FilePosition;
  readonly #bytes: Uint8Array;
  readonly #encoder = new NetasciiEncoder();
  /** Bytes read but not yet converted. */
  #text = new Uint8Array(0);

  /** @throws RangeError when there is not enough memory. */
  constructor(opened: OpenFile, length: number) {
    const { handle, bytes } = allocateShared(length);
    this.handle = handle;
    this.isUnchanged = opened.isUnchanged;
    this.#source = new FilePosition(opened);
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#source.isAtEnd && this.#text.length === 0 && !this.#encoder.isOwing;
  }

  async next(at: number, length: number): Promise<number> {
    const most = Math.min(length, MOST_CONVERTED);
    if (this.#text.length === 0 && !this.#source.isAtEnd) {
      const into = new Uint8Array(most);
      const count = await this.#source.readOn(most, async (wanted, position) => {
        const { bytesRead } = await this.#source.file.read(into, { length: wanted, position });
        return bytesRead;
      });
      if (count === 0) return 0;
      this.#text = into.subarray(0, count);
    }
    const written = this.#encoder.encode(this.#text, this.#bytes.subarray(at, at + most));
    this.#text = this.#text.subarray(this.#encoder.read);
    return written;
  }

  close(): Promise<void> {
    return this.#source.close();
  }

  cancel(): void {
    this.#source.cancel();
  }

  free(): void {}
}
