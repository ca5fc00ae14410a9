import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { BootLoop } from '../support/boot-loop.ts';
import { SEED } from '../support/content.ts';
import { MovingStore } from '../support/moving-store.ts';
import { ServedStoreProcess } from '../support/served-store.ts';

const NODES = 100;
const LENGTH_MS = 8000;

it(`no mixed boot: ${NODES} nodes while the channel moves (seed ${SEED})`, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'reveille-mixed-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const moving = await MovingStore.create({ folder, pinIdleMs: 6000, everyMs: 200, collectEveryMs: 1000 });
  const server = new ServedStoreProcess(['--store', moving.path, '--workers', '1', '--gc-every', '0']);
  await server.start();
  onTestFinished(() => server.end('SIGKILL'));
  const loop = new BootLoop({
    nodes: NODES,
    seed: SEED,
    pauseMs: 500,
    restMs: 500,
    server: () => server.address,
    current: () => moving.state.current,
  });
  moving.start();
  await loop.run(LENGTH_MS);
  await moving.stop();
  const { boots, mixed, missing, wrong, failed } = loop.total;
  expect({ examples: loop.examples, mixed, missing, wrong, failed }).toEqual({
    examples: [],
    mixed: 0,
    missing: 0,
    wrong: 0,
    failed: 0,
  });
  // Every way to boot was completed at least once while the channel moved.
  expect(Object.entries(loop.counts).filter(([, counts]) => counts.boots === 0)).toEqual([]);
  expect(boots).toBeGreaterThan(NODES);
  expect(moving.state.moves).toBeGreaterThan(10);
  expect(server.complaints).toEqual([]);
});
