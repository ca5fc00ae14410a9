import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type GotFile, judgeBoot } from '../support/boot-judge.ts';
import { BootLoop } from '../support/boot-loop.ts';
import { SEED } from '../support/content.ts';
import { MovingStore } from '../support/moving-store.ts';
import { lastingPort } from '../support/ports.ts';
import { ServedStoreProcess } from '../support/served-store.ts';

const NODES = 100;
const LENGTH_MS = 8000;
const PIN_IDLE_MS = 6000;

it(`no mixed boot over both protocols: ${NODES} nodes while the channel moves (seed ${SEED})`, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'reveille-mixed-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const moving = await MovingStore.create({ folder, pinIdleMs: PIN_IDLE_MS, everyMs: 200, collectEveryMs: 1000 });
  const http = { address: '127.0.0.1', port: await lastingPort() };
  // All connections and transfers together fit into the descriptors of a CI machine.
  const overHttp = ['--http', `127.0.0.1:${http.port}`, '--http-connections', '1000'];
  const server = new ServedStoreProcess(['--store', moving.path, ...overHttp, '--workers', '1', '--gc-every', '0']);
  await server.start();
  onTestFinished(() => server.end('SIGKILL'));
  const loop = new BootLoop({
    nodes: NODES,
    seed: SEED,
    pauseMs: 500,
    restMs: 500,
    server: () => server.address,
    http,
    current: () => moving.state.current,
    pinIdleMs: PIN_IDLE_MS,
  });
  moving.start();
  const isEnough = (): boolean =>
    loop.total.boots > NODES &&
    moving.state.moves > 10 &&
    Object.values(loop.counts).every((counts) => counts.boots > 0 && counts.overHttp > 0);
  await loop.run(LENGTH_MS, isEnough);
  await moving.stop();
  const { boots, mixed, silent, missing, wrong, failed } = loop.total;
  expect({ examples: loop.examples, mixed, missing, wrong, failed }).toEqual({
    examples: [],
    mixed: 0,
    missing: 0,
    wrong: 0,
    failed: 0,
  });
  // A pause of this process makes every node silent at once. More than that would leave too few boots to judge.
  expect(silent).toBeLessThanOrEqual(NODES / 2);
  expect(silent).toBeLessThan(boots);
  expect(server.complaints).toEqual([]);
}, 170_000);

describe('the judge of these boots', () => {
  /** Files of one boot, each with its version and the time of its request; each takes 1 ms. */
  const got = (...files: [name: string, version: number, askedMs: number][]): GotFile[] =>
    files.map(([name, version, askedMs]) => ({ name, version, askedMs, doneMs: askedMs + 1 }));

  it.each<[what: string, files: GotFile[], judgement: string]>([
    ['of one version is whole', got(['pxelinux.0', 3, 0], ['pxelinux.cfg/default', 3, 10]), 'whole'],
    ['of one version is whole after any silence', got(['pxelinux.0', 3, 0], ['linux', 3, 60_000]), 'whole'],
    [
      'that changes its version at a config is mixed',
      got(['pxelinux.0', 3, 0], ['pxelinux.cfg/default', 4, 10]),
      'mixed',
    ],
    [
      'is mixed also when the silence has lasted as long as a pin',
      got(['pxelinux.0', 3, 0], ['pxelinux.cfg/default', 4, PIN_IDLE_MS - 1]),
      'mixed',
    ],
    [
      'begins again with a config after a longer silence',
      got(['pxelinux.0', 3, 0], ['pxelinux.cfg/default', 4, PIN_IDLE_MS], ['linux', 4, PIN_IDLE_MS + 10]),
      'silent',
    ],
    ['never begins again with a kernel', got(['pxelinux.0', 3, 0], ['linux', 4, 60_000]), 'mixed'],
    [
      'is mixed where the silence was elsewhere',
      got(['shimx64.efi', 3, 0], ['grub/grub.cfg', 4, 60_000], ['linux', 5, 60_010]),
      'mixed',
    ],
  ])('a boot %s', (_, files, judgement) => {
    expect(judgeBoot(files, PIN_IDLE_MS)).toBe(judgement);
  });
});
