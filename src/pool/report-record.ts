/**
 * Orders and reports as records of a ring (record-ring.ts): the meaning of each word. An order is a slot: everything
 * else is in the table of transfers.
 */
import type { TransferReport } from '../engine/report.ts';
import { OPCODE } from '../protocol/opcode.ts';
import { OUTCOMES } from '../session/session.ts';
import type { RecordRing, RingShape } from './record-ring.ts';

/** An order on its way to a worker: the slot of a transfer, whose record is in the table. */
export const ORDERS: RingShape = {
  /** @limit Orders on their way to one worker. Shows: `reveille_transfers_queued`. */
  records: 4096,
  words: 2,
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

/** How a worker begins with the transfer of an order. */
export interface OrderTerms {
  /** True if another worker had the transfer. */
  readonly isResumed: boolean;
  /** An ACK or ERROR that the other worker has received and not handled; of an ERROR its code alone. */
  readonly unread: Uint8Array | undefined;
}

export const BEGIN: OrderTerms = { isResumed: false, unread: undefined };

/** Values of an order's second word, besides opcode and number of the unread packet, which are more. */
const BEGINS = 0;
const RESUMES = 1;

/** Writes an order. @returns false when the ring is full. */
export function writeOrder(ring: RecordRing, slot: number, { isResumed, unread }: OrderTerms): boolean {
  const at = ring.claim();
  if (at < 0) return false;
  ring.words[at] = slot;
  ring.words[at + 1] = unread === undefined ? (isResumed ? RESUMES : BEGINS) : packed(unread);
  ring.publish();
  return true;
}

/** Tells whether an order has room for a packet: an ACK or an ERROR. */
export function isPackable(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0 && (bytes[1] === OPCODE.ACK || bytes[1] === OPCODE.ERROR);
}

/** Opcode and number of a packet. */
function packed(bytes: Uint8Array): number {
  return (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!;
}

function unpacked(word: number): Uint8Array {
  const header = [0, word >> 16, (word >> 8) & 0xff, word & 0xff];
  // The text of an ERROR ends in a zero.
  return Uint8Array.from(word >> 16 === OPCODE.ERROR ? [...header, 0] : header);
}

/** Reads an order. @param at index from ring.peek(). */
export function slotOfOrder({ words }: RecordRing, at: number): number {
  return words[at]!;
}

export function termsOfOrder({ words }: RecordRing, at: number): OrderTerms {
  const word = words[at + 1]!;
  return word === BEGINS ? BEGIN : { isResumed: true, unread: word === RESUMES ? undefined : unpacked(word) };
}

function orNothing(time: number): number | undefined {
  return Number.isNaN(time) ? undefined : time;
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
