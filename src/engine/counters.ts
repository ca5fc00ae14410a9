/**
 * Counters updated for each packet: cells in shared memory, one row per thread. Each row has one writer; readers may be
 * a few packets behind. Float64 cells count exactly to 2^53 and are written atomically. A row holds the packet
 * counters, then failed sends by errno, then the thread's vitals, then the histograms of latencies.ts.
 */
import {
  LATENCIES,
  LATENCY_BOUNDS,
  LATENCY_CELLS,
  type Latency,
  LatencyHistogram,
  type LatencyCounts,
  addLatency,
} from './latencies.ts';
import { SEND_ERRNOS, type SendErrno } from './send-errors.ts';

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
  'dataRetransmitted',
  'duplicateAcks',
  'dataReceived',
] as const;
export type PacketCounter = (typeof PACKET_COUNTERS)[number];

/** Columns of the packet counters in a row. */
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
  dataRetransmitted: 9,
  duplicateAcks: 10,
  dataReceived: 11,
} as const satisfies Record<PacketCounter, number>;

/** A thread's vitals, which are not summed. */
export const VITALS = ['transfers', 'cpuSeconds', 'eventLoopDelayMs'] as const;
export type Vital = (typeof VITALS)[number];

/** First columns of the other groups. */
const SEND_ERRORS_AT = PACKET_COUNTERS.length;
const VITALS_AT = SEND_ERRORS_AT + SEND_ERRNOS.length;
const LATENCIES_AT = VITALS_AT + VITALS.length;
const COLUMNS = LATENCIES_AT + LATENCIES.length * LATENCY_CELLS;
/** Rows are padded to whole cache lines, so that two threads never write to the same one. */
const LINE = 8;
const ROW = Math.ceil(COLUMNS / LINE) * LINE;

export function allocateCounters(rows: number): SharedArrayBuffer {
  return new SharedArrayBuffer(rows * ROW * Float64Array.BYTES_PER_ELEMENT);
}

export function counterRow(buffer: SharedArrayBuffer, row: number): Float64Array {
  return new Float64Array(buffer, row * ROW * Float64Array.BYTES_PER_ELEMENT, ROW);
}

/** Returns a row's column for failed sends. */
export function sendErrorColumn(errno: SendErrno): number {
  return SEND_ERRORS_AT + SEND_ERRNOS.indexOf(errno);
}

export function vitalColumn(vital: Vital): number {
  return VITALS_AT + VITALS.indexOf(vital);
}

/** Returns a histogram over a row's cells of one latency, for writing. */
export function latencyOf(row: Float64Array, latency: Latency): LatencyHistogram {
  const at = LATENCIES_AT + LATENCIES.indexOf(latency) * LATENCY_CELLS;
  return new LatencyHistogram(LATENCY_BOUNDS[latency], row.subarray(at, at + LATENCY_CELLS));
}

/** Returns the sums over all rows. */
export function sumCounters(buffer: SharedArrayBuffer): Record<PacketCounter, number> {
  return sumColumns(buffer, PACKET_COUNTERS, 0);
}

export function sumSendErrors(buffer: SharedArrayBuffer): Record<SendErrno, number> {
  return sumColumns(buffer, SEND_ERRNOS, SEND_ERRORS_AT);
}

export function sumLatencies(buffer: SharedArrayBuffer): Record<Latency, LatencyCounts> {
  const cells = new Float64Array(buffer);
  const sums = LATENCIES.map((latency, index) => {
    const sum = new Float64Array(LATENCY_CELLS);
    for (let at = LATENCIES_AT + index * LATENCY_CELLS; at < cells.length; at += ROW) addLatency(sum, cells, at);
    return [latency, new LatencyHistogram(LATENCY_BOUNDS[latency], sum).counts()];
  });
  return Object.fromEntries(sums) as Record<Latency, LatencyCounts>;
}

function sumColumns<T extends string>(
  buffer: SharedArrayBuffer,
  names: readonly T[],
  first: number,
): Record<T, number> {
  const cells = new Float64Array(buffer);
  const sums = Object.fromEntries(names.map((name) => [name, 0])) as Record<T, number>;
  for (let row = first; row < cells.length; row += ROW) {
    for (let column = 0; column < names.length; column++) sums[names[column]!] += cells[row + column]!;
  }
  return sums;
}
