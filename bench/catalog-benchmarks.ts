/**
 * The small benchmarks of the catalog of boot sets: the cost of finding the version that a name refers to. Knows no
 * database and no clock, and prints nothing.
 */
import { nodesInPath } from '../src/boot-set/node/node-identity.ts';
import { Catalog } from '../src/boot-set/store/catalog.ts';
import type { ChannelRecord, VersionRecord } from '../src/boot-set/store/records.ts';
import type { Benchmark } from './benchmark.ts';
import { BLKSIZE } from './benchmark-sizes.ts';

/** A catalog of `count` versions in ten channels, without the database. */
function catalogOf(count: number): Catalog {
  const hex = (number: number): string => (number * 0x9e3779b1).toString(16).padStart(64, 'a');
  const channels: ChannelRecord[] = [];
  const versions = new Map<string, VersionRecord>();
  for (let at = 0; at < 10; at++) {
    const name = `maas/amd64/release${at}/install`;
    channels.push({ name, current: count / 10, previous: [], nextNumber: count / 10 + 1, settings: {} });
    for (let number = 1; number <= count / 10; number++) {
      const files = ['linux', 'initrd.img', 'grub.cfg'].map((file, index) => ({
        name: file,
        digest: hex(number * 3 + index),
        size: BLKSIZE,
      }));
      const record = { channel: name, number, manifest: hex(at * 1000 + number), files, labels: {} };
      versions.set(`${name}-${number}`, { ...record, keep: false, publishedAt: 0 });
    }
  }
  const table = { get: (key: string) => versions.get(key), keys: () => [...versions.keys()] };
  const catalog = new Catalog({ generation: 1, channels: () => channels, tables: { versions: table } });
  catalog.refresh();
  return catalog;
}

const namesOfBootSets: Benchmark = {
  name: 'boot sets: a name among 1,000 versions, by channel, number and digest',
  batch: 100,
  pieces: 3,
  prepare: () => {
    const catalog = catalogOf(1000);
    const { manifest } = catalog.version('maas/amd64/release7/install', 50)!;
    const names = ['/linux', '-50/linux', `@${manifest}/linux`].map((end) => `maas/amd64/release7/install${end}`);
    return {
      run: (times) => {
        let count = 0;
        for (let turn = 0; turn < times; turn++) {
          for (const name of names) {
            const asked = catalog.resolve(name);
            const version = asked?.kind === 'channel' ? catalog.version(asked.channel.name, 100) : asked?.version;
            if (version?.file(asked!.file, false) !== undefined && nodesInPath(name).length === 0) count++;
          }
        }
        return count;
      },
    };
  },
};

export const catalogBenchmarks: readonly Benchmark[] = [namesOfBootSets];
