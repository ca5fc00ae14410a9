/**
 * Waits for a store whose folder is missing at the start, for example on a disk that is not mounted yet. Knows its path
 * and the interval between checks.
 */
import { lstat, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { errorCode } from '../text/error-text.ts';

const TRY_AGAIN_MS = 5000;

async function codeOf(look: Promise<unknown>): Promise<string | undefined> {
  try {
    await look;
    return undefined;
  } catch (error) {
    return errorCode(error) ?? 'unreadable';
  }
}

/**
 * @returns undefined when the path exists, or can be created in an existing folder; otherwise the system's error code.
 */
async function awayBy(path: string): Promise<string | undefined> {
  const code = await codeOf(stat(path));
  if (code !== 'ENOENT') return code;
  // A dangling link is no place for a new store.
  return (await codeOf(lstat(path))) === 'ENOENT' ? await codeOf(stat(dirname(path))) : code;
}

/**
 * Waits until the store exists, or the folder that it can be created in.
 *
 * @param signal ends the wait.
 * @param tryAgainMs interval between checks in milliseconds, for tests.
 * @returns true when it exists; false when the wait was ended.
 */
export async function storeArrives(
  path: string,
  signal: AbortSignal,
  onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void,
  tryAgainMs = TRY_AGAIN_MS,
): Promise<boolean> {
  let isTold = false;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- one check after the other.
    const code = await awayBy(path);
    if (code === undefined) return true;
    if (!isTold) onWarning('the folder of the store cannot be reached: waiting for it', { store: path, code });
    isTold = true;
    // oxlint-disable-next-line no-await-in-loop -- one check after the other.
    await delay(tryAgainMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return false;
  }
}
