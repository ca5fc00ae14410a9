// The unmodified worker with functions for tests: collect its garbage, report its number of transfers, throw, run out of
// memory.
import { BroadcastChannel, threadId, workerData } from 'node:worker_threads';
import { counterRow, vitalColumn } from '../../dist/engine/counters.js';
import { TransferRunner } from '../../dist/pool/transfer-runner.js';
import run from '../../dist/pool/worker.js';
import { Sender } from '../../dist/session/sender.js';

if (process.env.POISON === '1') {
  TransferRunner.prototype.resume = () => {
    setImmediate(() => {
      throw new Error('Planted poison');
    });
  };
}

const row = counterRow(workerData.counters, new Int32Array(workerData.rowOwners).indexOf(threadId));

const channel = new BroadcastChannel('instruments');
channel.onmessage = ({ data: { kind, thread } }) => {
  if (kind === 'collect') {
    globalThis.gc();
    channel.postMessage({ kind: 'collected', thread: threadId, heapUsed: process.memoryUsage().heapUsed });
  } else if (kind === 'count') {
    channel.postMessage({ kind: 'counted', thread: threadId, running: row[vitalColumn('transfers')] });
  } else if (kind === 'throw' && thread === threadId) {
    setImmediate(() => {
      channel.postMessage({ kind: 'threw', at: Number(process.hrtime.bigint()) / 1e6 });
      throw new Error('Planted fault');
    });
  } else if (kind === 'exhaust' && thread === threadId) {
    Sender.prototype.onPacket = () => {
      const garbage = [];
      for (;;) garbage.push(Array.from({ length: 10_000 }, () => garbage));
    };
  }
};
channel.unref();

export default run;
