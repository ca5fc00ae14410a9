/**
 * Reads a file that a person named: credentials, certificate authorities. A pipe, a device or a huge file in its place
 * must neither block nor fill the memory. Knows no contents.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { quote, StoreError } from '../boot-set/store/store-error.ts';
import { errorCode } from '../text/error-text.ts';

/** @limit Size of a file with credentials or authorities for registries. Shows: an error message. */
const MAX_FILE_BYTES = 1024 * 1024;

export interface SmallFile {
  readonly text: string;
  /** Permission bits. */
  readonly mode: number;
}

/**
 * @param what the expected contents, for messages.
 * @param isOptional true when the file may be missing.
 * @returns undefined when an optional file is missing.
 * @throws StoreError when it can't be read.
 */
export function readSmallFile(path: string, what: string, isOptional = false): SmallFile | undefined {
  let fd: number;
  try {
    // O_NONBLOCK: opening a pipe must not block.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (isOptional && errorCode(error) === 'ENOENT') return undefined;
    throw new StoreError(
      `${quote(path)}: expected a file with ${what}, got ${errorCode(error) ?? 'an unreadable one'}`,
    );
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile() || stats.size > MAX_FILE_BYTES) {
      throw new StoreError(`${quote(path)}: expected a file with ${what}, of at most ${MAX_FILE_BYTES} bytes`);
    }
    return { text: readFileSync(fd, 'utf8'), mode: stats.mode & 0o777 };
  } finally {
    closeSync(fd);
  }
}
