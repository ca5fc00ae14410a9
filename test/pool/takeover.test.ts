/** Tests which transfers of a dead worker wait for its successor, and the order in which it gets them. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { TransferReport } from '../../src/engine/report.ts';
import type { UnreadDatagram } from '../../src/engine/types.ts';
import type { TransferOrder } from '../../src/pool/pool.ts';
import { TRANSFER_STATE, WISH_TO_END } from '../../src/pool/state-cells.ts';
import { allocateTable } from '../../src/pool/table-region.ts';
import { Takeover } from '../../src/pool/takeover.ts';
import { TransferTable } from '../../src/pool/transfer-table.ts';
import { shareBytes } from '../../src/bytes/shared-bytes.ts';

const SLOTS = 8;
const CONTENT = shareBytes(new Uint8Array(5120));
const SHARED = { fd: 7, peerWord: 0, addressWord: 0, worker: 0, shared: 'bound' } as const;
const OWN = { fd: 7, peerWord: 0, addressWord: 0 };

let table: TransferTable;
let takeover: Takeover;
let ended: Map<number, TransferReport['outcome']>;

beforeEach(() => {
  table = new TransferTable(allocateTable(SLOTS));
  ended = new Map();
  takeover = new Takeover(table, (slot, { outcome }) => ended.set(slot, outcome));
});

/** Begins a transfer of ten blocks. @returns its serial number. */
function begin(slot: number, port: TransferOrder['port']): number {
  table.cells.reset(slot, TRANSFER_STATE.running, 0);
  const plan = { size: 5120, blksize: 512, windowsize: 1, rollover: 0, timeoutMs: 0 } as const;
  return table.write(
    {
      slot,
      local: '127.0.0.1',
      localPort: 69,
      peer: { address: '127.0.0.1', port: 1000 + slot },
      port,
      openedAt: 0,
      requestedAt: 0,
      content: CONTENT,
      ringBytes: 0,
      opening: undefined,
      plan: { ...plan, oack: false, seed: 1, patienceMs: 1000 },
    },
    { low: 0, high: 0, length: 5120 },
  );
}

/** Gives what waits, as long as a worker has room. @returns slots with their workers. */
function give(room: (worker: number | undefined) => boolean): (readonly [number, number | undefined])[] {
  const given: (readonly [number, number | undefined])[] = [];
  takeover.give((slot, _, worker) => {
    if (!room(worker)) return false;
    given.push([slot, worker]);
    return true;
  });
  return given;
}

const ack = (block: number): Uint8Array => Uint8Array.of(0, 4, block >> 8, block & 0xff);

describe('transfers of a dead worker', () => {
  it('wait for its successor at a shared port, and for any worker at ports of their own', () => {
    begin(0, SHARED);
    begin(1, OWN);
    expect(takeover.take([0, 1], [], 3)).toBe(2);
    expect([takeover.hasWaiting(3), takeover.hasWaiting(2)]).toEqual([true, false]);
    expect(give((worker) => worker !== 3)).toEqual([[1, undefined]]);
    expect(give(() => true)).toEqual([[0, 3]]);
    expect(takeover.resumed).toBe(2);
  });

  it('are given before those that begin meanwhile, although room is found in between', () => {
    begin(0, SHARED);
    begin(1, SHARED);
    takeover.take([0], [], 3);
    takeover.keep(1, 3);
    let tries = 0;
    expect(give(() => tries++ > 0)).toEqual([]);
    expect(give(() => true)).toEqual([
      [0, 3],
      [1, 3],
    ]);
    expect(takeover.resumed).toBe(1);
  });

  it.each([
    ['at ports of their own', OWN, true],
    ['at a shared port, as their next worker reports', SHARED, false],
  ])('are over if their clients have begun others, %s', (_where, port, isReported) => {
    begin(0, port);
    begin(1, port);
    table.cells.setState(1, TRANSFER_STATE.lastBlockSent);
    for (const slot of [0, 1]) table.cells.end(slot, WISH_TO_END.supersede);
    expect(takeover.take([0, 1], [], 3)).toBe(0);
    const outcomes: [number, string][] = [
      [0, 'aborted'],
      [1, 'completeUnconfirmed'],
    ];
    expect([...ended]).toEqual(isReported ? outcomes : []);
    const waiting: (readonly [number, number])[] = [
      [0, 3],
      [1, 3],
    ];
    expect(give(() => true)).toEqual(isReported ? [] : waiting);
    expect(takeover.resumed).toBe(0);
  });

  it('get the last packet that was not handled, by serial number or by slot', () => {
    begin(0, SHARED);
    const token = begin(1, OWN);
    const unread: UnreadDatagram[] = [
      { tag: 0, bytes: ack(1) },
      { token, bytes: ack(5) },
      { tag: 0, bytes: ack(2) },
      { token: token + 1, bytes: ack(9) },
    ];
    takeover.take([0, 1], unread, 3);
    const packets: (Uint8Array | undefined)[] = [];
    takeover.give((_, terms) => packets.push(terms.unread) > 0);
    expect(packets).toEqual([ack(2), ack(5)]);
  });
});
