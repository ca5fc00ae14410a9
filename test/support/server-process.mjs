// A server in a separate process, so that its memory, descriptors and exit are only its own. forked-server.ts starts it
// with --expose-gc and defines the messages.
import { readdirSync, readlinkSync } from 'node:fs';
import { BroadcastChannel } from 'node:worker_threads';
import { BufferCache, DEFAULT_LIMITS, Directory, startServer } from '../../dist/index.js';

const { root, workers, engine, singlePort } = JSON.parse(process.argv[2]);
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
  singlePort,
  workers,
  limits: DEFAULT_LIMITS,
  // Hundreds of concurrent downloads come from one loopback address.
  isShared: () => true,
  observer: {
    onTransfer: (record) => tell({ kind: 'transfer', record }),
    onRefusal: () => {},
    onWarning: (message, detail) => tell({ kind: 'warning', message, detail }),
  },
  worker: new URL('./instrumented-worker.mjs', import.meta.url),
});

/**
 * Asks every worker and the spare, and resolves with their answers. Repeats the question until there are as many answers
 * as threads, because one that has just replaced a lost one may not listen yet.
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
      if (answers.size < workers + (server.engine === 'linux' ? 1 : 0)) return;
      clearInterval(again);
      channel.close();
      resolve([...answers.values()]);
    };
    ask();
  });
}

/** Resolves with the time of the next death of a worker, ms of CLOCK_MONOTONIC. */
function nextDeath() {
  return new Promise((resolve) => {
    const channel = new BroadcastChannel('instruments');
    channel.onmessage = ({ data }) => {
      if (data.kind !== 'threw') return;
      channel.close();
      resolve(data.at);
    };
    channel.unref();
  });
}
let death = Promise.resolve(0);

/** Harms the worker with the most transfers. @returns how many they are. */
async function harmBusiest(kind) {
  const counts = await askWorkers('count', 'counted');
  const busiest = counts.reduce((most, next) => (next.running > most.running ? next : most));
  death = nextDeath();
  const channel = new BroadcastChannel('instruments');
  channel.postMessage({ kind, thread: busiest.thread });
  channel.close();
  return busiest.running;
}

/** Returns what each descriptor of this process is, such as `anon_inode:[io_uring]`. */
function descriptors() {
  return readdirSync('/dev/fd').map((fd) => {
    try {
      return readlinkSync(`/dev/fd/${fd}`);
    } catch {
      // It was the folder's own.
      return '';
    }
  });
}

const CALLS = {
  stats: () => server.stats(),
  /**
   * A forced collection covers only the heap of its own thread, so each thread is asked to collect. V8 returns memory
   * later and by pages, so the lowest of several measurements counts as kept.
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
    const open = descriptors();
    return {
      rssBytes: Math.min(...looks.map(({ rssBytes }) => rssBytes)),
      heapBytes: Math.min(...looks.map(({ heapBytes }) => heapBytes)),
      descriptors: open.filter((what) => !/io_uring|eventfd/.test(what)).length,
      pollers: open.filter((what) => what.includes('eventpoll')).length,
      rings: open.filter((what) => what.includes('io_uring')).length,
    };
  },
  running: async () => (await askWorkers('count', 'counted')).map(({ running }) => running),
  /** Makes the busiest worker throw. */
  crash: () => harmBusiest('throw'),
  /** Makes the busiest worker fill its memory when it gets the next packet. */
  exhaust: () => harmBusiest('exhaust'),
  death: () => death,
  /** Makes every thread that starts from now on die when it takes over a transfer. */
  poison() {
    process.env.POISON = '1';
  },
  stop: ({ drainMs }) => server.stop(drainMs),
};

async function obey({ id, kind, ...details }) {
  const value = await CALLS[kind](details);
  // Once the server has stopped, only the channel to the test may keep the process alive.
  process.send({ kind: 'answer', id, value }, () => kind === 'stop' && process.connected && process.disconnect());
}

process.on('message', (message) => void obey(message));
tell({ kind: 'ready', addresses: server.addresses });
