/** Contents in a buffer cache. */

import { allocateShared } from '../../src/bytes/shared-bytes.ts';
import type { BufferCache } from '../../src/content/buffer-cache.ts';
import type { HeldBytes, Loaded } from '../../src/content/buffer-cache-types.ts';

export async function loaded(bytes: number): Promise<Loaded> {
  return allocateShared(bytes);
}

export async function hold(cache: BufferCache, key: string, bytes: number): Promise<HeldBytes> {
  const result = await cache.acquire(key, () => loaded(bytes), bytes);
  if (result.kind !== 'held') throw new Error(`${key} was answered ${result.kind}`);
  return result;
}
