/**
 * Content that many threads read and none writes: made once in the main thread, handed to workers by handle. Here
 * it is a SharedArrayBuffer; another engine may hold an address. Knows no files and no transfers.
 */

/** What crosses threads. Survives structured clone without a copy. */
export interface SharedHandle {
  readonly buffer: SharedArrayBuffer;
  /** Bytes of content. The buffer may be larger: a SharedArrayBuffer of 0 bytes is legal, so it need not be. */
  readonly length: number;
}

/** A handle made readable in this thread. */
export interface SharedView {
  readonly bytes: Uint8Array;
}

/** Shared memory for `length` bytes, and the way to fill it. @throws RangeError when the memory is not to be had. */
export function allocateShared(length: number): { handle: SharedHandle; bytes: Uint8Array } {
  const buffer = new SharedArrayBuffer(length);
  return { handle: { buffer, length }, bytes: new Uint8Array(buffer) };
}

/** A shared copy of `bytes`. */
export function shareBytes(bytes: Uint8Array): SharedHandle {
  const shared = allocateShared(bytes.length);
  shared.bytes.set(bytes);
  return shared.handle;
}

export function attachShared(handle: SharedHandle): SharedView {
  return { bytes: new Uint8Array(handle.buffer, 0, handle.length) };
}
