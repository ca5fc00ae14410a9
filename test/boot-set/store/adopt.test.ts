import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { open } from 'lmdb';
import { describe, expect, it } from 'vitest';
import { Layout, MEDIA_TYPE, OCI_LAYOUT } from '../../../src/boot-set/store/layout.ts';
import { sha256 } from '../../../src/boot-set/store/manifest.ts';
import { openStore } from '../../../src/boot-set/store/store.ts';
import { verify } from '../../../src/boot-set/store/verify.ts';
import { contentOf, filesIn, folder, messageOf, newStore, openFor, photograph, publishFiles } from '../fixture.ts';

const CHANNEL = 'maas/amd64/precise/install';
const FILES = {
  'shimx64.efi': 'shim',
  'grub/grub.cfg': 'menu',
  linux: Buffer.alloc(1_500_000, 'kernel'),
  initrd: Buffer.alloc(2_000_000, 'initrd'),
  'command.lst': '',
};

/** A store with two versions, copied as a layout without its database. */
async function copiedLayout(): Promise<string> {
  const store = await newStore();
  await publishFiles(store, CHANNEL, FILES, { labels: { build: '7' }, keep: true, kernelArguments: 'quiet' });
  await publishFiles(store, CHANNEL, { ...FILES, linux: 'newer' });
  await store.flushed();
  const copy = join(folder(), 'copy');
  execFileSync('cp', ['-r', store.path, copy]);
  for (const name of readdirSync(copy)) if (name.startsWith('state.lmdb')) rmSync(join(copy, name));
  rmSync(join(copy, 'staging'), { recursive: true });
  return copy;
}

interface Index {
  manifests: { mediaType: string; digest: string; size: number; annotations?: Record<string, string> }[];
}

function editIndex(layout: string, edit: (index: Index) => void): void {
  const path = join(layout, 'index.json');
  const index = JSON.parse(readFileSync(path, 'utf8')) as Index;
  edit(index);
  writeFileSync(path, JSON.stringify(index));
}

/** Writes text into the layout as a blob. */
function putBlob(layout: string, text: string): string {
  const digest = sha256(text);
  writeFileSync(join(layout, 'blobs/sha256', digest), text);
  return `sha256:${digest}`;
}

describe('a folder becomes a store', () => {
  it('when it is empty or does not exist', async () => {
    for (const path of [folder(), join(folder(), 'new')]) {
      const store = await openFor(path);
      expect([
        store.channels(),
        store.versions(),
        store.pins(),
        store.tables.useNotes.entries(),
        store.overrides(),
      ]).toEqual([[], [], [], [], []]);
      expect(readFileSync(join(path, 'oci-layout'), 'utf8')).toBe(OCI_LAYOUT);
      expect(JSON.parse(readFileSync(join(path, 'index.json'), 'utf8'))).toEqual({
        schemaVersion: 2,
        mediaType: MEDIA_TYPE.index,
        manifests: [],
      });
    }
  });

  it('when it holds a layout of boot sets', async () => {
    const path = await copiedLayout();
    const store = await openFor(path, { now: () => 5 });
    expect(store.channels()).toEqual([{ name: CHANNEL, current: 2, previous: [], nextNumber: 3, settings: {} }]);
    expect(store.versions()).toMatchObject([
      { number: 1, labels: { build: '7' }, keep: true, kernelArguments: 'quiet' },
      { number: 2, labels: {}, keep: false },
    ]);
    expect(store.versions()[0]!.publishedAt).toBeGreaterThan(5);
    expect(contentOf(store, `${CHANNEL}-1`, 'linux').equals(FILES.linux)).toBe(true);
    expect(await verify(store)).toMatchObject({ damage: [], leftovers: 0 });
    expect(await publishFiles(store, CHANNEL, { linux: 'next' })).toMatchObject({ number: 3 });
  });

  it('with each channel at the version that has its manifest, or otherwise at its last version', async () => {
    const path = await copiedLayout();
    editIndex(path, (index) => {
      const [channel, first] = index.manifests;
      channel!.digest = first!.digest;
    });
    expect((await openFor(path)).channels()).toMatchObject([{ current: 1, nextNumber: 3 }]);
    const other = await copiedLayout();
    editIndex(other, (index) => {
      index.manifests.shift();
    });
    expect((await openFor(other)).channels()).toMatchObject([{ current: 2 }]);
  });

  it('with a number for a channel that has none', async () => {
    const path = await copiedLayout();
    editIndex(path, (index) => {
      index.manifests = index.manifests.slice(0, 1);
    });
    const store = await openFor(path);
    expect(store.channels()).toMatchObject([{ current: 1, nextNumber: 2 }]);
    expect(store.versions().map(({ number }) => number)).toEqual([1]);
  });
});

const skopeo = spawnSync('skopeo', ['--version']).status === 0;

describe.runIf(skopeo || process.env['CI'] !== undefined)('a copy by skopeo', () => {
  it('of one version opens as a store and has every byte', async () => {
    const store = await newStore();
    await publishFiles(store, CHANNEL, FILES, { kernelArguments: 'console=ttyS0' });
    await publishFiles(store, CHANNEL, { linux: 'newer' });
    await store.flushed();
    const path = join(folder(), 'new');
    execFileSync('skopeo', ['copy', '--quiet', `oci:${store.path}:${CHANNEL}-1`, `oci:${path}:${CHANNEL}-1`]);
    const copy = await openFor(path);
    expect(copy.channels()).toMatchObject([{ name: CHANNEL, current: 1, nextNumber: 2 }]);
    expect(copy.versions()[0]).toMatchObject({
      manifest: store.versions()[0]!.manifest,
      files: store.versions()[0]!.files,
      kernelArguments: 'console=ttyS0',
    });
    for (const [name, content] of Object.entries(FILES)) {
      expect([name, contentOf(copy, `${CHANNEL}-1`, name).equals(Buffer.from(content))]).toEqual([name, true]);
    }
    const [version] = copy.versions();
    expect(statSync(copy.blobPath(version!.files[0]!.digest)).mode & 0o777).toBe(0o444);
    expect(await verify(copy)).toMatchObject({ damage: [], leftovers: 0 });
  });

  it('of a channel opens with that version as its first', async () => {
    const store = await newStore();
    await publishFiles(store, CHANNEL, { linux: 'old' });
    await publishFiles(store, CHANNEL, FILES);
    await store.flushed();
    const path = join(folder(), 'new');
    execFileSync('skopeo', ['copy', '--quiet', `oci:${store.path}:${CHANNEL}`, `oci:${path}:${CHANNEL}`]);
    const copy = await openFor(path);
    expect(copy.channels()).toMatchObject([{ name: CHANNEL, current: 1 }]);
    expect(contentOf(copy, `${CHANNEL}-1`, 'initrd').equals(FILES.initrd)).toBe(true);
  });
});

describe('what is no store', () => {
  const cases: [string, (path: string) => void, RegExp][] = [
    [
      'a layout of another version',
      (path) => writeFileSync(join(path, 'oci-layout'), '{"imageLayoutVersion":"2.0.0"}'),
      /expected an OCI image layout of version 1/,
    ],
    [
      'a corrupted index',
      (path) => truncateSync(join(path, 'index.json'), 100),
      /index\.json: expected an OCI image index/,
    ],
    [
      'an index of something else',
      (path) => writeFileSync(join(path, 'index.json'), '{"a":1}'),
      /index\.json: expected an OCI image index/,
    ],
    [
      'no index',
      (path) => unlinkSync(join(path, 'index.json')),
      /index\.json: expected an OCI image index, got nothing/,
    ],
    [
      'a container image',
      (path) => {
        const layer = putBlob(path, 'a tar');
        const config = putBlob(path, '{"architecture":"amd64"}');
        const manifest = putBlob(
          path,
          JSON.stringify({
            schemaVersion: 2,
            config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 24 },
            layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: layer, size: 5 }],
          }),
        );
        editIndex(path, (index) => {
          index.manifests = [
            {
              mediaType: MEDIA_TYPE.manifest,
              digest: manifest,
              size: 1,
              annotations: { 'org.opencontainers.image.ref.name': 'latest' },
            },
          ];
        });
      },
      /expected the manifest of a boot set: layers\[1\]\.mediaType: expected application\/x-netboot-file, got/,
    ],
    [
      'an image for several machines',
      (path) => editIndex(path, (index) => Object.assign(index.manifests[0]!, { mediaType: MEDIA_TYPE.index })),
      /expected application\/vnd\.oci\.image\.manifest\.v1\+json, got "application\/vnd\.oci\.image\.index/,
    ],
    [
      'a manifest without a name',
      (path) => editIndex(path, (index) => delete index.manifests[0]!.annotations),
      /expected a name \(org\.opencontainers\.image\.ref\.name\) for each manifest/,
    ],
    [
      'names that nest',
      (path) =>
        editIndex(path, (index) => {
          index.manifests[0]!.annotations = { 'org.opencontainers.image.ref.name': 'maas/amd64' };
        }),
      /expected a name that does not nest/,
    ],
    [
      'a name that is no channel',
      (path) =>
        editIndex(path, (index) => {
          index.manifests[0]!.annotations = { 'org.opencontainers.image.ref.name': '../up' };
        }),
      /expected a channel name/,
    ],
    [
      'a manifest with a file that escapes',
      (path) => {
        const file = putBlob(path, 'x');
        const manifest = putBlob(
          path,
          JSON.stringify({
            schemaVersion: 2,
            layers: [
              {
                mediaType: MEDIA_TYPE.file,
                digest: file,
                size: 1,
                annotations: { 'org.opencontainers.image.title': '../up' },
              },
            ],
          }),
        );
        editIndex(path, (index) => {
          index.manifests[0]!.digest = manifest;
        });
      },
      /file "\.\.\/up": expected a relative name/,
    ],
    [
      'a corrupted blob',
      (path) => {
        const blob = join(path, 'blobs/sha256', sha256(FILES.linux));
        chmodSync(blob, 0o644);
        appendFileSync(blob, 'more');
      },
      /expected bytes whose digest is the name of the file, got sha256:/,
    ],
    [
      'a missing blob',
      (path) => unlinkSync(join(path, 'blobs/sha256', sha256(FILES.initrd))),
      /expected a blob that can be read: ENOENT/,
    ],
    [
      'a missing manifest',
      (path) => editIndex(path, (index) => Object.assign(index.manifests[0]!, { digest: `sha256:${'0'.repeat(64)}` })),
      /expected a manifest, got nothing/,
    ],
  ];

  it.each(cases)('%s: one clear line, and nothing is written', async (_, spoil, expected) => {
    const path = await copiedLayout();
    spoil(path);
    const before = photograph(path);
    const message = await messageOf(() => openStore({ path }));
    expect(message).toMatch(expected);
    expect(message).toMatch(/^StoreError: [^\n]+$/);
    expect(message).toContain(path);
    expect([photograph(path), readdirSync(path).toSorted()]).toEqual([
      before,
      ['blobs', 'index.json', 'oci-layout'].filter((name) => name !== 'index.json' || 'index.json' in before),
    ]);
  });

  it('a folder with something else in it', async () => {
    const path = filesIn({ 'notes.txt': 'x' });
    expect(await messageOf(() => openStore({ path }))).toMatch(
      /expected a store, .* got a folder that contains "notes\.txt"/,
    );
    expect(readdirSync(path)).toEqual(['notes.txt']);
  });

  it('does not exist, for a command that only reads', async () => {
    const path = join(folder(), 'nothing');
    expect(await messageOf(() => openStore({ path, readOnly: true }))).toMatch(/expected a store, got nothing/);
    expect(await messageOf(() => openStore({ path, create: false }))).toMatch(/expected a store, got nothing/);
    mkdirSync(path);
    expect(await messageOf(() => openStore({ path, readOnly: true }))).toMatch(/got an empty folder/);
    expect(readdirSync(path)).toEqual([]);
    const layout = await copiedLayout();
    expect(await messageOf(() => openStore({ path: layout, readOnly: true }))).toMatch(
      /got an OCI image layout without a database: reveille verify makes it a store$/,
    );
  });

  it('a file', async () => {
    const path = join(filesIn({ file: 'x' }), 'file');
    expect(await messageOf(() => openStore({ path }))).toMatch(/expected a folder that can be read: ENOTDIR/);
  });
});

describe('a store', () => {
  it('of a newer format is left alone', async () => {
    const store = await newStore();
    await publishFiles(store, 'a', { linux: 'x' });
    await store.close();
    const state = open({ path: store.layout.state, noSubdir: true });
    await state.openDB({ name: 'meta' }).put('format', 2);
    await state.flushed;
    await state.close();
    const bytes = sha256(readFileSync(store.layout.state));
    for (const readOnly of [true, false]) {
      expect(await messageOf(() => openStore({ path: store.path, readOnly }))).toMatch(
        /state\.lmdb: expected a store of format 1, got "2": was it written by a newer version of Reveille\?$/,
      );
    }
    expect(sha256(readFileSync(store.layout.state))).toBe(bytes);
  });

  it.each([
    ['text', Buffer.from('garbage\n'.repeat(4096))],
    ['zeroes', Buffer.alloc(65_536)],
    ['a few bytes', Buffer.from('x')],
  ])('whose database is %s is turned down', async (_, bytes) => {
    const { root, state } = new Layout(await copiedLayout());
    writeFileSync(state, bytes);
    expect(await messageOf(() => openStore({ path: root }))).toMatch(/state\.lmdb: expected the database of a store/);
    expect(readFileSync(state).equals(bytes)).toBe(true);
  });

  it('has index.json put right when it is opened', async () => {
    const store = await newStore();
    await publishFiles(store, 'a', { linux: 'x' });
    await store.close();
    const good = readFileSync(store.layout.index, 'utf8');
    for (const bad of ['', good.slice(0, 50), good.replace('a-1', 'a-2')]) {
      writeFileSync(store.layout.index, bad);
      await (await openStore({ path: store.path })).close();
      expect(readFileSync(store.layout.index, 'utf8')).toBe(good);
    }
  });

  it('undoes a change that throws', async () => {
    const store = await newStore();
    await publishFiles(store, 'a', { linux: 'x' });
    const [before, generation] = [photograph(store.path), store.generation];
    const failing = store.change((tables) => {
      tables.channels.remove('a');
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect([photograph(store.path), store.generation]).toEqual([before, generation]);
    expect(store.channels()).toMatchObject([{ name: 'a', current: 1 }]);
  });

  it('records pins without a new generation for servers', async () => {
    const store = await newStore();
    const [before, generation] = [photograph(store.path), store.generation];
    const pin = {
      node: 'n',
      channel: 'a',
      version: 1,
      createdAt: 1,
      usedAt: 2,
      stage: 0,
      address: '192.0.2.1',
    } as const;
    await store.note((tables) => tables.pins.put('n\0a', pin));
    expect(store.pins()).toEqual([pin]);
    expect([photograph(store.path), store.generation]).toEqual([before, generation]);
  });
});
