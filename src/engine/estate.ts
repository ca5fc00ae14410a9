/**
 * The list of the descriptors and mappings that a thread holds, which nothing frees when it dies, and the places of
 * datagrams that it has received and not handled. The thread keeps the list in memory shared with the main thread, which
 * settles it after the thread has exited. Knows numbers; no system calls.
 */

/** Where a thread's io_uring has its completions and its received datagrams; addresses of the process. */
export interface RingPlace {
  readonly rings: number;
  readonly ringsLength: number;
  /** Indexes of 32-bit words in the rings: both ends of the completions, and the first of them. */
  readonly head: number;
  readonly tail: number;
  readonly entries: number;
  /** Number of completions less 1, a power of two less 1. */
  readonly mask: number;
  /** The first received datagram. */
  readonly buffers: number;
}

/** The datagrams of a shared socket that a thread received last. */
export interface BatchPlace {
  /** Address of the ReceiveRing's memory. */
  readonly memory: number;
  readonly fd: number;
  /** The first slot that has not been delivered. */
  readonly next: number;
  readonly count: number;
}

const RING_FIELDS = ['rings', 'ringsLength', 'head', 'tail', 'entries', 'mask', 'buffers'] as const;
const RING_AT = 0;
const BATCH_AT = RING_AT + RING_FIELDS.length;
const NEXT_AT = BATCH_AT + 2;
/**
 * @limit Descriptors, and mappings, of a worker thread that are freed if it dies; an idle worker has some ten, one that warms up some forty. Shows:
 * `process_open_fds`.
 */
const ROOM = 64;
const FDS_AT = BATCH_AT + 4;
const MAPS_AT = FDS_AT + ROOM;

/** Numbers are 64-bit floats, which hold every address of a process. */
const CELLS = MAPS_AT + 2 * ROOM;

/** Returns memory for the lists of this many threads. */
export function allocateEstates(rows: number): SharedArrayBuffer {
  return new SharedArrayBuffer(rows * CELLS * Float64Array.BYTES_PER_ELEMENT);
}

export class Estate {
  readonly #cells: Float64Array;

  /** @param shared from allocateEstates. @param row the thread's number: one list for each. */
  constructor(shared: SharedArrayBuffer, row: number) {
    this.#cells = new Float64Array(shared, row * CELLS * Float64Array.BYTES_PER_ELEMENT, CELLS);
  }

  /** Empties the list. */
  clear(): void {
    this.#cells.fill(0);
  }

  /** Call when the thread has opened a descriptor. */
  addFd(fd: number): void {
    this.#replace(FDS_AT, 1, 0, fd + 1);
  }

  /** Call before the thread closes a descriptor, whose number may be reused at once. */
  removeFd(fd: number): void {
    this.#replace(FDS_AT, 1, fd + 1, 0);
  }

  addMapping(address: number, length: number): void {
    const at = this.#replace(MAPS_AT, 2, 0, address);
    if (at >= 0) this.#cells[at + 1] = length;
  }

  removeMapping(address: number): void {
    this.#replace(MAPS_AT, 2, address, 0);
  }

  set ring(place: RingPlace | undefined) {
    for (const [index, field] of RING_FIELDS.entries()) this.#cells[RING_AT + index] = place?.[field] ?? 0;
  }

  get ring(): RingPlace | undefined {
    if (this.#cells[RING_AT] === 0) return undefined;
    return Object.fromEntries(
      RING_FIELDS.map((field, index) => [field, this.#cells[RING_AT + index]!]),
    ) as unknown as RingPlace;
  }

  /** Notes that a batch has been received, of which nothing has been delivered. See BatchPlace. */
  receives(memory: number, fd: number, count: number): void {
    this.#cells[BATCH_AT] = memory;
    this.#cells[BATCH_AT + 1] = fd;
    this.#cells[NEXT_AT] = 0;
    this.#cells[BATCH_AT + 3] = count;
  }

  /** Call before each datagram of the batch is delivered: one that the thread dies of is not delivered again. */
  delivers(): void {
    this.#cells[NEXT_AT]!++;
  }

  /** Call before the memory of the batch is freed. */
  forgetBatch(): void {
    this.#cells[BATCH_AT] = 0;
  }

  /** Datagrams that have not been delivered; undefined: there are none. */
  get batch(): BatchPlace | undefined {
    const [memory, fd, next, count] = this.#cells.subarray(BATCH_AT, FDS_AT) as unknown as [
      number,
      number,
      number,
      number,
    ];
    return memory === 0 || next >= count ? undefined : { memory, fd, next, count };
  }

  get fds(): number[] {
    return [...this.#cells.subarray(FDS_AT, MAPS_AT)].filter((stored) => stored !== 0).map((stored) => stored - 1);
  }

  get mappings(): { readonly address: number; readonly length: number }[] {
    return Array.from({ length: ROOM }, (_, index) => MAPS_AT + 2 * index)
      .map((at) => ({ address: this.#cells[at]!, length: this.#cells[at + 1]! }))
      .filter(({ address }) => address !== 0);
  }

  /** Replaces the first such value in a list. @returns its index; -1 if there is none. */
  #replace(from: number, step: number, value: number, by: number): number {
    for (let at = from; at < from + ROOM * step; at += step) {
      if (this.#cells[at] !== value) continue;
      this.#cells[at] = by;
      return at;
    }
    return -1;
  }
}
