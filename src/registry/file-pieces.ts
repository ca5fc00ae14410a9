/** Reads a part of a file in pieces, for a request body or a hash. Knows bytes alone. */
import type { FileHandle } from 'node:fs/promises';
import { StoreError } from '../boot-set/store/store-error.ts';

const READ_BYTES = 256 * 1024;

/** @param end offset behind the part, in bytes. @throws StoreError when the file ends before. */
export async function* filePieces(file: FileHandle, from: number, end: number): AsyncGenerator<Buffer> {
  for (let at = from; at < end; ) {
    // oxlint-disable-next-line no-await-in-loop -- a stream.
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(READ_BYTES, end - at)), 0, undefined, at);
    if (bytesRead === 0) throw new StoreError('expected a blob that does not change while it is read', false);
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
