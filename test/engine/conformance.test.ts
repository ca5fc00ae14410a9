/** One suite, run over every engine: another engine is another row. */
import { MemoryNetwork } from '../../src/engine/memory.ts';
import { LinuxEngine } from '../../src/engine/linux/engine.ts';
import { NEWEST_NODE } from '../../src/engine/linux/libc.ts';
import { PortableEngine } from '../../src/engine/portable.ts';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import { describeEngine } from './conformance.ts';
import { describeDriver } from './driver-conformance.ts';
import type { EngineRow, EngineWorld } from './engine-row.ts';
import { describeLinks } from './link-conformance.ts';

/** Virtual time advances event by event until the promise settles. It can no longer settle once no event is left. */
function createMemoryWorld(): EngineWorld {
  const clock = new VirtualClock();
  const network = new MemoryNetwork(clock, 1);
  return {
    engine: () => network.engine(),
    until: async (promise) => {
      let settled = false;
      const settle = (): void => {
        settled = true;
      };
      promise.then(settle, settle);
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve));
        if (settled) return promise;
        if (!clock.step()) throw new Error('Nothing is left to happen, and the promise has not settled');
      }
    },
  };
}

const createPortableWorld = (): EngineWorld => ({ engine: () => new PortableEngine(), until: (promise) => promise });

const createLinuxWorld = (): EngineWorld => ({ engine: () => new LinuxEngine(), until: (promise) => promise });

/** If Node.js is newer than the Linux engine knows, the engine refuses to run, and its rows are omitted. */
const LINUX_ROWS: readonly EngineRow[] =
  Number.parseInt(process.versions.node, 10) > NEWEST_NODE
    ? []
    : [
        {
          name: 'the linux engine',
          address: '127.0.0.1',
          second: '127.0.0.2',
          create: createLinuxWorld,
        },
        { name: 'the linux engine', address: '::1', second: undefined, create: createLinuxWorld },
      ];

const ROWS: readonly EngineRow[] = [
  ...LINUX_ROWS,
  { name: 'the memory engine', address: '10.0.0.1', second: '10.0.0.2', create: createMemoryWorld },
  {
    name: 'the portable engine',
    address: '127.0.0.1',
    // Linux has all of 127.0.0.0/8 on its loopback interface; other systems have only 127.0.0.1.
    second: process.platform === 'linux' ? '127.0.0.2' : undefined,
    create: createPortableWorld,
  },
  { name: 'the portable engine', address: '::1', second: undefined, create: createPortableWorld },
];

for (const row of ROWS) {
  describeEngine(row);
  describeLinks(row);
  describeDriver(row);
}
