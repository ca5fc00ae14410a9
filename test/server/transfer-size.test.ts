/** Heap that a running transfer takes in each thread; there may be ten thousand transfers. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import type { Source } from '../../src/content/types.ts';
import { allocateCounters, counterRow } from '../../src/engine/counters.ts';
import { shareBytes } from '../../src/bytes/shared-bytes.ts';
import { type Engine, HEALTHY, type Link } from '../../src/engine/types.ts';
import type { TransferOrder } from '../../src/pool/pool.ts';
import { StateCells } from '../../src/pool/state-cells.ts';
import { allocateTable } from '../../src/pool/table-region.ts';
import { TransferRunner } from '../../src/pool/transfer-runner.ts';
import { Admission } from '../../src/server/admission.ts';
import { type ReadRequest, RequestReader } from '../../src/server/request-reader.ts';
import { Resolver } from '../../src/server/resolver.ts';
import { DEFAULT_LIMITS } from '../../src/server/server.ts';
import { heapRecord } from '../support/heap-record.ts';
import { acceptingPool, ethernetBlksizes } from './accepting-pool.ts';

const TRANSFERS = 5000;
const WARM_UP = 500;
const COLLECTIONS = 10;
/** Measurements, of which the median counts: V8 may compile or drop code during one of them. */
const ROUNDS = 3;
/** In records of test/support/heap-record.ts, of which one takes 370 bytes: at most 1,340 and 1,535 bytes. */
const MAX_RECORDS = { main: 3.62, worker: 4.15 };

const clock = { now: () => 12_345, wake: () => () => {} };
const handle = shareBytes(new Uint8Array(100_000));
const PORT = { local: { address: '10.0.0.1', port: 69 }, reply: () => {}, close: async () => {} };
const REQUEST = Buffer.from('\0\x01vmlinuz\0octet\0tsize\0\x30\0blksize\0\x31468\0', 'latin1');

function peer(number: number) {
  return { address: `10.1.${number >> 8}.${number & 255}`, port: 2000 + number };
}

/** Heap that each call of `begin` retains, in records. @param begin is called with 0, 1, 2, … */
async function recordsEach(begin: (number: number) => void): Promise<number> {
  const records: object[] = [];
  const recordBytes = await bytesEach((number) => records.push(heapRecord(number)));
  expect(records).toHaveLength(WARM_UP + TRANSFERS);
  return (await bytesEach(begin)) / recordBytes;
}

/** Heap in bytes that each call of `begin` retains. @param begin is called with 0, 1, 2, … */
async function bytesEach(begin: (number: number) => void): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  const settle = async (): Promise<number> => {
    // V8 drops unused code only after several collections; that must not count for or against a transfer.
    for (let time = 0; time < COLLECTIONS; time++) {
      // eslint-disable-next-line no-await-in-loop -- finalizers run between two collections.
      await new Promise((resolve) => setImmediate(resolve));
      collect();
    }
    return process.memoryUsage().heapUsed;
  };
  for (let number = 0; number < WARM_UP; number++) begin(number);
  const before = await settle();
  for (let number = WARM_UP; number < WARM_UP + TRANSFERS; number++) begin(number);
  return ((await settle()) - before) / TRANSFERS;
}

/** Returns the median of several measurements, each with parts of its own. */
async function medianOf(measure: () => Promise<number>): Promise<number> {
  const all: number[] = [];
  // oxlint-disable-next-line no-await-in-loop -- each measures the heap of the whole process.
  for (let round = 0; round < ROUNDS; round++) all.push(await measure());
  return all.toSorted((a, b) => a - b)[(ROUNDS - 1) / 2]!;
}

async function mainRecords(): Promise<number> {
  const cells = new StateCells(allocateTable(2 * TRANSFERS));
  const pool = acceptingPool(cells);
  const source: Source = { open: async () => ({ kind: 'content', handle, label: 'vmlinuz', release: () => {} }) };
  const admission = new Admission({
    clock,
    pool,
    resolver: new Resolver([source]),
    limits: { ...DEFAULT_LIMITS, halfOpen: { ...DEFAULT_LIMITS.halfOpen, total: TRANSFERS } },
    observer: { onTransfer: () => {}, onRefusal: () => {}, onWarning: () => {} },
    blksizes: ethernetBlksizes(clock, cells),
    mayAsk: () => true,
    isShared: () => false,
    attach: () => ({ length: handle.length }),
    seed: 1,
  });
  const each = await recordsEach((number) => {
    const request = new RequestReader().read(REQUEST, REQUEST.length) as ReadRequest;
    admission.admit({ request, peer: peer(number), port: PORT, arrivedAt: 0 });
  });
  expect(admission.active).toBe(WARM_UP + TRANSFERS);
  return each;
}

async function workerRecords(): Promise<number> {
  const link: Link = { local: PORT.local, data: () => {}, control: () => {}, close: () => {} };
  const engine = {
    name: 'memory',
    clock,
    wildcards: false,
    listen: () => expect.fail(),
    link: async () => link,
    mapFile: undefined,
    allocateFile: undefined,
    attach: () => ({ length: handle.length }),
    health: () => HEALTHY,
    advice: undefined,
    close: async () => {},
  } satisfies Engine;
  const cells = new StateCells(allocateTable(2 * TRANSFERS));
  const runner = new TransferRunner(engine, cells, counterRow(allocateCounters(1), 0));
  let running = 0;
  const each = await recordsEach((slot) => {
    const order: TransferOrder = {
      slot,
      local: '10.0.0.1',
      peer: peer(slot),
      port: undefined,
      localPort: undefined,
      openedAt: undefined,
      requestedAt: 12_345,
      content: handle,
      ringBytes: 0,
      opening: new Uint8Array(30),
      plan: {
        size: handle.length,
        blksize: 1468,
        windowsize: 1,
        rollover: 0,
        timeoutMs: 0,
        oack: true,
        seed: slot + 1,
        patienceMs: 60_000,
      },
    };
    runner.start(order, engine.attach(), () => running--);
    running++;
  });
  expect(running).toBe(WARM_UP + TRANSFERS);
  return each;
}

it(`a running transfer takes at most ${MAX_RECORDS.main} records of the main thread's heap`, async () => {
  const each = await medianOf(mainRecords);
  expect(each).toBeGreaterThan(1.6);
  expect(each).toBeLessThan(MAX_RECORDS.main);
});

it(`a running transfer takes at most ${MAX_RECORDS.worker} records of its worker's heap, its plan included`, async () => {
  const each = await medianOf(workerRecords);
  expect(each).toBeGreaterThan(1.6);
  expect(each).toBeLessThan(MAX_RECORDS.worker);
});
