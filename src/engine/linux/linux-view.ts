/** Shared content as the kernel sees it: an address and a length. JavaScript does not read it. */
import { attachShared, type SharedHandle, type SharedView } from '../../bytes/shared-bytes.ts';
import type { Libc } from './libc.ts';

export interface LinuxView extends SharedView {
  /** The halves of the address; `low` is 0..2^32 - 1, so that adding an offset stays exact. */
  readonly low: number;
  readonly high: number;
  /**
   * Keeps shared memory, which never moves, alive as long as the view is. Mapped files are kept alive by their owner.
   */
  readonly memory: Uint8Array | undefined;
}

/**
 * Views by handle: all readers of a file share one, because looking up its address costs more than the arithmetic of a
 * small transfer.
 */
const VIEWS = new WeakMap<SharedHandle, LinuxView>();

export function attachAddress(libc: Libc, handle: SharedHandle): LinuxView {
  const known = VIEWS.get(handle);
  if (known !== undefined) return known;
  const memory = 'address' in handle ? undefined : attachShared(handle).bytes;
  const address = 'address' in handle ? handle.address : handle.length === 0 ? 0n : libc.address(memory!);
  const view = { length: handle.length, low: Number(address & 0xffffffffn), high: Number(address >> 32n), memory };
  VIEWS.set(handle, view);
  return view;
}
