/** Slow storage below a server's reads: real disks can be paced only with devices of their own. */
import { read } from 'node:fs';
import type { AllocateFile, FileMemory } from '../../src/index.ts';

/** Memory shared by threads, for engines that allocate none. */
export const sharedFiles: AllocateFile = (length) => {
  const bytes = new Uint8Array(new SharedArrayBuffer(length));
  return {
    handle: { buffer: bytes.buffer, length },
    fill: (fd, at, wanted, position) =>
      new Promise((resolve, reject) => {
        read(fd, bytes, at, wanted, position, (error, count) => (error === null ? resolve(count) : reject(error)));
      }),
    free: () => {},
  };
};

/** Number of bytes that Linux reads ahead on its own. */
const READ_AHEAD_BYTES = 128 * 1024;

/**
 * Provides a fixed rate to all readers together, one read after the other. A file read in order is partly read ahead.
 */
export class PacedStorage {
  bytesRead = 0;
  readonly #bytesPerS: number;
  #freeAt = 0;

  constructor(bytesPerS: number) {
    this.#bytesPerS = bytesPerS;
  }

  pace(allocate: AllocateFile): AllocateFile {
    return (length) => {
      const memory = allocate(length);
      if (memory === undefined) return undefined;
      return { ...memory, fill: (...where) => this.#fill(memory, where) };
    };
  }

  async #fill(memory: FileMemory, [fd, at, length, position]: Parameters<FileMemory['fill']>): Promise<number> {
    const now = performance.now();
    const aheadMs = position === 0 ? 0 : (READ_AHEAD_BYTES / this.#bytesPerS) * 1000;
    this.#freeAt = Math.max(this.#freeAt, now - aheadMs) + (length / this.#bytesPerS) * 1000;
    const doneAt = this.#freeAt;
    await new Promise((resolve) => setTimeout(resolve, doneAt - now));
    const count = await memory.fill(fd, at, length, position);
    this.bytesRead += count;
    return count;
  }
}
