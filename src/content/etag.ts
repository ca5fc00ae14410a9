/** The validators of bytes in shared memory: their entity tag (RFC 9110 §8.8.3). */
import { createHash } from 'node:crypto';
import { attachShared, type MemoryHandle } from '../bytes/shared-bytes.ts';
import type { Validators } from './types.ts';

/** All contents of a handle share one function, because a running transfer keeps its content. */
const KNOWN = new WeakMap<MemoryHandle, () => Validators>();

/** Returns a function for Content.validators. Its first call computes the SHA-256 of the bytes. */
export function validatorsOf(handle: MemoryHandle): () => Validators {
  let validators = KNOWN.get(handle);
  if (validators === undefined) {
    let etag: string | undefined;
    validators = () => {
      etag ??= createHash('sha256').update(attachShared(handle).bytes).digest('hex');
      return { etag };
    };
    KNOWN.set(handle, validators);
  }
  return validators;
}
