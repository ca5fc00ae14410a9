/**
 * Orders and reports as records of a ring (record-ring.ts): the meaning of each word. A worker gets numbers alone: the
 * address of the content in the memory of the process, and the descriptor to use.
 */
import type { TransferReport } from '../engine/report.ts';
import type { Place } from '../engine/types.ts';
import { MAX_CONTROL } from '../protocol/encode.ts';
import type { Rollover } from '../protocol/block.ts';
import { OUTCOMES } from '../session/session.ts';
import type { TransferOrder } from './pool.ts';
import type { RecordRing, RingShape } from './record-ring.ts';

/** Times are 64-bit numbers: a server runs for more milliseconds than 31 bits hold. */
const REQUESTED_AT = 18;
const OPENED_AT = 20;
const OPENING_AT = 22;
export const ORDERS: RingShape = {
  /** @limit Orders on their way to one worker. Shows: `reveille_transfers_queued`. */
  records: 4096,
  words: OPENING_AT + MAX_CONTROL / 4,
};

const STARTED_AT = 12;
const ERROR_TEXT_AT = 14;
/** TransferReport.errorText has at most 128 characters of ASCII. */
const MAX_ERROR_TEXT = 128;
const FAULT_AT = ERROR_TEXT_AT + MAX_ERROR_TEXT / 4;
/** A fault is a stack trace; its first lines say what happened. */
const MAX_FAULT_BYTES = 480;
export const REPORTS: RingShape = { records: 4096, words: FAULT_AT + MAX_FAULT_BYTES / 4 };

const TWO_32 = 0x1_0000_0000;
const NONE = -1;

/** An order as a worker reads it: its content is an address in memory. */
export type PlacedOrder = Omit<TransferOrder, 'content'> & { readonly place: Place };

/** Writes an order. @param place address of the order's content. @returns false when the ring is full. */
export function writeOrder(ring: RecordRing, order: TransferOrder, place: Place): boolean {
  const at = ring.claim();
  if (at < 0) return false;
  const { words } = ring;
  const { plan, port, opening } = order;
  words[at] = order.slot;
  words[at + 1] = port?.fd ?? NONE;
  words[at + 2] = port?.peerWord ?? 0;
  words[at + 3] = port?.addressWord ?? 0;
  ring.floats[(at + REQUESTED_AT) >> 1] = order.requestedAt;
  ring.floats[(at + OPENED_AT) >> 1] = order.openedAt ?? Number.NaN;
  words[at + 4] = plan.arrived ?? NONE;
  words[at + 5] = order.ringBytes;
  words[at + 6] = place.low;
  words[at + 7] = place.high;
  words[at + 8] = plan.size % TWO_32;
  words[at + 9] = Math.floor(plan.size / TWO_32);
  words[at + 10] = plan.blksize;
  words[at + 11] = plan.windowsize;
  words[at + 12] = plan.rollover;
  words[at + 13] = plan.timeoutMs;
  words[at + 14] = plan.seed;
  words[at + 15] = plan.patienceMs;
  words[at + 16] = opening?.length ?? NONE;
  if (opening !== undefined) ring.bytes.set(opening, (at + OPENING_AT) * 4);
  ring.publish();
  return true;
}

function orNothing(time: number): number | undefined {
  return Number.isNaN(time) ? undefined : time;
}

const NOBODY = { address: '', port: 0 };

/** Reads an order. @param at index from ring.peek(). */
export function readOrder({ words, bytes, floats }: RecordRing, at: number): PlacedOrder {
  const word = (index: number): number => words[at + index]!;
  const openingLength = word(16);
  const opening = (at + OPENING_AT) * 4;
  const size = (word(8) >>> 0) + word(9) * TWO_32;
  return {
    slot: word(0),
    // The port knows both ends.
    local: '',
    peer: NOBODY,
    port: { fd: word(1), peerWord: word(2), addressWord: word(3) },
    requestedAt: floats[(at + REQUESTED_AT) >> 1]!,
    openedAt: orNothing(floats[(at + OPENED_AT) >> 1]!),
    ringBytes: word(5),
    place: { low: word(6) >>> 0, high: word(7) >>> 0, length: size },
    plan: {
      size,
      blksize: word(10),
      windowsize: word(11),
      rollover: word(12) as Rollover,
      timeoutMs: word(13),
      oack: openingLength !== NONE,
      seed: word(14),
      patienceMs: word(15),
      arrived: word(4) === NONE ? undefined : word(4),
    },
    opening: openingLength === NONE ? undefined : bytes.slice(opening, opening + openingLength),
  };
}

/** Writes a report. @returns false when the ring is full. */
export function writeReport(ring: RecordRing, slot: number, report: TransferReport): boolean {
  const at = ring.claim();
  if (at < 0) return false;
  const { words } = ring;
  words[at] = slot;
  words[at + 1] = OUTCOMES.indexOf(report.outcome);
  ring.floats[(at + STARTED_AT) >> 1] = report.startedAt ?? Number.NaN;
  words[at + 3] = report.durationMs;
  words[at + 4] = report.blocks;
  words[at + 5] = report.bytes % TWO_32;
  words[at + 6] = Math.floor(report.bytes / TWO_32);
  words[at + 7] = report.retransmits;
  words[at + 8] = report.stale;
  words[at + 9] = report.timeouts;
  words[at + 10] = report.errorCode ?? NONE;
  const faultBytes = report.fault === undefined ? undefined : utf8.encode(report.fault.slice(0, MAX_FAULT_BYTES / 4));
  words[at + 11] = (report.errorText.length << 16) | (faultBytes === undefined ? 0xffff : faultBytes.length);
  for (let index = 0; index < report.errorText.length && index < MAX_ERROR_TEXT; index++) {
    ring.bytes[(at + ERROR_TEXT_AT) * 4 + index] = report.errorText.charCodeAt(index);
  }
  if (faultBytes !== undefined) ring.bytes.set(faultBytes, (at + FAULT_AT) * 4);
  ring.publish();
  return true;
}

const utf8 = new TextEncoder();

function textAt(bytes: Uint8Array, at: number, length: number): string {
  // Decodes a copy: TextDecoder does not accept shared memory.
  return length === 0 ? '' : new TextDecoder().decode(bytes.slice(at, at + length));
}

export function slotOfReport({ words }: RecordRing, at: number): number {
  return words[at]!;
}

export function readReport({ words, bytes, floats }: RecordRing, at: number): TransferReport {
  const word = (index: number): number => words[at + index]!;
  const faultLength = word(11) & 0xffff;
  return {
    outcome: OUTCOMES[word(1)]!,
    startedAt: orNothing(floats[(at + STARTED_AT) >> 1]!),
    durationMs: word(3),
    blocks: word(4),
    bytes: (word(5) >>> 0) + word(6) * TWO_32,
    retransmits: word(7),
    stale: word(8),
    timeouts: word(9),
    errorCode: word(10) === NONE ? undefined : word(10),
    errorText: textAt(bytes, (at + ERROR_TEXT_AT) * 4, word(11) >>> 16),
    fault: faultLength === 0xffff ? undefined : textAt(bytes, (at + FAULT_AT) * 4, faultLength),
  };
}
