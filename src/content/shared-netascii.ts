/** Whole files to netascii, in shared memory. Knows no files. */
import { allocateShared, type SharedHandle } from '../bytes/shared-bytes.ts';
import { NetasciiEncoder, netasciiLength } from '../protocol/netascii.ts';

/**
 * Converts `bytes` (local text, lines end with LF). Takes a few milliseconds per MiB without a pause: callers bound
 * the size.
 *
 * @throws RangeError when the memory is not to be had.
 */
export function shareNetascii(bytes: Uint8Array): SharedHandle {
  const shared = allocateShared(netasciiLength(bytes));
  new NetasciiEncoder().encode(bytes, shared.bytes);
  return shared.handle;
}
