// The unmodified worker with three functions for tests: collect its garbage, report its number of transfers, throw.
import { BroadcastChannel, threadId, workerData } from 'node:worker_threads';
import { counterRow, vitalColumn } from '../../dist/engine/counters.js';
import run from '../../dist/pool/worker.js';

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
      throw new Error('Planted fault');
    });
  }
};
channel.unref();

export default run;
