/** Converts whole files to netascii, in shared memory. Knows no files. */
import { allocateShared, type MemoryHandle } from '../bytes/shared-bytes.ts';
import { NetasciiEncoder, netasciiLength } from '../protocol/netascii.ts';

/**
 * Converts `bytes` (local text with LF line ends) in one go. Takes a few milliseconds per MiB, so callers must bound
 * the size.
 *
 * @throws RangeError when there is not enough memory.
 */
export function shareNetascii(bytes: Uint8Array): MemoryHandle {
  const shared = allocateShared(netasciiLength(bytes));
  new NetasciiEncoder().encode(bytes, shared.bytes);
  return shared.handle;
}
