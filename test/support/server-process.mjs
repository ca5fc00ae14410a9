// A server in a process of its own, so that its memory, descriptors and end are its alone. Started with --expose-gc
// by forked-server.ts, which says what the messages mean.
import { readdirSync } from 'node:fs';
import { BroadcastChannel } from 'node:worker_threads';
import { BufferCache, DEFAULT_LIMITS, Directory, startServer } from '../../dist/index.js';

const { root, workers, engine } = JSON.parse(process.argv[2]);
const tell = (message) => process.send?.(message);

const server = await startServer({
  listen: [{ address: '127.0.0.1', port: 0 }],
  sources: ({ allocateFile }) => [
    new Directory({
      root,
      cache: new BufferCache(),
      allocateFile,
      clock: () => performance.now(),
    }),
  ],
  engine,
  workers,
  limits: DEFAULT_LIMITS,
  // Hundreds of downloads at once come from one loopback address.
  isShared: () => true,
  observer: {
    onTransfer: (record) => tell({ kind: 'transfer', record }),
    onRefusal: () => {},
    onWarning: (message, detail) => tell({ kind: 'warning', message, detail }),
  },
  worker: new URL('./instrumented-worker.mjs', import.meta.url),
});

/**
 * Asks every worker, and resolves with their answers. Asks again until it has as many as there are workers: one that
 * has just taken a lost one's place may not listen yet.
 */
function askWorkers(question, answer) {
  return new Promise((resolve) => {
    const channel = new BroadcastChannel('instruments');
    const answers = new Map();
    const ask = () => channel.postMessage({ kind: question });
    const again = setInterval(ask, 50);
    channel.onmessage = ({ data }) => {
      if (data.kind !== answer) return;
      answers.set(data.thread, data);
      if (answers.size < workers) return;
      clearInterval(again);
      channel.close();
      resolve([...answers.values()]);
    };
    ask();
  });
}

const CALLS = {
  stats: () => server.stats(),
  /**
   * A forced collection collects the heap of its own thread alone: each is asked for its own. V8 gives memory back
   * a while later and by pages, so the lowest of several looks is what is kept.
   */
  async usage() {
    const looks = [];
    while (looks.length < 5) {
      globalThis.gc();
      const heaps = await askWorkers('collect', 'collected');
      looks.push({
        rssBytes: process.memoryUsage.rss(),
        heapBytes: heaps.reduce((sum, { heapUsed }) => sum + heapUsed, process.memoryUsage().heapUsed),
      });
    }
    return {
      rssBytes: Math.min(...looks.map(({ rssBytes }) => rssBytes)),
      heapBytes: Math.min(...looks.map(({ heapBytes }) => heapBytes)),
      descriptors: readdirSync('/dev/fd').length,
    };
  },
  running: async () => (await askWorkers('count', 'counted')).map(({ running }) => running),
  /** Makes the busiest worker throw. */
  async crash() {
    const counts = await askWorkers('count', 'counted');
    const busiest = counts.reduce((most, next) => (next.running > most.running ? next : most));
    const channel = new BroadcastChannel('instruments');
    channel.postMessage({ kind: 'throw', thread: busiest.thread });
    channel.close();
    return busiest.running;
  },
  stop: ({ drainMs }) => server.stop(drainMs),
};

process.on('message', async ({ id, kind, ...details }) => {
  const value = await CALLS[kind](details);
  // The channel to the test is the one thing that may keep the process alive once the server has stopped.
  process.send({ kind: 'answer', id, value }, () => kind === 'stop' && process.connected && process.disconnect());
});
tell({ kind: 'ready', addresses: server.addresses });
