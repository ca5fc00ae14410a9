/**
 * Records of a fixed size in a ring of shared memory, from one thread to another: they carry what a message would,
 * without its copy and garbage. One thread writes, one reads. Knows words, not their meaning.
 */

/** Control words of the ring: records written, records read, and whether the reader has been woken. */
const WRITTEN = 0;
const READ = 1;
const WOKEN = 2;
/** Words in a cache line: each control word has one to itself. */
const LINE = 16;
const HEAD = 3 * LINE;

export interface RingShape {
  /** Records in the ring, a power of two. */
  readonly records: number;
  /** 32-bit words in a record, an even number. */
  readonly words: number;
}

export function allocateRing({ records, words }: RingShape): SharedArrayBuffer {
  return new SharedArrayBuffer((HEAD + records * words) * Int32Array.BYTES_PER_ELEMENT);
}

export class RecordRing {
  /** The whole ring: records are written and read in place. */
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly floats: Float64Array;
  readonly #records: number;
  readonly #recordWords: number;
  /** This thread's view of both counts; the other thread's count is loaded only when the view runs out. */
  #written = 0;
  #read = 0;

  constructor(buffer: SharedArrayBuffer, { records, words }: RingShape) {
    this.words = new Int32Array(buffer);
    this.bytes = new Uint8Array(buffer);
    this.floats = new Float64Array(buffer);
    this.#records = records;
    this.#recordWords = words;
  }

  /** @returns the index in `words` at which to write the next record; -1 when the ring is full. */
  claim(): number {
    if (this.#written - this.#read === this.#records) {
      this.#read += (Atomics.load(this.words, READ * LINE) - this.#read) | 0;
      if (this.#written - this.#read === this.#records) return -1;
    }
    return HEAD + (this.#written & (this.#records - 1)) * this.#recordWords;
  }

  /** Hands the claimed record to the reader. */
  publish(): void {
    this.#written++;
    Atomics.store(this.words, WRITTEN * LINE, this.#written | 0);
  }

  /** Called by the writer. @returns whether to wake the reader: false while it has yet to notice the last wake. */
  wakes(): boolean {
    return Atomics.exchange(this.words, WOKEN * LINE, 1) === 0;
  }

  /** Called by the reader to note that it is awake. Call it before reading, so that no record is missed. */
  awake(): void {
    Atomics.store(this.words, WOKEN * LINE, 0);
  }

  /** @returns the index in `words` of the oldest unread record; -1 when all are read. */
  peek(): number {
    if (this.#written === this.#read) {
      this.#written += (Atomics.load(this.words, WRITTEN * LINE) - this.#written) | 0;
      if (this.#written === this.#read) return -1;
    }
    return HEAD + (this.#read & (this.#records - 1)) * this.#recordWords;
  }

  /** Number of records the reader has yet to read. */
  get unread(): number {
    return (Atomics.load(this.words, WRITTEN * LINE) - this.#read) | 0;
  }

  /** Returns the place of the record just read to the writer. */
  release(): void {
    this.#read++;
    Atomics.store(this.words, READ * LINE, this.#read | 0);
  }
}
