/** Shared bytes as the kernel sees them: an address and a length. JavaScript does not read them. */
import { type SharedHandle, type SharedView, attachShared } from '../shared-bytes.ts';
import type { Libc } from './libc.ts';

export interface LinuxView extends SharedView {
  /** The halves of the address; `low` is 0..2^32 - 1, so that adding an offset stays exact. */
  readonly low: number;
  readonly high: number;
}

export function attachAddress(libc: Libc, handle: SharedHandle): LinuxView {
  const { bytes } = attachShared(handle);
  // The view keeps the memory alive for as long as somebody holds it; shared memory is never moved.
  const address = handle.length === 0 ? 0n : libc.address(bytes);
  return { bytes, low: Number(address & 0xffffffffn), high: Number(address >> 32n) };
}
