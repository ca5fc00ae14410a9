/**
 * SIGKILL between any two steps that another process could see: afterwards the store is whole, and nothing served is
 * lost.
 */
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { collect, referenced } from '../../../src/boot-set/store/collect.ts';
import { versionName } from '../../../src/boot-set/store/records.ts';
import { openStore, type Store } from '../../../src/boot-set/store/store.ts';
import { verify } from '../../../src/boot-set/store/verify.ts';
import { FakeRegistry } from '../../registry/fixture.ts';
import { CAMPAIGN } from '../../support/content.ts';
import { blobsOf, contentOf, filesIn, folder, publishFiles } from '../fixture.ts';
import { type Work, workOf } from './store-process.ts';

const CHANNEL = 'rack/install';
/** In a campaign every step is tried, otherwise every third. */
const STRIDE = CAMPAIGN ? 1 : 3;

/** A store with three versions, of which 2 and 3 are served; `served` maps their files to the contents. */
async function seeded(): Promise<{ path: string; served: Map<string, string> }> {
  const path = join(folder(), 'store');
  const store = await openStore({ path });
  for (const linux of ['one', 'two', 'three']) {
    await publishFiles(store, CHANNEL, { linux, initrd: `for ${linux}`, 'grub.cfg': 'shared' });
  }
  await store.change((tables) => {
    const channel = tables.channels.get(CHANNEL)!;
    tables.channels.put(CHANNEL, { ...channel, previous: [2] });
  });
  const served = new Map<string, string>();
  for (const number of [2, 3]) {
    for (const file of ['linux', 'initrd', 'grub.cfg']) {
      const name = versionName(CHANNEL, number);
      served.set(`${name} ${file}`, contentOf(store, name, file).toString());
    }
  }
  await store.flushed();
  await store.close();
  return { path, served };
}

/** Checks the layout as other tools see it: index.json is JSON, and its manifests and their layers exist. */
function checkIndex(path: string): void {
  const blob = (digest: string): string => join(path, 'blobs/sha256', digest.replace('sha256:', ''));
  const index = JSON.parse(readFileSync(join(path, 'index.json'), 'utf8')) as { manifests: { digest: string }[] };
  for (const { digest } of index.manifests) {
    const manifest = JSON.parse(readFileSync(blob(digest), 'utf8')) as { layers: { digest: string }[] };
    for (const layer of manifest.layers) expect(existsSync(blob(layer.digest))).toBe(true);
  }
}

async function checkWhole(store: Store, served: ReadonlyMap<string, string>): Promise<void> {
  expect((await verify(store)).damage).toEqual([]);
  const versions = store.versions();
  for (const { name, current } of store.channels()) {
    expect(versions.map(({ channel, number }) => versionName(channel, number))).toContain(versionName(name, current!));
  }
  for (const [key, content] of served) {
    const [name, file] = key.split(' ');
    expect([key, contentOf(store, name!, file!).toString()]).toEqual([key, content]);
  }
}

async function killEverywhere(work: (path: string) => Work): Promise<number> {
  const { path, served } = await seeded();
  let killed = 0;
  for (let killAt = 1; ; killAt += STRIDE) {
    const copy = join(folder(), 'store');
    cpSync(path, copy, { recursive: true });
    const steps = await workOf({ ...work(copy), killAt });
    if (steps === undefined) checkIndex(copy);
    const store = await openStore({ path: copy });
    try {
      await checkWhole(store, served);
      // Whatever was left over is collectable, and after a collection nothing is left.
      await collect(store, { graceMs: 0 });
      await checkWhole(store, served);
      expect(await verify(store)).toMatchObject({ leftovers: 0 });
      expect(blobsOf(store)).toEqual([...referenced(store.versions())].toSorted());
      expect(readdirSync(store.layout.staging)).toEqual([]);
      expect(readdirSync(store.path).filter((name) => name.endsWith('.new'))).toEqual([]);
    } finally {
      await store.close();
    }
    if (steps !== undefined) return killed;
    killed++;
  }
}

describe('kill -9 at every step', () => {
  it('of publish', async () => {
    const set = filesIn({ linux: 'four', initrd: 'for four', 'grub.cfg': 'shared' });
    const killed = await killEverywhere((store) => ({ verb: 'publish', store, channel: CHANNEL, paths: [set] }));
    expect(killed).toBeGreaterThanOrEqual(25 / STRIDE);
  }, 120_000);

  it('of pull', async () => {
    const registry = await FakeRegistry.start();
    const files = { linux: 'four', initrd: 'for four', 'grub.cfg': 'shared' };
    registry.addSet(
      Object.fromEntries(Object.entries(files).map(([name, text]) => [name, Buffer.from(text)])),
      'stable',
    );
    const from = `oci+http://${registry.host}/boot/install:stable`;
    const killed = await killEverywhere((store) => ({ verb: 'pull', store, channel: CHANNEL, from }));
    expect(killed).toBeGreaterThanOrEqual(Math.floor(18 / STRIDE));
  }, 120_000);

  it('of rollback', async () => {
    const killed = await killEverywhere((store) => ({ verb: 'rollback', store, channel: CHANNEL }));
    expect(killed).toBeGreaterThanOrEqual(Math.floor(8 / STRIDE));
  }, 120_000);

  it('of gc', async () => {
    const killed = await killEverywhere((store) => ({ verb: 'gc', store }));
    expect(killed).toBeGreaterThanOrEqual(Math.floor(14 / STRIDE));
  }, 120_000);
});

describe('kill -9 while a store is made', () => {
  it('leaves something that the next one finishes', async () => {
    for (let killAt = 1; ; killAt++) {
      const path = join(folder(), 'store');
      const steps = await workOf({ verb: 'open', store: path, killAt });
      const store = await openStore({ path });
      expect([store.channels(), store.versions(), (await verify(store)).damage]).toEqual([[], [], []]);
      expect(await publishFiles(store, 'a', { linux: 'x' })).toMatchObject({ name: 'a-1' });
      await store.close();
      if (steps !== undefined) break;
    }
  }, 60_000);
});
