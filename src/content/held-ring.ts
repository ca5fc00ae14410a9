/** Content for which there is no memory as a whole: a little of it at a time, for one request alone. */
import { giveUpShared } from '../bytes/shared-bytes.ts';
import type { BufferCache } from './buffer-cache.ts';
import type { HeldBytes, Unloaded } from './buffer-cache-types.ts';
import { type FileSupply, RING_BYTES } from './file-supply.ts';

/** Whether memory is all that something lacked. */
export function lacksMemory(answer: HeldBytes | Unloaded): boolean {
  return (
    (answer.kind === 'busy' && answer.isShortOfMemory === true) ||
    (answer.kind === 'denied' && answer.tooLarge === true)
  );
}

/**
 * A ring in memory that counts for the cache's limit.
 *
 * @param open begins to read into RING_BYTES of memory.
 */
export async function holdRing(
  cache: BufferCache,
  open: () => Promise<FileSupply | Unloaded>,
): Promise<HeldBytes | Unloaded> {
  const giveBack = cache.hold(RING_BYTES);
  if (typeof giveBack !== 'function') return giveBack;
  let supply: FileSupply | Unloaded | undefined;
  try {
    supply = await open();
  } finally {
    if (supply === undefined || 'kind' in supply) giveBack();
  }
  if ('kind' in supply) return supply;
  const ring = supply;
  let isReleased = false;
  const release = (): void => {
    if (isReleased) return;
    isReleased = true;
    ring.stop();
    giveUpShared(ring.handle);
    giveBack();
  };
  return { kind: 'held', handle: ring.handle, supply: ring, release };
}
