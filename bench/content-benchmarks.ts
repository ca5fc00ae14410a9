/**
 * The small benchmarks of content: the cost of opening a file that is in memory, and of releasing it. Knows no clock
 * and prints nothing.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shareBytes } from '../src/bytes/shared-bytes.ts';
import { BufferCache } from '../src/content/buffer-cache.ts';
import { Directory } from '../src/content/directory.ts';
import type { Benchmark } from './benchmark.ts';
import { BLKSIZE } from './benchmark-sizes.ts';

const cacheHit: Benchmark = {
  name: 'cache hit: acquire and release',
  batch: 1000,
  pieces: 1,
  prepare: () => {
    const cache = new BufferCache();
    const loaded = { handle: shareBytes(new Uint8Array(BLKSIZE)) };
    const load = (): Promise<typeof loaded> => Promise.resolve(loaded);
    return {
      run: async (times) => {
        let count = 0;
        for (let turn = 0; turn < times; turn++) {
          const held = await cache.acquire('key', load);
          if (held.kind !== 'held') continue;
          count++;
          held.release();
        }
        return count;
      },
    };
  },
};

const knownName: Benchmark = {
  name: 'directory: open and release a known name',
  batch: 500,
  pieces: 1,
  prepare: async () => {
    const root = await mkdtemp(join(tmpdir(), 'reveille-bench-'));
    await writeFile(join(root, 'linux'), new Uint8Array(BLKSIZE));
    // The clocks stand still, so that an answer for a name stays valid for ever.
    const directory = new Directory({ root, cache: new BufferCache(), clock: () => 0, wallClock: () => 0 });
    const request = { filename: '/linux', mode: 'octet', client: '192.0.2.7', local: '192.0.2.1' } as const;
    return {
      run: async (times) => {
        let count = 0;
        for (let turn = 0; turn < times; turn++) {
          const answer = await directory.open(request);
          if (answer.kind !== 'content') continue;
          count++;
          answer.release();
        }
        return count;
      },
      close: () => rm(root, { recursive: true, force: true }),
    };
  },
};

export const contentBenchmarks: readonly Benchmark[] = [cacheHit, knownName];
