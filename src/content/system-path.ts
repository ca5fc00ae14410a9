/** Conversion of paths (bytes, one character each) for system calls: not every file name is valid text. */
import { realpath } from 'node:fs/promises';

export function systemPath(bytes: string): Buffer {
  return Buffer.from(bytes, 'latin1');
}

/** Returns the path with symbolic links resolved. @throws Error with the system's code. */
export async function realPathOf(path: string): Promise<string> {
  return await realpath(systemPath(path), { encoding: 'latin1' });
}
