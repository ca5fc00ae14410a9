/**
 * A content that is sent while it is read: pieces of its file in order, as fast as the disk gives them. One reading,
 * however many send it. Knows bytes and their watchers; not files, clients or packets.
 *
 * Either all of it stays, or it goes round in a ring and the acknowledged part makes room: for one that sends it alone.
 */
import type { SharedHandle } from '../bytes/shared-bytes.ts';
import type { Reading } from './file-reading.ts';
import type { Supply, SupplyFailure } from './types.ts';

/** Read before anybody has acknowledged anything: a request may be forged, and should not cost a disk more. */
export const HEAD_BYTES = 64 * 1024;
/** Bytes of one read: more where the disk is fast, fewer where others wait for it. */
const LEAST_READ = 64 * 1024;
const MOST_READ = 1024 * 1024;
/** A read that is quicker makes the next one larger, one that is slower smaller. */
const QUICK_MS = 8;
const SLOW_MS = 64;
/** A window leaves when all of it has arrived: with a larger one, clients would lose patience with a slow disk. */
const MAX_WINDOW_BYTES = 128 * 1024;
/** Memory of a content that does not stay: two windows. */
export const RING_BYTES = 256 * 1024;

export interface FileSupplyOptions {
  readonly reading: Reading;
  /** Bytes in all; at most so many, where they are converted. */
  readonly size: number;
  /** Whether it goes round in the reading's memory. */
  readonly isRing?: boolean;
  /** Milliseconds since some moment; never steps back. */
  readonly clock: () => number;
  /** Told, once, why no more comes. */
  readonly onFailure?: ((failure: SupplyFailure, error: unknown) => void) | undefined;
}

export class FileSupply implements Supply {
  arrived = 0;
  isWhole = false;
  failure: SupplyFailure | undefined;
  size: number;
  ringBytes: number;
  readonly maxWindowBytes = MAX_WINDOW_BYTES;
  readonly #reading: Reading;
  readonly #isRing: boolean;
  readonly #clock: () => number;
  readonly #onFailure: FileSupplyOptions['onFailure'];
  readonly #watchers = new Set<() => void>();
  /** Bytes acknowledged; -1 until somebody has acknowledged anything. */
  #acknowledged = -1;
  #readBytes = LEAST_READ;
  #isReading = false;
  #isStopped = false;

  constructor({ reading, size, isRing = false, clock, onFailure }: FileSupplyOptions) {
    this.#reading = reading;
    this.#isRing = isRing;
    this.ringBytes = isRing ? reading.handle.length : 0;
    this.size = size;
    this.#clock = clock;
    this.#onFailure = onFailure;
    if (!isRing) this.#go();
  }

  /** The memory that it comes into, as long as the content once that is whole. */
  get handle(): SharedHandle {
    const { handle } = this.#reading;
    return this.isWhole && !this.#isRing && 'buffer' in handle ? { ...handle, length: this.size } : handle;
  }

  cut(blksize: number): void {
    if (!this.#isRing) return;
    const { length } = this.#reading.handle;
    this.ringBytes = length - (length % blksize);
    this.#go();
  }

  acknowledge(bytes: number): void {
    if (bytes <= this.#acknowledged) return;
    this.#acknowledged = bytes;
    this.#go();
  }

  watch(tell: () => void): () => void {
    // A function of its own: the same one may be given twice.
    const told = (): void => tell();
    this.#watchers.add(told);
    return () => this.#watchers.delete(told);
  }

  /** Reads no more, and gives everything back, at once or when the read under way has ended. Call when nobody reads it. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#reading.cancel();
    if (!this.#isReading) this.#giveBack();
  }

  #giveBack(): void {
    this.#reading.free();
    void this.#reading.close();
  }

  get #isOver(): boolean {
    return this.isWhole || this.failure !== undefined || this.#isStopped;
  }

  /** Bytes that may be read now. */
  get #room(): number {
    if (this.#isOver) return 0;
    if (this.#acknowledged < 0) return HEAD_BYTES - this.arrived;
    return this.#isRing ? this.#acknowledged + this.ringBytes - this.arrived : Number.POSITIVE_INFINITY;
  }

  #go(): void {
    if (this.#isReading || this.#room <= 0) return;
    this.#isReading = true;
    void this.#read().finally(() => {
      this.#isReading = false;
      if (this.#isStopped) this.#giveBack();
      else this.#go();
    });
  }

  async #read(): Promise<void> {
    try {
      for (let room = this.#room; room > 0; room = this.#room) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other, as they are sent.
        await this.#readPiece(room);
      }
    } catch (error) {
      this.#fail('unreadable', error);
    }
  }

  async #readPiece(room: number): Promise<void> {
    const at = this.ringBytes === 0 ? this.arrived : this.arrived % this.ringBytes;
    const toEnd = this.ringBytes === 0 ? this.size - this.arrived : this.ringBytes - at;
    const begunAt = this.#clock();
    const count = await this.#reading.next(at, Math.min(this.#readBytes, room, toEnd));
    if (this.#isStopped) return;
    const { isAtEnd } = this.#reading;
    // Nobody may send the last byte of a file that was changed while it was read.
    if (count === 0 || (isAtEnd && !(await this.#reading.isUnchanged()))) return this.#fail('changed', undefined);
    if (this.#isStopped) return;
    this.#adapt(this.#clock() - begunAt);
    this.arrived += count;
    if (isAtEnd) {
      this.size = this.arrived;
      this.isWhole = true;
      void this.#reading.close();
    }
    this.#tell();
  }

  #adapt(tookMs: number): void {
    if (tookMs < QUICK_MS) this.#readBytes = Math.min(MOST_READ, this.#readBytes * 2);
    else if (tookMs > SLOW_MS) this.#readBytes = Math.max(LEAST_READ, this.#readBytes / 2);
  }

  #fail(failure: SupplyFailure, error: unknown): void {
    this.failure = failure;
    void this.#reading.close();
    this.#onFailure?.(failure, error);
    this.#tell();
  }

  #tell(): void {
    for (const tell of this.#watchers) tell();
  }
}
