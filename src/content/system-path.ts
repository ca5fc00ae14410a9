/** Paths of bytes, one character each, as the system takes and gives them: not every name of a file is a text. */
import { realpath } from 'node:fs/promises';

export function systemPath(bytes: string): Buffer {
  return Buffer.from(bytes, 'latin1');
}

/** Without symbolic links. @throws Error with the system's code. */
export async function realPathOf(path: string): Promise<string> {
  return await realpath(systemPath(path), { encoding: 'latin1' });
}
