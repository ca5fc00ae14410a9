/** The buffer cache with bytes that are still being read. */
import { describe, expect, it } from 'vitest';
import { allocateShared } from '../../src/bytes/shared-bytes.ts';
import { BufferCache } from '../../src/content/buffer-cache.ts';
import type { Loaded } from '../../src/content/buffer-cache-types.ts';
import type { Reading } from '../../src/content/file-reading.ts';
import { FileSupply } from '../../src/content/file-supply.ts';
import { hold, loaded } from './cached.ts';

describe('the buffer cache', () => {
  /** Bytes that arrive when the test releases them. */
  function coming(size: number) {
    const gates: (() => void)[] = [];
    let freed = 0;
    let position = 0;
    const reading: Reading = {
      handle: allocateShared(size).handle,
      get isAtEnd() {
        return position === size;
      },
      next: async (_, length) => {
        await new Promise<void>((resolve) => void gates.push(resolve));
        position += length;
        return length;
      },
      isUnchanged: async () => true,
      close: async () => {},
      cancel: () => {},
      free: () => void freed++,
    };
    const supply = new FileSupply({ reading, size, clock: () => 0 });
    const arrive = async (): Promise<void> => {
      gates.shift()!();
      await new Promise((resolve) => setImmediate(resolve));
    };
    const load = async (): Promise<Loaded> => ({
      handle: supply.handle,
      supply,
      discard: () => supply.stop(),
      idles: true,
    });
    return { supply, arrive, load, freed: () => freed };
  }

  it('counts a file that is still being read by its size so far, and never promises more than there is', async () => {
    const cache = new BufferCache({ limitBytes: 200_000 });
    (await hold(cache, 'idle', 100_000)).release();
    const { supply, arrive, load } = coming(150_000);
    const first = await cache.acquire('large', load, 0, 150_000);
    expect(cache.stats()).toMatchObject({ heldBytes: 1, idleBytes: 100_000 });
    expect(await cache.acquire('other', () => loaded(60_000), 0, 60_000)).toMatchObject({ isShortOfMemory: true });
    await arrive();
    expect(cache.stats()).toMatchObject({ heldBytes: 65_536, idleBytes: 100_000 });
    supply.acknowledge(0);
    await arrive();
    expect(cache.stats()).toMatchObject({ heldBytes: 150_000, idleBytes: 0, entries: 1 });
    if (first.kind === 'held') first.release();
    expect(cache.stats()).toMatchObject({ heldBytes: 0, idleBytes: 150_000 });
    const again = await hold(cache, 'large', 150_000);
    expect(again).toMatchObject({ supply: undefined, handle: { length: 150_000 } });
  });

  it('stops reading and keeps nothing of an incomplete file when its last reader leaves', async () => {
    const cache = new BufferCache({ limitBytes: 200_000 });
    const { arrive, load, freed } = coming(150_000);
    const readers = await Promise.all([cache.acquire('large', load, 0, 150_000), cache.acquire('large', load)]);
    for (const reader of readers) if (reader.kind === 'held') reader.release();
    expect(cache.stats()).toMatchObject({ heldBytes: 0, idleBytes: 0, entries: 0, loads: 1 });
    expect(freed()).toBe(0);
    await arrive();
    expect(freed()).toBe(1);
    // The memory reserved for the rest of the file is free again.
    expect(await cache.acquire('other', () => loaded(175_000), 0, 175_000)).toMatchObject({ kind: 'held' });
  });

  it('reserves an eighth of the limit for small files and rings, so that one large file does not keep others out', async () => {
    const cache = new BufferCache({ limitBytes: 200_000 });
    expect(await cache.acquire('too large', coming(180_000).load, 0, 180_000)).toMatchObject({ tooLarge: true });
    expect(await cache.acquire('large', coming(175_000).load, 0, 175_000)).toMatchObject({ kind: 'held' });
    expect(await cache.acquire('other', coming(20_000).load, 0, 20_000)).toMatchObject({ isShortOfMemory: true });
    expect(typeof cache.hold(10_000)).toBe('function');
    expect(await cache.acquire('small', async () => loaded(10_000), 10_000)).toMatchObject({ kind: 'held' });
  });
});
