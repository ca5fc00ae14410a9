/**
 * Content that many threads read and none writes: made once in the main thread, handed to workers by handle. Either
 * a SharedArrayBuffer, or memory of the system's (a mapped file, a copy of one). Knows no names and no transfers.
 */

/** What crosses threads. Survives structured clone without a copy. */
export type SharedHandle = MemoryHandle | MappingHandle;

export interface MemoryHandle {
  readonly buffer: SharedArrayBuffer;
  /** Bytes of content. The buffer may be larger: a SharedArrayBuffer of 0 bytes is legal, so it need not be. */
  readonly length: number;
}

/**
 * Memory of the system's. Only the kernel reads it: if a mapped file is cut short, a system call fails with EFAULT
 * where a read by JavaScript would end the process.
 */
export interface MappingHandle {
  /** Where the mapping begins, in every thread of this process. */
  readonly address: bigint;
  /** Bytes of content, at least 1. */
  readonly length: number;
}

/**
 * Memory for a file's bytes, filled piece by piece. What has not been filled must not be read. Reserving it takes address
 * space; pages are taken as they are filled.
 */
export interface FileMemory {
  readonly handle: SharedHandle;
  /**
   * Fills memory[at, at + length) with the file's bytes from `position` on. In a mapped file, `at` is `position`.
   *
   * @returns how many have come, 1 to `length`; 0 where the file ends at `position`. Rejects with the system's error.
   */
  fill(fd: number, at: number, length: number, position: number): Promise<number>;
  /** Call once, when nobody reads it any more and nothing fills it. */
  free(): void;
}

/** Reserves memory for `length` bytes (1 or more); undefined where the system would not. */
export type AllocateFile = (length: number) => FileMemory | undefined;

/**
 * Maps the first `length` bytes (1 or more) of an open file, which must stay open until all of it has been filled.
 * Resolves with undefined where the system would not: the caller reads the bytes then.
 */
export type MapFile = (fd: number, length: number) => Promise<FileMemory | undefined>;

/** A handle made readable in this thread. What it holds is between an engine's attach() and its links. */
export interface SharedView {
  /** Bytes. */
  readonly length: number;
}

/** The view of engines that hand the bytes to Node.js. */
export interface BytesView extends SharedView {
  readonly bytes: Uint8Array;
}

/** Shared memory for `length` bytes, and the way to fill it. @throws RangeError when the memory is not to be had. */
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

/** Says that nobody reads the content any more. Does nothing for memory of the system's. */
export function giveUpShared(handle: SharedHandle): void {
  if (!('buffer' in handle)) return;
  for (const listener of giveUpListeners) listener(handle.buffer.byteLength);
}

/** A shared copy of `bytes`. */
export function shareBytes(bytes: Uint8Array): MemoryHandle {
  const shared = allocateShared(bytes.length);
  shared.bytes.set(bytes);
  return shared.handle;
}

/** @throws Error for a mapped file: only an engine that maps files can send them. */
export function attachShared(handle: SharedHandle): BytesView {
  if (!('buffer' in handle)) throw new Error('Expected content in shared memory, got a mapped file');
  return { bytes: new Uint8Array(handle.buffer, 0, handle.length), length: handle.length };
}
