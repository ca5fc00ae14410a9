/**
 * Counts kept as packets go: cells in shared memory, one row per thread. Each row has one writer; readers may be a
 * few packets behind. Float64 cells count exactly to 2^53 and are written in one piece.
 */

export const PACKET_COUNTERS = [
  'dataSent',
  'dataBytesSent',
  'received',
  'malformed',
  'retransmits',
  'stale',
  'receiveDrops',
  'sendDrops',
  'segmentFallbacks',
] as const;
export type PacketCounter = (typeof PACKET_COUNTERS)[number];

/** The columns of a row. */
export const COUNTER = {
  dataSent: 0,
  dataBytesSent: 1,
  received: 2,
  malformed: 3,
  retransmits: 4,
  stale: 5,
  receiveDrops: 6,
  sendDrops: 7,
  segmentFallbacks: 8,
} as const satisfies Record<PacketCounter, number>;

/** Rows are a cache line apart, so that two threads never write to the same one. */
const ROW = 16;

export function allocateCounters(rows: number): SharedArrayBuffer {
  return new SharedArrayBuffer(rows * ROW * Float64Array.BYTES_PER_ELEMENT);
}

export function counterRow(buffer: SharedArrayBuffer, row: number): Float64Array {
  return new Float64Array(buffer, row * ROW * Float64Array.BYTES_PER_ELEMENT, ROW);
}

/** The sums over all rows. */
export function sumCounters(buffer: SharedArrayBuffer): Record<PacketCounter, number> {
  const cells = new Float64Array(buffer);
  const sums = Object.fromEntries(PACKET_COUNTERS.map((name) => [name, 0])) as Record<PacketCounter, number>;
  for (let row = 0; row < cells.length; row += ROW) {
    for (const name of PACKET_COUNTERS) sums[name] += cells[row + COUNTER[name]]!;
  }
  return sums;
}
