/** Computes SHA-256 of files; reading and hashing overlap. Knows bytes, not what they are for. */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { OwnFolder } from './own-folder.ts';

/** Large enough to make the cost of system calls and event-loop turns negligible, small enough for the CPU's caches. */
export const CHUNK_BYTES = 1024 * 1024;

export interface Hashed {
  readonly digest: string;
  readonly size: number;
}

/**
 * Reads `file` from start to end. While one chunk is hashed, the next is being read and, with `write`, the chunk is
 * being written.
 *
 * @param write called for each chunk with its offset.
 * @param signal stops it between two chunks.
 */
export async function hashHandle(
  file: FileHandle,
  write?: (chunk: Buffer, at: number) => Promise<unknown>,
  signal?: AbortSignal,
): Promise<Hashed> {
  const hash = createHash('sha256');
  const { size } = await file.stat();
  // One byte more than the file, to detect its end. A set may have hundreds of small files, so buffers are no larger
  // than needed.
  const room = Math.min(CHUNK_BYTES, size + 1);
  // Three buffers: one being read into, one being hashed, one being written.
  const buffers = [0, 1, 2].map(() => Buffer.allocUnsafeSlow(room));
  let at = 0;
  let writing: Promise<unknown> = Promise.resolve();
  let reading = file.read(buffers[0]!, 0, room, 0);
  try {
    for (let turn = 0; ; turn++) {
      const { bytesRead } = await reading;
      if (bytesRead === 0) break;
      signal?.throwIfAborted();
      const chunk = buffers[turn % 3]!.subarray(0, bytesRead);
      await writing;
      // The write from this buffer, two turns ago, has finished by now.
      reading = file.read(buffers[(turn + 1) % 3]!, 0, room, at + bytesRead);
      writing = write?.(chunk, at) ?? Promise.resolve();
      hash.update(chunk);
      at += bytesRead;
    }
  } finally {
    // Nothing may touch the buffers or the file after the function has returned.
    await Promise.allSettled([reading, writing]);
  }
  await writing;
  return { digest: hash.digest('hex'), size: at };
}

/**
 * Like hashHandle(), and returns the file's mode as well.
 *
 * @throws StoreError when it is not a file, Error with the system's code.
 */
export async function hashFile(folder: OwnFolder, name: string): Promise<Hashed & { readonly mode: number }> {
  const file = await folder.open(name);
  try {
    const { mode } = await file.stat();
    return { ...(await hashHandle(file)), mode: mode & 0o777 };
  } finally {
    await file.close();
  }
}
