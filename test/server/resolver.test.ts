import { describe, expect, it } from 'vitest';
import { MemorySource } from '../../src/content/memory-source.ts';
import type { Answer, BootRequest, Source } from '../../src/content/types.ts';
import { Resolver } from '../../src/server/resolver.ts';

const REQUEST: BootRequest = { filename: 'a', mode: 'octet', client: '10.0.0.2', local: '10.0.0.1' };
const FILES = new MemorySource(new Map([['b', Uint8Array.of(1)]]));

/** One source that answers synchronously, and one that answers later. */
function ways(open: () => Answer): readonly Source[] {
  return [{ open }, { open: async () => open() }];
}

describe('Resolver', () => {
  it('answers synchronously if no source waits', () => {
    expect(new Resolver([{ open: () => ({ kind: 'notMine' }) }, FILES]).resolve(REQUEST)).toEqual({ kind: 'missing' });
  });

  it.each([0, 1])('asks the next for the new name, or when a source has nothing to do with it (%i)', async (way) => {
    const renamed = ways(() => ({ kind: 'renamed', filename: 'b' }))[way]!;
    const passed = ways(() => ({ kind: 'notMine' }))[way]!;
    expect(await new Resolver([passed, renamed, passed, FILES]).resolve(REQUEST)).toMatchObject({ label: 'b' });
  });

  it.each<[string, () => Answer]>([
    [
      'throws',
      () => {
        throw new Error('no disk');
      },
    ],
    ['answers undefined', () => undefined as unknown as Answer],
    ['answers null', () => null as unknown as Answer],
    ['answers a text', () => 'file' as unknown as Answer],
  ])('is busy for a source that %s, at once or later, and goes on with the next request', async (_, open) => {
    for (const source of ways(open)) {
      const resolver = new Resolver([source]);
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      expect(await resolver.resolve(REQUEST)).toMatchObject({ kind: 'busy' });
    }
  });
});
