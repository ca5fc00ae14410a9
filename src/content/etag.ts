/** The entity tag of bytes in shared memory (RFC 9110 §8.8.3). */
import { createHash } from 'node:crypto';
import { attachShared, type MemoryHandle } from '../bytes/shared-bytes.ts';

/** Handles share one tag: a text is asked for again and again, and its bytes do not change. */
const TAGS = new WeakMap<MemoryHandle, string>();

/** Returns the SHA-256 of the bytes in hexadecimal digits. Computed once for each handle. */
export function etagOf(handle: MemoryHandle): string {
  let tag = TAGS.get(handle);
  if (tag === undefined) {
    tag = createHash('sha256').update(attachShared(handle).bytes).digest('hex');
    TAGS.set(handle, tag);
  }
  return tag;
}
