/**
 * Records between two threads, tested with the two ends taking turns: in order, none lost, none visible before it is
 * published.
 */
import { describe, expect, it } from 'vitest';
import type { TransferReport } from '../../src/engine/report.ts';
import { allocateRing, RecordRing } from '../../src/pool/record-ring.ts';
import {
  BEGIN,
  isPackable,
  ORDERS,
  readReport,
  REPORTS,
  slotOfOrder,
  slotOfReport,
  termsOfOrder,
  writeOrder,
  writeReport,
} from '../../src/pool/report-record.ts';
import { Random } from '../support/random.ts';

const SHAPE = { records: 8, words: 4 };

function ends(shape = SHAPE): [writer: RecordRing, reader: RecordRing] {
  const buffer = allocateRing(shape);
  return [new RecordRing(buffer, shape), new RecordRing(buffer, shape)];
}

describe('a ring of records', () => {
  it('carries every record once and in order, however the two ends take turns', () => {
    const random = new Random(5);
    const [writer, reader] = ends();
    let written = 0;
    let read = 0;
    const heldWhenFull = new Set<number>();
    const heldWhenEmpty = new Set<number>();
    while (read < 10_000) {
      for (let count = random.between(0, 10); count > 0; count--) {
        const at = writer.claim();
        if (at < 0) {
          heldWhenFull.add(written - read);
          break;
        }
        writer.words[at + 1] = written++;
        writer.publish();
      }
      expect(reader.unread).toBe(written - read);
      for (let count = random.between(0, 10); count > 0; count--) {
        const at = reader.peek();
        if (at < 0) {
          heldWhenEmpty.add(written - read);
          break;
        }
        expect(reader.words[at + 1]).toBe(read++);
        reader.release();
      }
    }
    expect([...heldWhenFull]).toEqual([SHAPE.records]);
    expect([...heldWhenEmpty]).toEqual([0]);
  });

  it('shows no record that was claimed but not published', () => {
    const [writer, reader] = ends();
    writer.claim();
    expect(reader.peek()).toBe(-1);
    writer.publish();
    expect(reader.peek()).toBeGreaterThanOrEqual(0);
  });

  it('wakes its reader once, and again after the reader has acknowledged that', () => {
    const [writer, reader] = ends();
    expect([writer.wakes(), writer.wakes(), writer.wakes()]).toEqual([true, false, false]);
    reader.awake();
    expect([writer.wakes(), writer.wakes()]).toEqual([true, false]);
  });
});

const REPORT: TransferReport = {
  outcome: 'clientError',
  startedAt: 3_000_000_000,
  durationMs: 12,
  blocks: 7,
  bytes: 5_000_000_000,
  retransmits: 1,
  stale: 2,
  timeouts: 3,
  errorCode: 3,
  errorText: 'Disk full',
  fault: undefined,
};

describe('a report', () => {
  it.each<[string, Partial<TransferReport>]>([
    ['as it is', {}],
    ['of a transfer that never had a link', { startedAt: undefined, outcome: 'aborted', fault: 'Ünreachable\n  at x' }],
    ['without an ERROR', { errorCode: undefined, errorText: '' }],
    ['with the longest text', { errorText: 'x'.repeat(128) }],
    ['with ERROR 0', { errorCode: 0, errorText: '' }],
  ])('leaves a ring as it entered it: %s', (_, change) => {
    const [writer, reader] = ends(REPORTS);
    const report = { ...REPORT, ...change };
    expect(writeReport(writer, 70_000, report)).toBe(true);
    const at = reader.peek();
    expect(slotOfReport(reader, at)).toBe(70_000);
    expect(readReport(reader, at)).toEqual(report);
  });

  it('has a fault of any length cut to what there is room for', () => {
    const [writer, reader] = ends(REPORTS);
    writeReport(writer, 1, { ...REPORT, fault: '€'.repeat(10_000) });
    expect(readReport(reader, reader.peek()).fault).toMatch(/^€{100,200}$/);
  });
});

describe('an order', () => {
  it('finds the ring full after as many unread orders as it has records', () => {
    const [writer, reader] = ends(ORDERS);
    for (let slot = 0; slot < ORDERS.records; slot++) expect(writeOrder(writer, slot, BEGIN)).toBe(true);
    expect(writeOrder(writer, 0, BEGIN)).toBe(false);
    for (let slot = 0; slot < ORDERS.records; slot++) {
      expect(slotOfOrder(reader, reader.peek())).toBe(slot);
      reader.release();
    }
    expect(reader.peek()).toBe(-1);
  });

  it.each([
    ['begins', BEGIN],
    ['goes on', { isResumed: true, unread: undefined }],
    ['goes on from an ACK', { isResumed: true, unread: Uint8Array.of(0, 4, 0xff, 0xfe) }],
    ['goes on from ACK 0', { isResumed: true, unread: Uint8Array.of(0, 4, 0, 0) }],
    ['ends by an ERROR', { isResumed: true, unread: Uint8Array.of(0, 5, 0, 8, 0) }],
  ])('carries its terms: the transfer %s', (_, terms) => {
    const [writer, reader] = ends(ORDERS);
    writeOrder(writer, 70_000, terms);
    expect(termsOfOrder(reader, reader.peek())).toEqual(terms);
  });

  it('carries an ACK or an ERROR, and nothing else that a client may send', () => {
    const packets = [[0, 4, 1, 2], [0, 5, 0, 0, 88, 0], [0, 3, 0, 1], [0, 4, 1], [1, 4, 1, 2], []];
    expect(packets.map((bytes) => isPackable(Uint8Array.from(bytes)))).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });
});
