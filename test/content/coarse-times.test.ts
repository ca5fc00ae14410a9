/** File systems with timestamps in whole seconds: a wrapper around node:fs/promises rounds times down. */
import { type BigIntStats, symlinkSync, writeFileSync } from 'node:fs';
import type * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { read, serve, temporaryFolder } from './fixture.ts';

/** The simulated file system: its timestamp granularity, and the time at which its files were last written. */
const times = vi.hoisted(() => ({ tickMs: 1000, writtenMs: 1_000_000_500_000 }));

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof fs>();
  const rounded = (stats: BigIntStats): BigIntStats => {
    const ns = BigInt(Math.floor(times.writtenMs / times.tickMs) * times.tickMs) * 1_000_000n;
    return Object.assign(Object.create(stats) as BigIntStats, { mtimeNs: ns, ctimeNs: ns });
  };
  return {
    ...real,
    stat: async (path: string) => rounded(await real.stat(path, { bigint: true })),
    open: async (path: string, flags: number) => {
      const handle = await real.open(path, flags);
      const stat = handle.stat.bind(handle) as (options: { bigint: true }) => Promise<BigIntStats>;
      handle.stat = (async () => rounded(await stat({ bigint: true }))) as unknown as typeof handle.stat;
      return handle;
    },
  };
});

describe('Directory on a file system with coarse times', () => {
  it.each([
    ['whole seconds, as of ext4 with small inodes', 1000, 1_000_000_000_000],
    ['every other second, as of FAT', 2000, 1_000_000_000_000],
  ])('sees an edit of equal length in the same tick: %s', async (_, tickMs, tick) => {
    const root = temporaryFolder();
    times.tickMs = tickMs;
    let wall = tick + 200;
    times.writtenMs = wall;
    writeFileSync(join(root, 'x'), 'version one');
    const { source, cache, pass } = serve(root, { wallClock: () => wall });
    const wait = (ms: number) => {
      wall += ms;
      pass(ms);
    };
    wait(300);
    expect(await read(source, 'x')).toBe('version one');
    wait(tickMs - 501);
    times.writtenMs = wall;
    writeFileSync(join(root, 'x'), 'version two');
    wait(1000);
    expect(await read(source, 'x')).toBe('version two');
    // Once the tick is certainly over, the bytes are kept.
    wait(2000);
    await read(source, 'x');
    const { loads } = cache.stats();
    for (let second = 0; second < 5; second++) {
      wait(1000);
      expect(await read(source, 'x')).toBe('version two');
    }
    expect(cache.stats()).toMatchObject({ loads, entries: 1 });
  });

  it('reads a file that was written a moment ago once a second, however many names lead to it', async () => {
    const root = temporaryFolder();
    times.tickMs = 1000;
    times.writtenMs = 1_000_000_000_000;
    writeFileSync(join(root, 'x'), 'text');
    const { source, cache } = serve(root, { wallClock: () => times.writtenMs + 500 });
    for (const name of ['a', 'b']) symlinkSync('x', join(root, name));
    for (const name of ['x', 'a', 'b']) expect(await read(source, name)).toBe('text');
    expect(cache.stats()).toMatchObject({ loads: 1 });
  });
});
