/**
 * Content that many threads read and none writes: created in the main thread and passed to workers as a handle. Either
 * a SharedArrayBuffer or memory allocated by the system (a mapped file or a copy). Knows no names and no transfers.
 */

/** Handle that is passed between threads; structured clone copies no content. */
export type SharedHandle = MemoryHandle | MappingHandle;

export interface MemoryHandle {
  readonly buffer: SharedArrayBuffer;
  /** Size of the content in bytes. The buffer may be larger. */
  readonly length: number;
}

/**
 * Memory allocated by the system, read by the kernel alone: if a mapped file is truncated, a system call fails with
 * EFAULT, where a read by JavaScript would kill the process.
 */
export interface MappingHandle {
  /** Start of the mapping, the same in every thread of this process. */
  readonly address: bigint;
  /** Size of the content in bytes, at least 1. */
  readonly length: number;
  /** Descriptor of the same bytes, open as long as the mapping; undefined: there is none. */
  readonly fd?: number;
}

/**
 * Memory for a file's bytes, filled piece by piece. Bytes that have not been filled must not be read. Reserving it
 * takes address space; pages are allocated as they are filled.
 */
export interface FileMemory {
  readonly handle: SharedHandle;
  /**
   * Fills memory[at, at + length) with the file's bytes from `position` on. For a mapped file, `at` is equal to
   * `position`.
   *
   * @returns the number of bytes filled, 1 to `length`; 0 when the file ends at `position`. Rejects with the system's
   *   error.
   */
  fill(fd: number, at: number, length: number, position: number): Promise<number>;
  /** Frees the memory. Call once, when nothing reads or fills it any more. */
  free(): void;
}

/** Reserves memory for `length` bytes (1 or more); returns undefined when the system refuses. */
export type AllocateFile = (length: number) => FileMemory | undefined;

/**
 * Maps the first `length` bytes (1 or more) of an open file, which must stay open until all of it has been filled.
 * Resolves with undefined when the system refuses: the caller then reads the bytes.
 */
export type MapFile = (fd: number, length: number) => Promise<FileMemory | undefined>;

/** A handle attached to this thread. Its contents are private to an engine's attach() and its links. */
export interface SharedView {
  /** Size in bytes. */
  readonly length: number;
}

/** View used by engines that pass the bytes to Node.js. */
export interface BytesView extends SharedView {
  readonly bytes: Uint8Array;
}

/** Allocates shared memory of `length` bytes. @throws RangeError when there is not enough memory. */
export function allocateShared(length: number): { handle: MemoryHandle; bytes: Uint8Array } {
  const buffer = new SharedArrayBuffer(length);
  return { handle: { buffer, length }, bytes: new Uint8Array(buffer) };
}

/** Listeners for the bytes of shared buffers that nobody reads any more. */
const giveUpListeners = new Set<(bytes: number) => void>();

/**
 * Calls `listener` with the length of each shared buffer that is given up in this thread. Its pages go back to the system
 * when every thread that has seen the buffer has collected its garbage. V8 does not count shared buffers as garbage that is
 * worth a collection, so the listener has to cause one.
 *
 * @returns a function that ends this.
 */
export function onSharedGivenUp(listener: (bytes: number) => void): () => void {
  giveUpListeners.add(listener);
  return () => giveUpListeners.delete(listener);
}

/** Reports that the content has no reader any more. Does nothing for memory outside shared buffers. */
export function giveUpShared(handle: SharedHandle): void {
  if (!('buffer' in handle)) return;
  for (const listener of giveUpListeners) listener(handle.buffer.byteLength);
}

/** Returns a shared copy of `bytes`. */
export function shareBytes(bytes: Uint8Array): MemoryHandle {
  const shared = allocateShared(bytes.length);
  shared.bytes.set(bytes);
  return shared.handle;
}

/**
 * Returns the bytes of content in shared memory.
 *
 * @throws Error for a mapped file, which only an engine that maps files can send.
 */
export function attachShared(handle: SharedHandle): BytesView {
  if (!('buffer' in handle)) throw new Error('Expected content in shared memory, got content in a mapped file');
  return { bytes: new Uint8Array(handle.buffer, 0, handle.length), length: handle.length };
}
