/** A store of a fleet: promoted moves, and versions that stay because other servers need them. */
import { describe, expect, it } from 'vitest';
import { followPromotions } from '../../../src/boot-set/store/channel-changes.ts';
import { collect } from '../../../src/boot-set/store/collect.ts';
import { DEFAULT_CHANNEL_SETTINGS, type PromotionRecord } from '../../../src/boot-set/store/records.ts';
import type { Store } from '../../../src/boot-set/store/store.ts';
import { supersedes } from '../../../src/fleet/promotion.ts';
import { folder, newStore, openFor, publishFiles } from '../fixture.ts';

const MINUTE = 60_000;

async function names(store: Store): Promise<string[]> {
  await collect(store, { graceMs: 0 });
  return store.versions().map(({ number }) => `install-${number}`);
}

function promotion(generation: number, manifest: string, at = generation): PromotionRecord {
  return { generation, at, manifest };
}

async function follow(store: Store, number: number, promoted: PromotionRecord): Promise<number> {
  const wish = [{ channel: 'install', number, promotion: promoted }];
  return (await store.change((tables) => followPromotions(tables, wish, supersedes))).length;
}

describe('a promotion', () => {
  it('makes its version current and is remembered on disk; an older one, or one without its version, changes nothing', async () => {
    const path = folder();
    const store = await openFor(path);
    const first = await publishFiles(store, 'install', { linux: 'one' });
    const second = await publishFiles(store, 'install', { linux: 'two' });
    expect(await follow(store, 1, promotion(4, first.manifest))).toBe(1);
    expect(await follow(store, 2, promotion(3, second.manifest))).toBe(0);
    expect(await follow(store, 2, promotion(5, first.manifest))).toBe(0);
    expect(await follow(store, 7, promotion(5, second.manifest))).toBe(0);
    const again = await openFor(path);
    expect(again.channels()).toMatchObject([
      { current: 1, previous: [2], promoted: { generation: 4, at: 4, manifest: first.manifest } },
    ]);
    expect(await follow(store, 2, promotion(5, second.manifest))).toBe(1);
    expect(store.channels()).toMatchObject([{ current: 2, previous: [1], promoted: { generation: 5 } }]);
  });
});

describe('a collection', () => {
  it('keeps what other servers needed until a pin of theirs would have ended, also for another process', async () => {
    let now = 1_700_000_000_000;
    const path = folder();
    const store = await openFor(path, { now: () => now });
    await store.setDefaults({ ...DEFAULT_CHANNEL_SETTINGS, keepVersions: 0 });
    const [first, second] = [
      await publishFiles(store, 'install', { linux: '1' }),
      await publishFiles(store, 'install', { linux: '2' }),
    ];
    await publishFiles(store, 'install', { linux: '3' });
    const held = new Set(store.versions().map(({ manifest }) => manifest));
    await store.setNeededByOthers([first.manifest, second.manifest], held);
    now += 10 * MINUTE;
    await store.setNeededByOthers([first.manifest, 'f'.repeat(64)], held);
    expect([...store.neededByOthers().keys()].toSorted()).toEqual([first.manifest, second.manifest].toSorted());
    now += 10 * MINUTE;
    const other = await openFor(path, { now: () => now });
    expect(await names(other)).toEqual(['install-1', 'install-3']);
    now += 6 * MINUTE;
    expect(await names(other)).toEqual(['install-3']);
    await store.setNeededByOthers([], new Set());
    expect(store.neededByOthers().size).toBe(0);
  });

  it('keeps a version that is staged and waits for its promotion', async () => {
    const store = await newStore();
    await publishFiles(store, 'install', { linux: '1' });
    const staged = await publishFiles(store, 'install', { linux: '2' }, { candidate: true });
    await store.change((tables) => {
      const { rollout: _, ...channel } = tables.channels.get('install')!;
      tables.channels.put('install', { ...channel, followed: staged.manifest });
    });
    expect(await names(store)).toEqual(['install-1', 'install-2']);
    await store.change((tables) =>
      tables.channels.put('install', { ...tables.channels.get('install')!, followed: 'f'.repeat(64) }),
    );
    expect(await names(store)).toEqual(['install-1']);
  });
});
