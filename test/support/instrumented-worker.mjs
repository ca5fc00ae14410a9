// The worker as it is, with three handles for tests: collect its garbage, say how much it runs, throw.
import { BroadcastChannel, threadId } from 'node:worker_threads';
import run from '../../dist/pool/worker.js';

let running = 0;

const channel = new BroadcastChannel('instruments');
channel.onmessage = ({ data: { kind, thread } }) => {
  if (kind === 'collect') {
    globalThis.gc();
    channel.postMessage({ kind: 'collected', thread: threadId, heapUsed: process.memoryUsage().heapUsed });
  } else if (kind === 'count') {
    channel.postMessage({ kind: 'counted', thread: threadId, running });
  } else if (kind === 'throw' && thread === threadId) {
    setImmediate(() => {
      throw new Error('Planted fault');
    });
  }
};
channel.unref();

export default async function instrumentedRun(order) {
  running++;
  try {
    return await run(order);
  } finally {
    running--;
  }
}
