/** Several processes on one store: the write transaction is the only lock. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { collect } from '../../../src/boot-set/store/collect.ts';
import { verify } from '../../../src/boot-set/store/verify.ts';
import { filesIn, folder, openFor, publishFiles } from '../fixture.ts';
import { StoreProcess, workOf } from './store-process.ts';

describe('processes on one store', () => {
  it('publish at once, and each version has a number of its own', async () => {
    const path = join(folder(), 'store');
    const store = await openFor(path);
    const sets = (who: string): string[] =>
      Array.from({ length: 8 }, (_, at) => filesIn({ linux: `${who} ${at}`, cfg: 'same' }));
    await Promise.all(
      ['one', 'two', 'three'].map((who) =>
        workOf({ verb: 'publish', store: path, channel: 'a', paths: sets(who), times: 8 }),
      ),
    );
    expect(store.versions().map(({ number }) => number)).toEqual(Array.from({ length: 24 }, (_, at) => at + 1));
    expect(new Set(store.versions().map(({ manifest }) => manifest)).size).toBe(24);
    expect(store.channels()).toMatchObject([{ current: 24, nextNumber: 25 }]);
    expect(await verify(store)).toMatchObject({ damage: [], leftovers: 0 });
  });

  it('publish and collect at once, and no needed version is removed', async () => {
    const path = join(folder(), 'store');
    const store = await openFor(path);
    await store.setDefaults({ keepVersions: 0 });
    // The two sets alternate; the collector wants to remove each while the other is current.
    const paths = [filesIn({ linux: 'one', cfg: 'same' }), filesIn({ linux: 'two', cfg: 'same' })];
    await Promise.all([
      workOf({ verb: 'publish', store: path, channel: 'a', paths, times: 40 }),
      workOf({ verb: 'gc', store: path, times: 40 }),
    ]);
    expect(await verify(store)).toMatchObject({ damage: [] });
    const [channel] = store.channels();
    expect(store.tables.versions.get(`a-${channel!.current}`)).toBeDefined();
    await collect(store, { graceMs: 0 });
    expect(store.versions()).toHaveLength(1);
  });

  it('see the changes of other processes, with a growing generation', async () => {
    const path = join(folder(), 'store');
    const store = await openFor(path);
    const before = store.generation;
    await workOf({ verb: 'publish', store: path, channel: 'a', paths: [filesIn({ linux: 'x' })] });
    expect(store.generation).toBeGreaterThan(before);
    expect(store.channels()).toMatchObject([{ name: 'a', current: 1 }]);
  });

  it('wait for the process that holds the lock, and continue when it is killed', async () => {
    const path = join(folder(), 'store');
    const store = await openFor(path);
    await publishFiles(store, 'a', { linux: 'old' });
    const work = (linux: string): { verb: 'publish'; store: string; channel: string; paths: string[] } => ({
      verb: 'publish',
      store: path,
      channel: 'a',
      paths: [filesIn({ linux })],
    });
    const holder = new StoreProcess({ ...work('never to be'), holdAt: 'blobs synced' });
    await holder.held();
    let isDone = false;
    const waiting = workOf(work('new')).then((steps) => {
      isDone = true;
      return steps;
    });
    const own = publishFiles(store, 'b', { linux: 'mine' }).then(() => {
      isDone = true;
    });
    // Readers wait for no lock.
    expect(store.channels()).toMatchObject([{ name: 'a', current: 1 }]);
    expect(isDone).toBe(false);
    holder.process.kill('SIGKILL');
    await Promise.all([waiting, own]);
    expect(store.channels()).toMatchObject([
      { current: 2, previous: [1] },
      { name: 'b', current: 1 },
    ]);
    // The leftovers are the blob of its file, its manifest and its staging folder.
    expect(await verify(store)).toMatchObject({ damage: [], leftovers: 3 });
    await collect(store);
    expect(await verify(store)).toMatchObject({ damage: [], leftovers: 0 });
  });

  it('do not lose the staging area of a running process', async () => {
    const path = join(folder(), 'store');
    const store = await openFor(path);
    const holder = new StoreProcess({
      verb: 'publish',
      store: path,
      channel: 'a',
      paths: [filesIn({ linux: 'x', initrd: 'y' })],
      holdAt: 'manifest staged',
    });
    await holder.held();
    expect(await collect(store, { graceMs: 0 })).toMatchObject({ leftovers: 0, blobs: 0 });
    holder.goOn();
    expect(await holder.ended).toMatchObject({ code: 0 });
    expect(store.channels()).toMatchObject([{ name: 'a', current: 1 }]);
    expect(await verify(store)).toMatchObject({ damage: [], leftovers: 0 });
  });
});
