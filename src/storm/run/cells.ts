/**
 * Shared memory between the threads of a storm and its main thread: each cell has one writer and is read at any time.
 */

/** Cells of one thread; the counts of nodes in each stage follow them. */
export const CELL = { begun: 0, completed: 1, failed: 2, bytes: 3, client: 4, server: 5 } as const;
const FIXED = Object.keys(CELL).length;
const STOP = 0;
const READY = 1;
/** Two 32-bit words, then the moment of the start. */
const HEADER_BYTES = 16;

export class StormCells {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #start: Float64Array;
  readonly #cells: Float64Array;
  readonly #row: number;

  private constructor(buffer: SharedArrayBuffer, stages: number) {
    this.buffer = buffer;
    this.#row = FIXED + stages;
    this.#words = new Int32Array(buffer, 0, 2);
    this.#start = new Float64Array(buffer, 8, 1);
    this.#cells = new Float64Array(buffer, HEADER_BYTES);
  }

  static allocate(threads: number, stages: number): StormCells {
    return new StormCells(new SharedArrayBuffer(HEADER_BYTES + 8 * threads * (FIXED + stages)), stages);
  }

  static attach(buffer: SharedArrayBuffer, stages: number): StormCells {
    return new StormCells(buffer, stages);
  }

  /** Asks all threads to stop. */
  stop(): void {
    Atomics.store(this.#words, STOP, 1);
  }

  get stopping(): boolean {
    return Atomics.load(this.#words, STOP) !== 0;
  }

  /** Reports that a thread has been loaded. */
  ready(): void {
    Atomics.add(this.#words, READY, 1);
  }

  get threadsReady(): number {
    return Atomics.load(this.#words, READY);
  }

  /** The earliest moment at which a node may be due, by the engine's clock; 0 until all threads are ready. */
  get startAt(): number {
    return this.#start[0]!;
  }

  set startAt(at: number) {
    this.#start[0] = at;
  }

  /** @returns the cells of one thread: see CELL; from `stage(0)` on, the number of nodes in each stage. */
  row(thread: number): Float64Array {
    return this.#cells.subarray(thread * this.#row, (thread + 1) * this.#row);
  }

  /** @returns the index of a stage's cell in a row. */
  static stage(stage: number): number {
    return FIXED + stage;
  }

  /** @returns the sum of a cell over all threads. */
  sum(index: number): number {
    let sum = 0;
    for (let at = index; at < this.#cells.length; at += this.#row) sum += this.#cells[at]!;
    return sum;
  }
}
