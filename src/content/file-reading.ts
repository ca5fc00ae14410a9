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

/** Reads a file's bytes unchanged. */
export class OctetReading implements Reading {
  readonly handle: SharedHandle;
  readonly isUnchanged: () => Promise<boolean>;
  readonly #file: FileHandle;
  readonly #size: number;
  readonly #device: number | bigint;
  readonly #memory: FileMemory;
  #position = 0;
  #isCancelled = false;

  constructor({ file, size, device, isUnchanged }: OpenFile, memory: FileMemory) {
    this.handle = memory.handle;
    this.isUnchanged = isUnchanged;
    this.#file = file;
    this.#size = size;
    this.#device = device;
    this.#memory = memory;
  }

  get isAtEnd(): boolean {
    return this.#position === this.#size;
  }

  async next(at: number, length: number): Promise<number> {
    const most = Math.min(length, this.#size - this.#position);
    const count = await READS.run(this.#device, async () =>
      this.#isCancelled ? 0 : await this.#memory.fill(this.#file.fd, at, most, this.#position),
    );
    this.#position += count;
    return count;
  }

  async close(): Promise<void> {
    await close(this.#file);
  }

  cancel(): void {
    this.#isCancelled = true;
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
  readonly #file: FileHandle;
  readonly #size: number;
  readonly #device: number | bigint;
  readonly #bytes: Uint8Array;
  readonly #encoder = new NetasciiEncoder();
  #position = 0;
  #isCancelled = false;
  /** Bytes read but not yet converted. */
  #text = new Uint8Array(0);

  /** @throws RangeError when there is not enough memory. */
  constructor({ file, size, device, isUnchanged }: OpenFile, length: number) {
    const { handle, bytes } = allocateShared(length);
    this.handle = handle;
    this.isUnchanged = isUnchanged;
    this.#file = file;
    this.#size = size;
    this.#device = device;
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#position === this.#size && this.#text.length === 0 && !this.#encoder.isOwing;
  }

  async next(at: number, length: number): Promise<number> {
    const most = Math.min(length, MOST_CONVERTED);
    if (this.#text.length === 0 && this.#position < this.#size) {
      const into = new Uint8Array(Math.min(most, this.#size - this.#position));
      const bytesRead = await READS.run(this.#device, async () =>
        this.#isCancelled ? 0 : (await this.#file.read(into, { position: this.#position })).bytesRead,
      );
      if (bytesRead === 0) return 0;
      this.#position += bytesRead;
      this.#text = into.subarray(0, bytesRead);
    }
    const written = this.#encoder.encode(this.#text, this.#bytes.subarray(at, at + most));
    this.#text = this.#text.subarray(this.#encoder.read);
    return written;
  }

  async close(): Promise<void> {
    await close(this.#file);
  }

  cancel(): void {
    this.#isCancelled = true;
  }

  free(): void {}
}

/** Ignores errors: nothing was written, so a failing close loses nothing. */
async function close(file: FileHandle): Promise<void> {
  await file.close().catch(() => undefined);
}
