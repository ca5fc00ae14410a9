/** Serves content that does not fit into memory as a whole: through a ring, for a single request. */
import { giveUpShared } from '../bytes/shared-bytes.ts';
import type { BufferCache } from './buffer-cache.ts';
import type { HeldBytes, Unloaded } from './buffer-cache-types.ts';
import { type FileSupply, RING_BYTES } from './file-supply.ts';

/** Returns true when the answer failed only for lack of memory. */
export function lacksMemory(answer: HeldBytes | Unloaded): boolean {
  return (
    (answer.kind === 'busy' && answer.isShortOfMemory === true) ||
    (answer.kind === 'denied' && answer.tooLarge === true)
  );
}

/**
 * Reserves a ring in memory, which counts toward the cache's limit.
 *
 * @param open starts reading into RING_BYTES of memory.
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
