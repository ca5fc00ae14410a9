/**
 * Prints as JSON how much each kind of request allocates on the main thread's heap, in records of heap-record.ts. The process has a young
 * generation so large that nothing is collected meanwhile: heap used equals heap allocated.
 */
import { shareBytes } from '../../src/bytes/shared-bytes.ts';
import type { Source } from '../../src/content/types.ts';
import { StateCells } from '../../src/pool/state-cells.ts';
import { allocateTable } from '../../src/pool/table-region.ts';
import { Admission } from '../../src/server/admission.ts';
import { RequestReader } from '../../src/server/request-reader.ts';
import { Resolver } from '../../src/server/resolver.ts';
import { DEFAULT_LIMITS } from '../../src/server/server.ts';
import { heapRecord } from '../support/heap-record.ts';
import { acceptingPool, ethernetBlksizes } from './accepting-pool.ts';

const REQUESTS = 5000;
const WARM_UP = 20_000;

const PORT = { local: { address: '10.0.0.1', port: 69 }, reply: () => {}, close: async () => {} };
const handle = shareBytes(new Uint8Array(100_000));
const cells = new StateCells(allocateTable(16));
const pool = acceptingPool(cells);
const source: Source = {
  open: ({ filename }) =>
    filename === 'vmlinuz' ? { kind: 'content', handle, label: filename, release: () => {} } : { kind: 'missing' },
};
const clock = { now: () => 12_345, wake: () => () => {} };
const admission = new Admission({
  clock,
  pool,
  resolver: new Resolver([source]),
  limits: DEFAULT_LIMITS,
  observer: { onTransfer: () => {}, onRefusal: () => {}, onWarning: () => {} },
  blksizes: ethernetBlksizes(clock, cells),
  mayAsk: () => true,
  isShared: () => false,
  attach: () => ({ length: handle.length }),
  seed: 1,
});
const peer = { address: '10.1.2.3', port: 2000 };

const reader = new RequestReader();

function ask(bytes: Uint8Array): void {
  const request = reader.read(bytes, bytes.length);
  if (typeof request === 'string') throw new Error(request);
  admission.admit({ request, peer, port: PORT, arrivedAt: 0 });
}

/** Heap in bytes that each call allocates. */
function bytesEach(work: (count: number) => void): number {
  for (let count = 0; count < WARM_UP; count++) work(count);
  globalThis.gc!();
  const before = process.memoryUsage().heapUsed;
  for (let count = 0; count < REQUESTS; count++) work(count);
  return (process.memoryUsage().heapUsed - before) / REQUESTS;
}

let last: object | undefined;
const recordBytes = bytesEach((count) => {
  last = heapRecord(count);
});
if (last === undefined) throw new Error('Expected a record');

function recordsEach(text: string): number {
  const bytes = Buffer.from(text, 'latin1');
  return bytesEach(() => ask(bytes)) / recordBytes;
}

const OPTIONS = 'octet\0tsize\0\x30\0blksize\0\x31468\0';
process.stdout.write(
  JSON.stringify({
    written: recordsEach(`\0\x02vmlinuz\0${OPTIONS}`),
    refused: recordsEach(`\0\x01pxelinux.cfg/01-52-54-00-12-34-56\0${OPTIONS}`),
    repeated: recordsEach(`\0\x01vmlinuz\0${OPTIONS}`),
  }),
);
