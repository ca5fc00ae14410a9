/** The mapping of names to versions in a store, and the records that are read again after a change. */
import { describe, expect, it } from 'vitest';
import { Catalog } from '../../../src/boot-set/store/catalog.ts';
import type { ChannelRecord, VersionRecord } from '../../../src/boot-set/store/records.ts';

function record(channel: string, number: number, manifest: string): VersionRecord {
  const files = [{ name: 'boot/linux', digest: 'a'.repeat(64), size: 7 }];
  return { channel, number, manifest, files, labels: {}, keep: false, publishedAt: 0 };
}

function channelRecord(name: string, current: number): ChannelRecord {
  return { name, current, previous: [], nextNumber: current + 1, settings: {} };
}

class FakeStore {
  generation = 1;
  reads = 0;
  readonly records = new Map<string, VersionRecord>();
  readonly names = new Set<string>();
  readonly tables = {
    versions: {
      get: (key: string): VersionRecord | undefined => {
        this.reads++;
        return this.records.get(key);
      },
      keys: (): string[] => [...this.records.keys()],
    },
  };

  put(channel: string, number: number, manifest = String(number).padStart(64, 'b')): void {
    this.names.add(channel);
    this.records.set(`${channel}-${number}`, record(channel, number, manifest));
    this.generation++;
  }

  channels(): ChannelRecord[] {
    return [...this.names].map((name) => channelRecord(name, 1));
  }
}

function catalogOf(...versions: [channel: string, number: number, manifest?: string][]) {
  const store = new FakeStore();
  for (const version of versions) store.put(...version);
  const catalog = new Catalog(store);
  catalog.refresh();
  const asked = (path: string): unknown => {
    const found = catalog.resolve(path);
    if (found === undefined) return undefined;
    if (found.kind === 'channel') return [found.channel.name, found.file];
    return [found.version?.name, found.file];
  };
  return { store, catalog, asked };
}

describe('a name', () => {
  const { asked } = catalogOf(
    ['maas/install', 1, `1234567${'0'.repeat(57)}`],
    ['maas/install', 2, `1234567${'1'.repeat(57)}`],
    ['maas/install', 30, `fedcba9${'0'.repeat(57)}`],
    ['maas/install-ga', 1],
    ['rack', 7],
  );

  it.each<[string, unknown]>([
    ['maas/install/linux', ['maas/install', 'linux']],
    ['maas/install/boot/linux', ['maas/install', 'boot/linux']],
    ['maas/install-30/boot/linux', ['maas/install-30', 'boot/linux']],
    ['maas/install-ga/linux', ['maas/install-ga', 'linux']],
    ['maas/install-ga-1/linux', ['maas/install-ga-1', 'linux']],
    ['rack-7/rack-7/x', ['rack-7', 'rack-7/x']],
    // There is no such version, but the name belongs to the store all the same.
    ['maas/install-4/linux', [undefined, 'linux']],
    ['maas/install-030/linux', [undefined, 'linux']],
    ['maas/install@fedcba9/linux', ['maas/install-30', 'linux']],
    ['maas/install@FEDCBA9/linux', ['maas/install-30', 'linux']],
    [`maas/install@sha256-fedcba9${'0'.repeat(57)}/linux`, ['maas/install-30', 'linux']],
    ['maas/install@12345670/linux', ['maas/install-1', 'linux']],
    // The digests are, in order: ambiguous, too short, unknown, not a digest.
    ['maas/install@1234567/linux', [undefined, 'linux']],
    ['maas/install@fedcba/linux', [undefined, 'linux']],
    ['maas/install@0000000/linux', [undefined, 'linux']],
    ['maas/install@latest/linux', [undefined, 'linux']],
    ['maas/other/linux', undefined],
    ['maas/other-1/linux', undefined],
    ['maas/other@fedcba9/linux', undefined],
    ['maas/install', undefined],
    ['maas/install-1', undefined],
    ['maas', undefined],
    ['install/linux', undefined],
    ['x/maas/install/linux', undefined],
    ['maas/install-1a/linux', undefined],
  ])('%s', (path, expected) => {
    expect(asked(path)).toEqual(expected);
  });
});

describe('a refresh', () => {
  it('reads only what is new', () => {
    const { store, catalog, asked } = catalogOf(['rack', 1], ['rack', 2]);
    expect(catalog.refresh()).toBe(false);
    store.reads = 0;
    store.put('rack', 3);
    store.records.delete('rack-1');
    expect(asked('rack-3/x')).toEqual([undefined, 'x']);
    expect(catalog.refresh()).toBe(true);
    expect([asked('rack-3/x'), asked('rack-1/x'), store.reads]).toEqual([['rack-3', 'x'], [undefined, 'x'], 1]);
  });
});

describe('a version', () => {
  it('has files by their names, whatever their capitals where that is wanted', () => {
    const { catalog } = catalogOf(['rack', 1]);
    const version = catalog.version('rack', 1)!;
    expect(version.file('boot/linux', false)?.size).toBe(7);
    expect(version.file('BOOT/Linux', false)).toBeUndefined();
    expect(version.file('BOOT/Linux', true)?.size).toBe(7);
    expect(version.file('boot', true)).toBeUndefined();
  });
});
