/** The small benchmark of a store of boot sets: the cost of a start. Knows no clock and prints nothing. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256 } from '../src/boot-set/store/manifest.ts';
import { type VersionRecord, versionName } from '../src/boot-set/store/records.ts';
import { openStore } from '../src/boot-set/store/store.ts';
import type { Benchmark } from './benchmark.ts';

const VERSIONS = 1000;
const CHANNELS = 50;
const FILES = ['boot/linux', 'boot/initrd', 'grub/grub.cfg'];

function versionOf(at: number): VersionRecord {
  return {
    channel: `rack${at % CHANNELS}/install`,
    number: Math.floor(at / CHANNELS) + 1,
    manifest: sha256(`manifest ${at}`),
    files: FILES.map((name) => ({ name, digest: sha256(`${name} ${at}`), size: 1000 + at })),
    labels: {},
    keep: false,
    publishedAt: at,
  };
}

/** The work of a server before it serves: opens the store, compares index.json, reads all channels and versions. */
export const storeOpening: Benchmark = {
  name: `open a store, ${VERSIONS} versions with ${FILES.length} files`,
  batch: 1,
  pieces: VERSIONS + CHANNELS,
  prepare: async () => {
    const path = await mkdtemp(join(tmpdir(), 'reveille-bench-'));
    const store = await openStore({ path });
    const versions = Array.from({ length: VERSIONS }, (_, at) => versionOf(at));
    // Only manifests are written: opening reads no blobs, but it asks for the sizes of the manifests.
    await Promise.all(versions.map(({ manifest }) => writeFile(store.blobPath(manifest), 'manifest')));
    await store.change((tables) => {
      for (const version of versions) tables.versions.put(versionName(version.channel, version.number), version);
      for (let channel = 0; channel < CHANNELS; channel++) {
        const name = `rack${channel}/install`;
        const last = VERSIONS / CHANNELS;
        tables.channels.put(name, { name, current: last, previous: [], nextNumber: last + 1, settings: {} });
      }
    });
    await store.flushed();
    await store.close();
    return {
      run: async (times) => {
        let count = 0;
        for (let turn = 0; turn < times; turn++) {
          const opened = await openStore({ path });
          count += opened.versions().length + opened.channels().length;
          await opened.close();
        }
        return count;
      },
      close: () => rm(path, { recursive: true, force: true }),
    };
  },
};
