/**
 * Supplies a content that is sent while it is read: reads its file in order, as fast as the disk allows. One reading
 * serves all transfers of the content. Knows bytes and watchers; no files, clients or packets.
 *
 * Either all bytes stay in memory, or a ring holds a part and acknowledged bytes make room; a ring serves a single
 * transfer.
 */
import type { SharedHandle } from '../bytes/shared-bytes.ts';
import type { Reading } from './file-reading.ts';
import type { Supply, SupplyFailure } from './types.ts';

/**
 * Bytes read before any client has acknowledged anything: a request may be forged, and must not cost the disk more.
 * @limit Part of a larger file that is read before a client has acknowledged anything.
 */
export const HEAD_BYTES = 64 * 1024;
/** Bounds of the size of one read in bytes: larger where the disk is fast, smaller where others wait for it. */
const LEAST_READ = 64 * 1024;
const MOST_READ = 1024 * 1024;
/** A read quicker than QUICK_MS doubles the next one; a read slower than SLOW_MS halves it. */
const QUICK_MS = 8;
const SLOW_MS = 64;
/**
 * Cap on the window: a window leaves once all of it has arrived, and with a larger one clients would lose patience with
 * a slow disk.
 * @limit Window while the file is still being read. Shows: `windowsize` in the log.
 */
const MAX_WINDOW_BYTES = 128 * 1024;
/**
 * Memory of a ring: two windows.
 * @limit Ring of a transfer whose file does not fit into memory.
 */
export const RING_BYTES = 256 * 1024;

export interface FileSupplyOptions {
  readonly reading: Reading;
  /** Size in bytes; an upper bound when the bytes are converted. */
  readonly size: number;
  /** True when the bytes go round in the reading's memory. */
  readonly isRing?: boolean;
  /** Monotonic time in milliseconds, from an arbitrary origin. */
  readonly clock: () => number;
  /** Called once with the reason when no more bytes will come. */
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
  /** Number of acknowledged bytes; -1 until a client has acknowledged anything. */
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

  /** The memory of the content; its length is the content's once that is whole. */
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
    // Wrapped, because the same function may be registered twice.
    const told = (): void => tell();
    this.#watchers.add(told);
    return () => this.#watchers.delete(told);
  }

  /**
   * Stops reading and frees everything, at once or when the read in progress has ended. Call when nobody reads the
   * bytes.
   */
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

  /** Number of bytes that may be read now. */
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
        // oxlint-disable-next-line no-await-in-loop -- pieces are read in the order in which they are sent.
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
    // The last byte of a file that changed during the reading must not be sent.
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
