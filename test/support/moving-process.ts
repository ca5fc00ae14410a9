/**
 * Moves a channel as MovingOptions say: publishes new versions one after the other, and rolls back to a former one in
 * between. Old versions are collected without any grace period. Reports each move to its parent process.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { changeSettings, rollback } from '../../src/boot-set/store/channel-changes.ts';
import { collect } from '../../src/boot-set/store/collect.ts';
import { publish } from '../../src/boot-set/store/publish.ts';
import { openStore } from '../../src/boot-set/store/store.ts';
import { CHANNEL, contentOf, type MovingOptions, SIZES } from './moving-store.ts';

const { folder, pinIdleMs, everyMs, collectEveryMs } = JSON.parse(process.argv[2]!) as MovingOptions;
const state = { current: 0, moves: 0, published: 0, collections: 0, collected: 0 };
const end = new AbortController();

const path = join(folder, 'store');
await mkdir(path);
const store = await openStore({ path });

function moved(current: number): void {
  state.current = current;
  state.moves++;
  process.send!(state);
}

async function publishNext(): Promise<void> {
  const version = state.published + 1;
  const set = await mkdtemp(join(folder, 'set-'));
  for (const name of Object.keys(SIZES)) {
    await mkdir(dirname(join(set, name)), { recursive: true });
    await writeFile(join(set, name), contentOf(name, version));
  }
  const { number } = await publish(store, { channel: CHANNEL, paths: [set] });
  if (number !== version) throw new Error(`Expected version ${version}, got ${number}`);
  state.published++;
  moved(version);
  await rm(set, { recursive: true });
}

async function every(ms: number, work: () => Promise<void>): Promise<void> {
  while (!end.signal.aborted) {
    const begun = performance.now();
    await work();
    await delay(Math.max(0, ms - (performance.now() - begun)));
  }
}

await publishNext();
await store.change((tables) => changeSettings(tables, CHANNEL, { pinIdleMs }));

let running: Promise<unknown> = Promise.resolve();
process.on('message', (message) => {
  if (message === 'start') {
    running = Promise.all([
      every(2 * everyMs, publishNext),
      delay(everyMs).then(() =>
        every(2 * everyMs, async () => {
          if (state.published > 1) moved((await store.change((tables) => rollback(tables, CHANNEL))).to);
        }),
      ),
      every(collectEveryMs, async () => {
        const { versions } = await collect(store, { graceMs: 0 });
        state.collections++;
        state.collected += versions.length;
      }),
    ]);
    return;
  }
  end.abort();
  void running.then(() => store.close()).then(() => process.disconnect());
});
