/**
 * The memory of the table of transfers: a header, a cell for each slot (state-cells.ts), a record for each slot
 * (transfer-table.ts). The region comes from outside: shared by the threads of a process, or mapped by one process
 * after another. Knows sizes and places; not what a cell or a record means.
 */

/** "RVLT" in memory. */
const MAGIC = 0x544c5652;
/** Raise it with every change of the header, of a cell, of a record, or of the meaning of a word in them. */
const LAYOUT = 2;

/** Words of the header, which takes the place of one cell. */
export const HEADER = {
  /** Counts wishes in cells: see StateCells.ring. */
  doorbell: 0,
  magic: 1,
  layout: 2,
  slots: 3,
  cellWords: 4,
  recordWords: 5,
  /** The number last given to a thread that runs transfers. */
  owners: 6,
  /** The serial number last given to a record. */
  serials: 7,
  /** Zero of the clock by which times in the table are given, as CLOCK_MONOTONIC in ms: a 64-bit float. */
  clockZero: 8,
} as const;

/** Int32 words in a cell: a cache line, so that neighbors on different workers do not share one. */
export const CELL_WORDS = 16;
/** Int32 words in a record. */
export const RECORD_WORDS = 128;

/** Index of a slot's cell in the words of the region. */
export function cellAt(slot: number): number {
  return (slot + 1) * CELL_WORDS;
}

/** Index of a slot's record in the words of the region. */
export function recordAt(slots: number, slot: number): number {
  return cellAt(slots) + slot * RECORD_WORDS;
}

/** Size of a region in bytes. Only what is used takes memory: pages that nothing has written to are none. */
export function tableBytes(slots: number): number {
  return recordAt(slots, slots) * Int32Array.BYTES_PER_ELEMENT;
}

/**
 * Prepares a region for a new table. @param region tableBytes(slots) bytes, all zero. @param clockZero see HEADER: in
 * ms, CLOCK_MONOTONIC less the clock by which times are given.
 */
export function formatTable(region: ArrayBufferLike, slots: number, clockZero: number): void {
  const words = new Int32Array(region);
  words[HEADER.layout] = LAYOUT;
  words[HEADER.slots] = slots;
  words[HEADER.cellWords] = CELL_WORDS;
  words[HEADER.recordWords] = RECORD_WORDS;
  new Float64Array(region)[HEADER.clockZero >> 1] = clockZero;
  // Last: a region with the magic number is complete.
  Atomics.store(words, HEADER.magic, MAGIC);
}

/** Returns a new table's region, shared by the threads of this process. See formatTable. */
export function allocateTable(slots: number, clockZero = 0): SharedArrayBuffer {
  const region = new SharedArrayBuffer(tableBytes(slots));
  formatTable(region, slots, clockZero);
  return region;
}

/** Returns why a region that another process has left can't be used; undefined when it can. */
export function tableMistake(region: ArrayBufferLike): string | undefined {
  if (region.byteLength < tableBytes(0)) return `expected a table of transfers, got ${region.byteLength} bytes`;
  const words = new Int32Array(region, 0, CELL_WORDS);
  if (Atomics.load(words, HEADER.magic) !== MAGIC) return 'expected a table of transfers, got other bytes';
  const [layout, slots] = [words[HEADER.layout]!, words[HEADER.slots]!];
  if (layout !== LAYOUT || words[HEADER.cellWords] !== CELL_WORDS || words[HEADER.recordWords] !== RECORD_WORDS) {
    return `expected a table of layout ${LAYOUT}, got layout ${layout}`;
  }
  return slots >= 0 && region.byteLength >= tableBytes(slots)
    ? undefined
    : `expected ${tableBytes(slots)} bytes for ${slots} transfers, got ${region.byteLength}`;
}

/** Number of slots of a formatted region. */
export function slotsOf(words: Int32Array): number {
  return words[HEADER.slots]!;
}
