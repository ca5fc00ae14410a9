/** A store whose folder is away at the start: on a disk that is not mounted yet, say. Knows its path, and how long to wait. */
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

/** @returns undefined where there is something, or nothing in a folder that is there: then a store can be made. */
async function awayBy(path: string): Promise<string | undefined> {
  const code = await codeOf(stat(path));
  if (code !== 'ENOENT') return code;
  // A link that leads nowhere is no place for a new store.
  return (await codeOf(lstat(path))) === 'ENOENT' ? await codeOf(stat(dirname(path))) : code;
}

/**
 * Waits until there is a store, or the folder that one can be made in.
 *
 * @param signal ends the waiting. @param tryAgainMs for tests; milliseconds between two looks.
 * @returns whether it is there; false: the waiting was ended.
 */
export async function storeArrives(
  path: string,
  signal: AbortSignal,
  onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void,
  tryAgainMs = TRY_AGAIN_MS,
): Promise<boolean> {
  let isTold = false;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- one look after the other.
    const code = await awayBy(path);
    if (code === undefined) return true;
    if (!isTold) onWarning('the folder of the store can not be reached: waiting for it', { store: path, code });
    isTold = true;
    // oxlint-disable-next-line no-await-in-loop -- one look after the other.
    await delay(tryAgainMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return false;
  }
}
