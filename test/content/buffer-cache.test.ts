import { EventEmitter, once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { allocateShared, type MemoryHandle, shareBytes } from '../../src/bytes/shared-bytes.ts';
import { BufferCache } from '../../src/content/buffer-cache.ts';
import type { Loaded, Unloaded } from '../../src/content/buffer-cache-types.ts';
import { hold, loaded } from './cached.ts';

/** A load that ends when the test says so. */
function pendingLoad(): {
  load: () => Promise<Loaded | Unloaded>;
  finish: (result: Loaded | Unloaded) => void;
} {
  const events = new EventEmitter();
  const result = once(events, 'finish').then(([value]: (Loaded | Unloaded)[]) => value!);
  return { load: () => result, finish: (value) => void events.emit('finish', value) };
}

/** Tells if the key is in memory, and makes it the most recently used. */
async function has(cache: BufferCache, key: string): Promise<boolean> {
  const before = cache.stats().loads;
  const result = await cache.acquire(key, async () => ({ kind: 'missing' }));
  if (result.kind === 'held') result.release();
  return cache.stats().loads === before;
}

describe('BufferCache', () => {
  it('loads a file once for all concurrent readers, and again only when it must', async () => {
    const cache = new BufferCache();
    const { load, finish } = pendingLoad();
    const asks = Array.from({ length: 1000 }, async () => await cache.acquire('a', load));
    expect(cache.stats()).toMatchObject({ loads: 1, misses: 1000, hits: 0 });
    const { handle } = allocateShared(10);
    finish({ handle });
    const readers = await Promise.all(asks);
    expect(readers.every((each) => each.kind === 'held' && each.handle === handle)).toBe(true);
    expect(cache.stats()).toMatchObject({ loads: 1, heldBytes: 10, idleBytes: 0, entries: 1 });
    for (const each of readers) if (each.kind === 'held') each.release();
    expect(cache.stats()).toMatchObject({ heldBytes: 0, idleBytes: 10, entries: 1 });
    (await hold(cache, 'a', 10)).release();
    expect(cache.stats()).toMatchObject({ loads: 1, hits: 1 });
  });

  it('never holds more than its limit: a larger load is refused, and idle bytes make way', async () => {
    const cache = new BufferCache({ maxBytes: 1000, limitBytes: 100 });
    const refuse = async (): Promise<never> => Promise.reject(new Error('Expected no load'));
    const one = await hold(cache, 'one', 60);
    expect(await cache.acquire('two', refuse, 50)).toEqual({
      kind: 'busy',
      reason: 'the memory limit is reached',
      isShortOfMemory: true,
    });
    expect(await cache.acquire('three', refuse, 101)).toMatchObject({ kind: 'denied', tooLarge: true });
    // A request for bytes that are already in memory costs nothing.
    const again = await hold(cache, 'one', 60);
    again.release();
    one.release();
    const two = await hold(cache, 'two', 50);
    expect(cache.stats()).toMatchObject({ heldBytes: 50, idleBytes: 0, evictions: 1 });
    expect(cache.stats().heldBytes + cache.stats().idleBytes).toBeLessThanOrEqual(100);
    two.release();
  });

  it('counts loads under way towards its limit', async () => {
    const cache = new BufferCache({ limitBytes: 100 });
    const { load, finish } = pendingLoad();
    const first = cache.acquire('a', load, 80);
    expect(await cache.acquire('b', () => loaded(30), 30)).toMatchObject({ kind: 'busy' });
    const waiting = cache.acquire('a', load, 80);
    finish(allocateShared(80));
    expect([(await first).kind, (await waiting).kind]).toEqual(['held', 'held']);
  });

  it('keeps the bytes while some of the waiting readers have not yet run', async () => {
    const cache = new BufferCache({ maxBytes: 0 });
    const handles = await Promise.all(
      [1, 2, 3].map(async () => {
        const mine = await hold(cache, 'a', 10);
        mine.release();
        return mine.handle;
      }),
    );
    expect(new Set(handles).size).toBe(1);
    expect(cache.stats()).toMatchObject({ heldBytes: 0, idleBytes: 0, entries: 0, loads: 1 });
  });

  it('ignores a second release', async () => {
    const cache = new BufferCache({ maxBytes: 0 });
    const first = await hold(cache, 'a', 10);
    const second = await hold(cache, 'a', 10);
    first.release();
    first.release();
    expect(cache.stats()).toMatchObject({ heldBytes: 10, entries: 1 });
    second.release();
    expect(cache.stats()).toMatchObject({ heldBytes: 0, entries: 0 });
  });

  it('evicts the least recently read content', async () => {
    const cache = new BufferCache({ maxBytes: 30 });
    for (const key of ['a', 'b', 'c']) (await hold(cache, key, 10)).release();
    (await hold(cache, 'a', 10)).release();
    (await hold(cache, 'd', 10)).release();
    expect(cache.stats()).toMatchObject({ evictions: 1, idleBytes: 30, entries: 3 });
    expect(await has(cache, 'b')).toBe(false);
    expect(await has(cache, 'a')).toBe(true);
    expect(await has(cache, 'c')).toBe(true);
    expect(await has(cache, 'd')).toBe(true);
  });

  it('never evicts content that is being read, and keeps nothing else if that exceeds the budget', async () => {
    const cache = new BufferCache({ maxBytes: 30 });
    (await hold(cache, 'idle', 5)).release();
    const held = [await hold(cache, 'a', 20), await hold(cache, 'b', 20)];
    expect(cache.stats()).toMatchObject({ heldBytes: 40, idleBytes: 0, evictions: 1 });
    (await hold(cache, 'c', 1)).release();
    expect(await has(cache, 'c')).toBe(false);
    expect(await has(cache, 'a')).toBe(true);
    for (const each of held) each.release();
    expect(cache.stats()).toMatchObject({ heldBytes: 0, idleBytes: 20 });
    expect(await has(cache, 'b')).toBe(true);
  });

  it('shares a file larger than the budget and drops it with its last reader', async () => {
    const cache = new BufferCache({ maxBytes: 30 });
    const [first, second] = await Promise.all([hold(cache, 'a', 100), hold(cache, 'a', 100)]);
    const third = await hold(cache, 'a', 100);
    expect(new Set([first.handle, second.handle, third.handle]).size).toBe(1);
    first.release();
    second.release();
    expect(cache.stats()).toMatchObject({ heldBytes: 100, loads: 1 });
    third.release();
    expect(cache.stats()).toMatchObject({ heldBytes: 0, idleBytes: 0, entries: 0, evictions: 1 });
  });

  it('makes room before a load whose size is known, and takes it back when the load fails', async () => {
    const cache = new BufferCache({ maxBytes: 30 });
    (await hold(cache, 'old', 20)).release();
    const { load, finish } = pendingLoad();
    const asked = cache.acquire('a', load, 25);
    expect(cache.stats()).toMatchObject({ heldBytes: 25, idleBytes: 0, entries: 0 });
    finish({ kind: 'busy', reason: 'disk' });
    expect(await asked).toEqual({ kind: 'busy', reason: 'disk' });
    expect(cache.stats()).toMatchObject({ heldBytes: 0, entries: 0 });
  });

  it('reports a failed load to all waiting readers, and loads again on the next request', async () => {
    const cache = new BufferCache();
    const missing: Unloaded = { kind: 'missing' };
    const failing = async () => missing;
    expect(await Promise.all([cache.acquire('a', failing), cache.acquire('a', failing)])).toEqual([missing, missing]);
    const fault = new Error('a fault of ours');
    const throwing = () => Promise.reject(fault);
    const both = await Promise.allSettled([cache.acquire('a', throwing), cache.acquire('a', throwing)]);
    expect(both).toEqual([
      { status: 'rejected', reason: fault },
      { status: 'rejected', reason: fault },
    ]);
    expect(cache.stats()).toMatchObject({ loads: 2, heldBytes: 0, entries: 0 });
    (await hold(cache, 'a', 10)).release();
    expect(cache.stats()).toMatchObject({ loads: 3, idleBytes: 10 });
  });

  it('keeps empty files', async () => {
    const cache = new BufferCache();
    const empty = await hold(cache, 'a', 0);
    expect(empty.handle.length).toBe(0);
    empty.release();
    expect(await has(cache, 'a')).toBe(true);
  });

  it('lets readers of a superseded version finish, and gives newcomers a version of their own', async () => {
    const cache = new BufferCache();
    const old = await hold(cache, 'a', 10);
    cache.supersede('a');
    const young = await hold(cache, 'a', 10);
    expect(young.handle).not.toBe(old.handle);
    expect(cache.stats()).toMatchObject({ heldBytes: 20, entries: 2 });
    old.release();
    expect(cache.stats()).toMatchObject({ heldBytes: 10, idleBytes: 0, entries: 1 });
    young.release();
    expect(cache.stats()).toMatchObject({ heldBytes: 0, idleBytes: 10, entries: 1 });
    cache.supersede('a');
    expect(cache.stats()).toMatchObject({ idleBytes: 0, entries: 0, evictions: 0 });
  });

  it('does not keep content that was superseded while it was loading', async () => {
    const cache = new BufferCache();
    const old = hold(cache, 'a', 10);
    cache.supersede('a');
    const young = hold(cache, 'a', 20);
    expect((await young).handle.length).toBe(20);
    (await old).release();
    expect(cache.stats()).toMatchObject({ heldBytes: 20, idleBytes: 0, entries: 1, loads: 2 });
    (await young).release();
    expect(cache.stats()).toMatchObject({ heldBytes: 0, idleBytes: 20, entries: 1 });
  });

  it('lets newcomers wait for the young load, also when the superseded one ends before it', async () => {
    const cache = new BufferCache();
    const [old, young] = [pendingLoad(), pendingLoad()];
    const first = cache.acquire('a', old.load);
    cache.supersede('a');
    const second = cache.acquire('a', young.load);
    old.finish(allocateShared(10));
    await first;
    const third = cache.acquire('a', () => loaded(30));
    young.finish(allocateShared(20));
    expect(await third).toMatchObject({ kind: 'held', handle: { length: 20 } });
    expect(await second).toMatchObject({ kind: 'held', handle: { length: 20 } });
    expect(cache.stats()).toMatchObject({ loads: 2, heldBytes: 30 });
  });

  it('rejects a budget that is not a number of bytes', () => {
    for (const maxBytes of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => new BufferCache({ maxBytes })).toThrow(RangeError);
    }
  });

  it('discards content with its last reader if it must not be kept', async () => {
    const cache = new BufferCache({ maxBytes: 1000 });
    const discarded: string[] = [];
    const load = (key: string) => async (): Promise<Loaded> => ({
      ...allocateShared(100),
      discard: () => void discarded.push(key),
    });
    const readers = await Promise.all(Array.from({ length: 3 }, async () => await cache.acquire('a', load('a'), 100)));
    const old = await cache.acquire('b', load('b'), 100);
    cache.supersede('b');
    expect(cache.stats()).toMatchObject({ heldBytes: 200, entries: 2 });
    const seen = [...readers, old].map((reader) => {
      if (reader.kind === 'held') reader.release();
      return discarded.join();
    });
    expect(seen).toEqual(['', '', 'a', 'a,b']);
    expect(cache.stats()).toMatchObject({ heldBytes: 0, idleBytes: 0, entries: 0, evictions: 0 });
    (await hold(cache, 'a', 100)).release();
    expect(cache.stats()).toMatchObject({ loads: 3, idleBytes: 100 });
  });

  it('releases idle content when it is closed, and the rest with its readers', async () => {
    const cache = new BufferCache({ maxBytes: 1000 });
    const discarded: string[] = [];
    const acquire = async (key: string) => {
      const load = async () => ({
        handle: shareBytes(new Uint8Array(100)),
        discard: () => void discarded.push(key),
        idles: true,
      });
      const came = await cache.acquire(key, load);
      if (came.kind !== 'held') throw new Error(`Got ${came.kind}`);
      return came;
    };
    const read = await acquire('read');
    cache.keep('kept');
    for (const key of ['idle', 'kept']) (await acquire(key)).release();
    expect(discarded).toEqual([]);
    cache.close();
    expect(discarded.toSorted()).toEqual(['idle', 'kept']);
    expect(cache.stats()).toMatchObject({ idleBytes: 0, shelvedBytes: 0, heldBytes: 100, evictions: 0 });
    read.release();
    expect(discarded.toSorted()).toEqual(['idle', 'kept', 'read']);
  });

  it('releases the memory of evicted and superseded content', async () => {
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    const cache = new BufferCache({ maxBytes: 1000 });
    // A separate function, so that its variables are gone once it has returned.
    const readAndRelease = async (key: string, bytes: number) => {
      const one = await hold(cache, key, bytes);
      if (key === 'superseded') cache.supersede(key);
      one.release();
      return new WeakRef((one.handle as MemoryHandle).buffer);
    };
    const gone = [
      await readAndRelease('evicted', 600),
      await readAndRelease('superseded', 600),
      await readAndRelease('larger than the budget', 2000),
    ];
    (await hold(cache, 'evicts', 1000)).release();
    expect(cache.stats()).toMatchObject({ entries: 1, heldBytes: 0, idleBytes: 1000 });
    // A WeakRef keeps its target until the end of the event loop turn that created it.
    await setImmediate();
    collect();
    expect(gone.map((each) => each.deref())).toEqual([undefined, undefined, undefined]);
  });
});

describe('what is to be kept', () => {
  async function used(cache: BufferCache, key: string, bytes: number): Promise<void> {
    (await hold(cache, key, bytes)).release();
  }

  it('stays without a reader whatever the budget, until each keep has been dropped', async () => {
    const told: number[] = [];
    const cache = new BufferCache({ maxBytes: 100, onOverBudget: (bytes) => void told.push(bytes) });
    cache.keep('a');
    cache.keep('a');
    await used(cache, 'a', 80);
    await used(cache, 'b', 90);
    expect(cache.stats()).toMatchObject({ shelvedBytes: 80, idleBytes: 0, heldBytes: 0, evictions: 1, overBudget: 1 });
    expect(told).toEqual([170]);
    cache.drop('a');
    expect([cache.has('a'), cache.stats().shelvedBytes]).toEqual([true, 80]);
    cache.drop('a');
    expect(cache.stats()).toMatchObject({ shelvedBytes: 0, idleBytes: 80 });
    await used(cache, 'b', 90);
    expect([cache.has('a'), cache.has('b')]).toEqual([false, true]);
  });

  it('is kept from the call on, even if it was idle', async () => {
    const cache = new BufferCache({ maxBytes: 100 });
    await used(cache, 'a', 60);
    cache.keep('a');
    expect(cache.stats()).toMatchObject({ shelvedBytes: 60, idleBytes: 0 });
    await used(cache, 'a', 60);
    expect(cache.stats()).toMatchObject({ shelvedBytes: 60, hits: 1, loads: 1 });
  });

  it('makes way only for the limit', async () => {
    const cache = new BufferCache({ maxBytes: 100, limitBytes: 200 });
    for (const key of ['a', 'b']) {
      cache.keep(key);
      await used(cache, key, 90);
    }
    const big = await hold(cache, 'c', 150);
    expect(cache.stats()).toMatchObject({ heldBytes: 150, shelvedBytes: 0, evictions: 2 });
    big.release();
  });

  it('goes when it is superseded', async () => {
    let discarded = 0;
    const cache = new BufferCache({ maxBytes: 100 });
    cache.keep('a');
    const mapped = { handle: { address: 4096n, length: 10 }, discard: () => void discarded++, idles: true };
    const got = await cache.acquire('a', () => Promise.resolve(mapped));
    if (got.kind === 'held') got.release();
    expect([cache.stats().shelvedBytes, discarded]).toEqual([10, 0]);
    cache.supersede('a');
    expect([cache.stats().shelvedBytes, discarded]).toEqual([0, 1]);
  });
});

describe('what is mapped and may idle', () => {
  it('is given back when it is evicted, once', async () => {
    const discarded: string[] = [];
    const cache = new BufferCache({ maxBytes: 100 });
    const use = async (key: string, length: number): Promise<void> => {
      const mapped = { handle: { address: 4096n, length }, discard: () => void discarded.push(key), idles: true };
      const got = await cache.acquire(key, () => Promise.resolve(mapped));
      if (got.kind === 'held') got.release();
    };
    await use('a', 60);
    await use('a', 60);
    expect([discarded, cache.stats().idleBytes, cache.stats().loads]).toEqual([[], 60, 1]);
    await use('b', 60);
    expect([discarded, cache.stats().evictions]).toEqual([['a'], 1]);
    // Bytes larger than the budget are not kept.
    await use('c', 150);
    expect(discarded).toEqual(['a', 'b', 'c']);
  });
});
