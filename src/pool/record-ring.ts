/**
 * Records of a fixed size in a ring of shared memory, from one thread to another: what a message would carry, without
 * a message's copy and garbage. One thread writes, one reads. Knows words; not what they mean.
 */

/** The ring's own words: how many records were written, how many were read, and whether the reader has been woken. */
const WRITTEN = 0;
const READ = 1;
const WOKEN = 2;
/** Each of them has a cache line to itself. */
const LINE = 16;
const HEAD = 3 * LINE;

export interface RingShape {
  /** A power of two. */
  readonly records: number;
  /** Words of 32 bits in a record, an even number. */
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
  /** What this thread has written, or read: the other one's count is asked for only when that is not enough. */
  #written = 0;
  #read = 0;

  constructor(buffer: SharedArrayBuffer, { records, words }: RingShape) {
    this.words = new Int32Array(buffer);
    this.bytes = new Uint8Array(buffer);
    this.floats = new Float64Array(buffer);
    this.#records = records;
    this.#recordWords = words;
  }

  /** @returns where the next record may be written, as an index of `words`; -1 when the ring is full. */
  claim(): number {
    if (this.#written - this.#read === this.#records) {
      this.#read += (Atomics.load(this.words, READ * LINE) - this.#read) | 0;
      if (this.#written - this.#read === this.#records) return -1;
    }
    return HEAD + (this.#written & (this.#records - 1)) * this.#recordWords;
  }

  /** Hands over the record that was claimed. */
  publish(): void {
    this.#written++;
    Atomics.store(this.words, WRITTEN * LINE, this.#written | 0);
  }

  /** Writer: whether the reader is to be woken. False while it has not taken note of the last time. */
  wakes(): boolean {
    return Atomics.exchange(this.words, WOKEN * LINE, 1) === 0;
  }

  /** Reader: takes note of having been woken. Call before reading, so that no record is left unseen. */
  awake(): void {
    Atomics.store(this.words, WOKEN * LINE, 0);
  }

  /** @returns where the oldest unread record is, as an index of `words`; -1 when there is none. */
  peek(): number {
    if (this.#written === this.#read) {
      this.#written += (Atomics.load(this.words, WRITTEN * LINE) - this.#written) | 0;
      if (this.#written === this.#read) return -1;
    }
    return HEAD + (this.#read & (this.#records - 1)) * this.#recordWords;
  }

  /** Reader: how many records it has not read. */
  get unread(): number {
    return (Atomics.load(this.words, WRITTEN * LINE) - this.#read) | 0;
  }

  /** Gives the place of the record that was read back to the writer. */
  release(): void {
    this.#read++;
    Atomics.store(this.words, READ * LINE, this.#read | 0);
  }
}
