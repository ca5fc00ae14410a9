/** Reads the token of the HTTP API from a file, and checks who else can read that file. */
import { readFileSync, statSync } from 'node:fs';
import { showValue } from '../text/escape.ts';
import { errorCode } from '../text/error-text.ts';
import { UsageError } from './usage-error.ts';
import { token } from './value-kind.ts';

/** @throws UsageError with a one-line message. */
export function readToken(file: string): string {
  const origin = `apiTokenFile ${showValue(file)}`;
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new UsageError(`${origin}: expected a file with a token, got ${errorCode(error) ?? 'an unreadable file'}`, {
      cause: error,
    });
  }
  if (token.read(text) === undefined) throw new UsageError(`${origin}: expected ${token.expected}`);
  return text;
}

/** Read permission for others (S_IROTH). */
const OTHERS_READ = 0o004;

/**
 * Returns true when every user of this machine may read the file; false when that is unknown (Windows, or the file is
 * missing).
 */
export function isReadByAll(file: string): boolean {
  if (process.platform === 'win32') return false;
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats !== undefined && (stats.mode & OTHERS_READ) !== 0;
}
