/** Contents in a buffer cache. */
import type { BufferCache, Lease, Loaded } from '../../src/content/buffer-cache.ts';
import { allocateShared } from '../../src/bytes/shared-bytes.ts';

export async function loaded(bytes: number): Promise<Loaded> {
  return allocateShared(bytes);
}

export async function lease(cache: BufferCache, key: string, bytes: number): Promise<Lease> {
  const result = await cache.acquire(key, () => loaded(bytes), bytes);
  if (result.kind !== 'lease') throw new Error(`${key} was answered ${result.kind}`);
  return result;
}
