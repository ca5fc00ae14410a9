/** A source of boot sets in a fleet: what it says it holds, and staged versions that wait in memory. */
import { describe, expect, it } from 'vitest';
import { CLIENT, Serving, setOf, T0 } from './serving.ts';

type Holdings = ReturnType<Serving['source']['holdings']>;

function holdings({ source, store }: Serving): Holdings {
  const useNotes = store.tables.useNotes.entries();
  return source.holdings({ overrides: store.overrides(), useNotes, defaults: store.defaults() }, T0);
}

/** Marks a version as the one that the followed tag names; the channel stays at the other one. */
async function stage({ store }: Serving, number: number): Promise<void> {
  const { manifest } = store.tables.versions.get(`rack-${number}`)!;
  await store.change((tables) => {
    const channel = tables.channels.get('rack')!;
    tables.channels.put('rack', { ...channel, current: 1, previous: [], followed: manifest });
  });
}

describe('the holdings of a server', () => {
  it('are its versions, and need those that are current, staged, booted, named or chosen by hand', async () => {
    const serving = await Serving.start();
    for (let version = 1; version <= 6; version++) await serving.publish('rack', setOf(version));
    await stage(serving, 6);
    const needed = (): number[] => {
      const [rack] = holdings(serving);
      expect(rack!.versions.map(({ number }) => number)).toEqual([6, 5, 4, 3, 2, 1]);
      return rack!.versions.filter(({ isNeeded }) => isNeeded).map(({ number }) => number);
    };
    expect(needed()).toEqual([6, 1]);
    const { manifest } = serving.store.tables.versions.get('rack-1')!;
    expect(holdings(serving)[0]).toMatchObject({ name: 'rack', current: manifest, promoted: undefined, pins: 0 });
    await serving.store.change((tables) =>
      tables.overrides.put('mac:x\0rack', { node: 'mac:x', channel: 'rack', version: 2 }),
    );
    await serving.read('rack-3/linux');
    await serving.versions(CLIENT, 'rack/pxelinux.0');
    expect(needed()).toEqual([6, 3, 2, 1]);
    // The node goes on with its version while the channel moves.
    await serving.store.change((tables) => {
      const channel = tables.channels.get('rack')!;
      tables.channels.put('rack', { ...channel, current: 4 });
    });
    expect(needed()).toEqual([6, 4, 3, 2, 1]);
    expect(holdings(serving)[0]).toMatchObject({ pins: 1 });
  });
});

describe('a staged version', () => {
  it('is in memory before it is promoted', async () => {
    const serving = await Serving.start({ prefetchBytes: 2 ** 20 });
    const inMemory = (): number => serving.cache.stats().entries;
    await serving.publish('rack', setOf(1));
    await expect.poll(inMemory).toBe(5);
    await serving.publish('rack', setOf(2), true);
    await serving.read('rack/linux');
    expect(inMemory()).toBe(5);
    await stage(serving, 2);
    serving.look();
    await expect.poll(inMemory).toBe(10);
  });
});
