/** The transfers that a process has left in its region, as the next one reads them. */
import { expect, it } from 'vitest';
import { leftTransfers } from '../../src/pool/left-transfers.ts';
import { formatRecoveries, RecoveryRecords, regionBytes } from '../../src/pool/recovery-records.ts';
import { TRANSFER_STATE, WISH_TO_END } from '../../src/pool/state-cells.ts';
import { formatTable, recordAt } from '../../src/pool/table-region.ts';
import { TransferTable } from '../../src/pool/transfer-table.ts';

const SLOTS = 8;
const BLOCKS = 10;
/** CLOCK_MONOTONIC when the clock of the process was zero, ms. */
const ZERO = 5000;

interface Left {
  readonly region: ArrayBufferLike;
  readonly table: TransferTable;
  readonly recoveries: RecoveryRecords;
}

function begin(): Left {
  const region = new ArrayBuffer(regionBytes(SLOTS));
  formatTable(region, SLOTS, ZERO);
  formatRecoveries(region, SLOTS);
  return { region, table: new TransferTable(region), recoveries: new RecoveryRecords(region, SLOTS) };
}

/** Writes a transfer of which 3 of 10 blocks have been acknowledged at time 1200. */
function put({ table, recoveries }: Left, slot: number, filename = 'f'): void {
  const identity = `"${slot}"`;
  const plan = { size: BLOCKS * 512 - 1, blksize: 512, windowsize: 1, rollover: 0, timeoutMs: 1000, seed: 1 } as const;
  recoveries.write(slot, { requestText: 'r', filename, mode: 'octet', identity, label: 'f', kind: undefined });
  table.cells.reset(slot, TRANSFER_STATE.running, 1200);
  table.cells.setBlocks(slot, 3);
  table.write(
    {
      slot,
      local: '127.0.0.1',
      localPort: 69,
      peer: { address: '127.0.0.2', port: 2000 + slot },
      port: { fd: 9, peerWord: 0, addressWord: 0, shared: 'bound' },
      requestedAt: 1000,
      openedAt: 1100,
      content: { buffer: new SharedArrayBuffer(0), length: 0 },
      ringBytes: 0,
      opening: undefined,
      plan: { ...plan, oack: false, patienceMs: 90_000, arrived: undefined },
    },
    { low: 0, high: 0, length: plan.size },
  );
}

it('is transfers with what is needed to go on; times count from now', () => {
  const left = begin();
  put(left, 2);
  const [one, ...others] = leftTransfers(left.region, ZERO + 1500);
  expect(others).toEqual([]);
  expect(one).toMatchObject({
    order: { slot: 2, peer: { address: '127.0.0.2', port: 2002 }, plan: { blksize: 512 } },
    recovery: { filename: 'f', identity: '"2"' },
    blocks: 3,
    silentMs: 300,
    requestedAgoMs: 500,
    openedAgoMs: 400,
  });
});

it.each<[string, (left: Left, slot: number) => void]>([
  ['that its client has superseded', ({ table }, slot) => table.cells.end(slot, WISH_TO_END.supersede)],
  ['whose last block is acknowledged', ({ table }, slot) => table.cells.setBlocks(slot, BLOCKS)],
  ['that has ended', ({ table }, slot) => table.cells.setEnded(slot, 'timeout')],
  ['whose record has been removed', ({ table }, slot) => table.clear(slot)],
])('is not a transfer %s', (_, change) => {
  const left = begin();
  for (const slot of [0, 1]) put(left, slot);
  change(left, 0);
  expect(leftTransfers(left.region, ZERO + 1500)).toMatchObject([{ order: { slot: 1 } }]);
});

it('is told of its loss when its recovery record has no room, also in the highest slot', () => {
  const left = begin();
  put(left, 0, 'f'.repeat(2000));
  expect(leftTransfers(left.region, ZERO + 1500)).toMatchObject([{ order: { slot: 0 }, recovery: undefined }]);
});

it.each<[string, (left: Left) => unknown]>([
  [
    'blocks of no bytes',
    ({ region }) => new Int32Array(region).fill(0, recordAt(SLOTS, 0) + 10, recordAt(SLOTS, 0) + 11),
  ],
  ['more blocks acknowledged than there are', ({ table }) => table.cells.setBlocks(0, BLOCKS + 1)],
])('is lost with %s', (_, change) => {
  const left = begin();
  put(left, 0);
  change(left);
  expect(leftTransfers(left.region, ZERO + 1500)).toMatchObject([{ order: { slot: 0 }, recovery: undefined }]);
});
