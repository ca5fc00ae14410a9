/** A full disk: the store refuses before it writes if it can foresee the error, and undoes its work otherwise. */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, statfsSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { collect } from '../../../src/boot-set/store/collect.ts';
import { publish } from '../../../src/boot-set/store/publish.ts';
import { openStore, type Store } from '../../../src/boot-set/store/store.ts';
import { verify } from '../../../src/boot-set/store/verify.ts';
import { pull } from '../../../src/registry/pull.ts';
import { parseReference } from '../../../src/registry/reference.ts';
import { FakeRegistry } from '../../registry/fixture.ts';
import { canMount, filesIn, messageOf, mounted, newStore, photograph, publishFiles } from '../fixture.ts';

/** Fills the file system. @returns the file that fills it. */
function fill(path: string): string {
  const file = join(path, 'filler');
  const fd = openSync(file, 'w');
  const block = Buffer.alloc(4096, 1);
  try {
    for (;;) writeSync(fd, block);
  } catch {
    // The file system is full.
  } finally {
    closeSync(fd);
  }
  return file;
}

describe.runIf(canMount)('on a small disk', () => {
  it('a set that does not fit is refused before anything is written', async () => {
    const disk = mounted(8 * 2 ** 20)!;
    const store = await openStore({ path: join(disk, 'store') });
    await publishFiles(store, 'a', { linux: randomBytes(2 * 2 ** 20) });
    const before = photograph(store.path);
    const message = await messageOf(() => publishFiles(store, 'a', { linux: randomBytes(6 * 2 ** 20) }));
    expect(message).toMatch(
      /^StoreError: .*: not enough space: expected \d+ bytes free, got \d+; nothing was written$/,
    );
    expect([photograph(store.path), store.channels()]).toMatchObject([before, [{ current: 1 }]]);
    await store.close();
  });

  it('makes room by collecting versions that nothing needs', async () => {
    const disk = mounted(8 * 2 ** 20)!;
    let now = 1_000_000_000_000;
    const store = await openStore({ path: join(disk, 'store'), now: () => now });
    await store.setDefaults({ keepVersions: 0 });
    for (let turn = 0; turn < 5; turn++) {
      await publishFiles(store, 'a', { linux: randomBytes(3 * 2 ** 20) });
      await collect(store);
      // The grace period is over, so the next publish can collect the former version.
      now += 3_600_000;
    }
    expect(store.channels()).toMatchObject([{ current: 5 }]);
    expect(await verify(store)).toMatchObject({ damage: [] });
    await store.close();
  });

  it.each(['blob file made', 'blob downloaded', 'manifest staged'])(
    'a pull that fills the disk at the step "%s" leaves the store as it was, and succeeds later',
    async (step) => {
      const disk = mounted(8 * 2 ** 20)!;
      let filler: string | undefined;
      const onStep = (seen: string): void => {
        if (seen === step) filler ??= fill(disk);
      };
      const store = await openStore({ path: join(disk, 'store'), onStep });
      const registry = await FakeRegistry.start();
      const linux = randomBytes(2 * 2 ** 20);
      registry.addSet({ linux }, 'stable');
      const reference = parseReference(`oci+http://${registry.host}/boot/install:stable`);
      const request = { reference, channel: 'install', standing: 'current' } as const;
      const message = await messageOf(() => pull(store, request));
      expect(message).toMatch(/^StoreError: [^\n]*(?:could not be written to|ENOSPC)[^\n]*$/);
      expect(store.channels()).toEqual([]);
      await store.close();
      unlinkSync(filler!);
      const again = await openStore({ path: join(disk, 'store') });
      expect(await pull(again, request)).toMatchObject({ version: { name: 'install-1' } });
      expect(await verify(again)).toMatchObject({ damage: [] });
      await again.close();
    },
  );

  it.each(['file made', 'manifest staged', 'blobs synced', 'index.json opened'])(
    'that is full at the step "%s" leaves the old state',
    async (at) => {
      const disk = mounted(8 * 2 ** 20)!;
      let filler: string | undefined;
      const isDue = (step: string, store: Store | undefined): boolean =>
        step === at && filler === undefined && store !== undefined && store.channels().length > 0;
      let opened: Store | undefined;
      const store = await openStore({
        path: join(disk, 'store'),
        onStep: (step) => {
          if (isDue(step, opened)) filler = fill(disk);
        },
      });
      await publishFiles(store, 'a', { linux: randomBytes(100_000) });
      opened = store;
      const before = photograph(store.path);
      const message = await messageOf(() => publishFiles(store, 'a', { linux: randomBytes(900_000) }));
      expect(message).toMatch(/^StoreError: .*(ENOSPC|is the disk full)/);
      expect(statfsSync(disk).type).toBeGreaterThan(0);
      unlinkSync(filler!);
      expect(store.channels()).toMatchObject([{ current: 1, nextNumber: 2 }]);
      await collect(store, { graceMs: 0 });
      expect(photograph(store.path)).toEqual(before);
      expect(await verify(store)).toMatchObject({ damage: [], leftovers: 0 });
      expect(await publishFiles(store, 'a', { linux: 'small' })).toMatchObject({ number: 2 });
      await store.close();
    },
  );
});

describe('a disk that is full', () => {
  it('at any step leaves the old state', async () => {
    let failAt = Number.POSITIVE_INFINITY;
    let steps = 0;
    const store = await newStore({
      onStep: (step) => {
        if (++steps === failAt && step !== 'committed' && step !== 'flushed' && step !== 'staging removed') {
          throw Object.assign(new Error(`ENOSPC: no space left on device, at ${step}`), { code: 'ENOSPC' });
        }
      },
    });
    await publishFiles(store, 'a', { linux: 'one', initrd: 'for one' });
    const before = photograph(store.path);
    const set = filesIn({ linux: 'two', initrd: 'for two' });
    let failures = 0;
    for (let at = 1; ; at++) {
      steps = 0;
      failAt = at;
      const outcome = await publish(store, { channel: 'a', paths: [set] }).then(
        ({ name }) => name,
        (error: unknown) => String(error),
      );
      failAt = Number.POSITIVE_INFINITY;
      if (outcome === 'a-2') break;
      expect(outcome).toMatch(/^StoreError: .*publishing failed: ENOSPC/);
      failures++;
      await collect(store, { graceMs: 0 });
      expect([outcome, photograph(store.path)]).toEqual([outcome, before]);
      expect(store.channels()).toMatchObject([{ current: 1, nextNumber: 2 }]);
    }
    // The config blob already exists, so it adds no steps.
    expect(failures).toBeGreaterThanOrEqual(16);
    expect(await verify(store)).toMatchObject({ damage: [], leftovers: 0 });
  });
});
