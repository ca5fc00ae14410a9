/** What a file of a boot set may be called: what a request from the wire can ask for. Text alone. */
import { cleanName } from '../../content/name.ts';

/** A request has room for 512 bytes; the channel's name and the options share it. */
export const MAX_FILE_NAME_BYTES = 255;

/** @returns what is wrong with the name, as the rest of a line, or undefined. */
export function checkFileName(name: string): string | undefined {
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length > MAX_FILE_NAME_BYTES) return `expected at most ${MAX_FILE_NAME_BYTES} bytes, got ${bytes.length}`;
  // What cleaning changes could not be asked for: backslashes, `..`, control characters, U+00FF at the end.
  if (bytes.toString('utf8') !== name || cleanName(bytes.toString('latin1')) !== name) {
    return 'expected a relative name in UTF-8 without "..", backslashes, drive letters and control characters';
  }
  return undefined;
}
