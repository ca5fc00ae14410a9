/** The table of transfers: what one thread or process writes, another reads, at whatever instant the first has died. */
import { describe, expect, it } from 'vitest';
import type { TransferOrder } from '../../src/pool/pool.ts';
import { TRANSFER_STATE } from '../../src/pool/state-cells.ts';
import { allocateTable, formatTable, HEADER, tableBytes, tableMistake } from '../../src/pool/table-region.ts';
import { TransferTable } from '../../src/pool/transfer-table.ts';

const order: Omit<TransferOrder, 'content'> = {
  slot: 3,
  local: '192.168.100.200',
  localPort: 50_000,
  peer: { address: 'fe80::1234:5678:9abc:def0%enp0s31f6', port: 65_535 },
  port: { fd: 17, peerWord: 0x12340002, addressWord: -1 },
  requestedAt: 3_000_000_001,
  openedAt: 3_000_000_002,
  ringBytes: 0,
  plan: {
    size: 6_000_000_000,
    blksize: 65_464,
    windowsize: 65_535,
    rollover: 1,
    timeoutMs: 255_000,
    oack: true,
    seed: 0x7fffffff,
    mayMeetOldAcks: false,
    patienceMs: 1_530_000,
    arrived: undefined,
  },
  opening: Uint8Array.from({ length: 230 }, (_, index) => index),
};
const place = { low: 0xfffff000, high: 0x7fff, length: order.plan.size };
/** An order as it is read: its port has the serial number as its token. */
const recorded = (given: Omit<TransferOrder, 'content'>, serial: number): object => ({
  ...given,
  serial,
  place,
  port: given.port === undefined ? undefined : { ...given.port, token: serial },
});
const content = { buffer: new SharedArrayBuffer(0), length: 0 };

describe('a record of the table', () => {
  it.each<[string, Partial<TransferOrder>]>([
    ['as it is', {}],
    ['without an OACK', { opening: undefined, plan: { ...order.plan, oack: false } }],
    ['whose first reply the worker sends', { openedAt: undefined }],
    ['without a port', { port: undefined, localPort: undefined }],
    ['at a port that many share', { port: { ...order.port!, shared: 'wildcard' } }],
    ['at a port that many share, bound to one address', { port: { ...order.port!, shared: 'bound' } }],
    ['whose client may have had the port before', { plan: { ...order.plan, mayMeetOldAcks: true } }],
    ['of a file that is still being read', { plan: { ...order.plan, arrived: 0 } }],
    ['of a file that goes round in memory', { ringBytes: 262_144, plan: { ...order.plan, arrived: 2 ** 31 - 1 } }],
  ])('is read as it was written, by another view of the region: %s', (_, change) => {
    const region = allocateTable(5);
    const given = { ...order, ...change };
    const serial = new TransferTable(region).write({ ...given, content }, place);
    const reader = new TransferTable(region);
    expect(reader.read(3)).toEqual(recorded(given, serial));
    expect([0, 1, 2, 4].map((slot) => reader.read(slot))).toEqual([undefined, undefined, undefined, undefined]);
  });

  it('is none after its transfer has ended, nor while it is written: what was begun has no serial number yet', () => {
    const table = new TransferTable(allocateTable(4));
    const first = table.write({ ...order, content }, place);
    expect(() => table.write({ ...order, content, opening: new Uint8Array(400) }, place)).toThrow(
      'Expected an OACK of at most 288 bytes, got 400',
    );
    expect(table.read(3)).toBeUndefined();
    const second = table.write({ ...order, content }, place);
    expect([table.read(3)?.serial, second - first]).toEqual([second, 1]);
    table.clear(3);
    expect(table.read(3)).toBeUndefined();
  });

  it('does not touch the cells', () => {
    const table = new TransferTable(allocateTable(4));
    for (let slot = 0; slot < 4; slot++) table.cells.reset(slot, TRANSFER_STATE.queued, 7 + slot);
    table.write({ ...order, content }, place);
    table.write({ ...order, slot: 0, content }, place);
    expect([0, 1, 2, 3].map((slot) => table.cells.silence(slot, 100))).toEqual([93, 92, 91, 90]);
    expect(table.cells.state(3)).toBe(TRANSFER_STATE.queued);
  });
});

describe('a transfer', () => {
  it('is had by one thread at a time', () => {
    const region = allocateTable(2);
    const [one, other] = [new TransferTable(region), new TransferTable(region)];
    const [first, second] = [one.newOwner(), other.newOwner()];
    expect(first).not.toBe(second);
    one.cells.reset(1, TRANSFER_STATE.unproven, 0);
    expect([one.cells.take(1, first), other.cells.take(1, second)]).toEqual([true, false]);
    expect(other.cells.owner(1)).toBe(first);
    expect(other.cells.release(1, second)).toBe(false);
    expect(other.cells.release(1, first)).toBe(true);
    expect([other.cells.take(1, second), one.cells.take(1, first)]).toEqual([true, false]);
    one.cells.reset(1, TRANSFER_STATE.unproven, 0);
    expect(one.cells.owner(1)).toBe(0);
  });
});

describe('a region from another process', () => {
  const changed = (word: number, value: number): ArrayBufferLike => {
    const region = allocateTable(3);
    new Int32Array(region)[word] = value;
    return region;
  };

  it.each<[string, ArrayBufferLike]>([
    ['of the right size', allocateTable(3)],
    ['larger than the table', changed(HEADER.slots, 2)],
  ])('is used if it holds a table: %s', (_, region) => {
    expect(tableMistake(region)).toBeUndefined();
  });

  it.each<[string, ArrayBufferLike, RegExp]>([
    ['empty', new ArrayBuffer(0), /^expected a table of transfers, got 0 bytes$/],
    ['never formatted', new ArrayBuffer(tableBytes(3)), /^expected a table of transfers, got other bytes$/],
    ['of another layout', changed(HEADER.layout, 99), /^expected a table of layout \d+, got layout 99$/],
    ['with longer cells', changed(HEADER.cellWords, 32), /^expected a table of layout/],
    ['with shorter records', changed(HEADER.recordWords, 64), /^expected a table of layout/],
    ['with fewer than no slots', changed(HEADER.slots, -1), /^expected -?\d+ bytes for -1 transfers/],
    ['cut short', changed(HEADER.slots, 4), /^expected \d+ bytes for 4 transfers, got \d+$/],
  ])('is not used: %s', (_, region, mistake) => {
    expect(tableMistake(region)).toMatch(mistake);
  });

  it('serves as a table in memory that is not shared, for instance a mapped file', () => {
    const region = new ArrayBuffer(tableBytes(4));
    formatTable(region, 4, 12_345.5);
    expect(tableMistake(region)).toBeUndefined();
    const table = new TransferTable(region);
    const serial = table.write({ ...order, content }, place);
    expect(new TransferTable(region).read(3)).toEqual(recorded(order, serial));
    expect(new Float64Array(region)[HEADER.clockZero >> 1]).toBe(12_345.5);
  });
});
