import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { rollback } from '../../../src/boot-set/store/channel-changes.ts';
import { collect } from '../../../src/boot-set/store/collect.ts';
import { CHUNK_BYTES } from '../../../src/boot-set/store/hash-file.ts';
import { sha256 } from '../../../src/boot-set/store/manifest.ts';
import { MAX_FILE_NAME_BYTES } from '../../../src/boot-set/store/manifest.ts';
import { publish } from '../../../src/boot-set/store/publish.ts';
import { MAX_LABEL_CHARACTERS } from '../../../src/boot-set/store/publish-plan.ts';
import { verify } from '../../../src/boot-set/store/verify.ts';
import {
  blobsOf,
  contentOf,
  damage,
  filesIn,
  folder,
  messageOf,
  newStore,
  photograph,
  publishFiles,
} from '../fixture.ts';

const CHANNEL = 'maas/amd64/precise/install';

describe('publishing', () => {
  it('numbers the versions of a channel and moves it', async () => {
    const store = await newStore();
    const first = await publishFiles(store, CHANNEL, { linux: 'one', 'grub/grubx64.efi': 'loader' });
    const second = await publishFiles(store, CHANNEL, { linux: 'two', 'grub/grubx64.efi': 'loader' });
    expect([first, second]).toMatchObject([
      { name: `${CHANNEL}-1`, number: 1, files: 2, bytes: 9, isNew: true, before: undefined },
      { name: `${CHANNEL}-2`, number: 2, isNew: true, before: 1 },
    ]);
    expect(store.channels()).toEqual([{ name: CHANNEL, current: 2, previous: [1], nextNumber: 3, settings: {} }]);
    expect(contentOf(store, `${CHANNEL}-1`, 'linux').toString()).toBe('one');
    expect(contentOf(store, `${CHANNEL}-2`, 'grub/grubx64.efi').toString()).toBe('loader');
    // Two kernels, one shared loader, two manifests, the config.
    expect(blobsOf(store)).toHaveLength(6);
    expect(blobsOf(store).map((name) => statSync(store.blobPath(name)).mode & 0o777)).toEqual(Array(6).fill(0o444));
    expect(readdirSync(store.layout.staging)).toEqual([]);
    expect(await verify(store)).toMatchObject({ versions: 2, blobs: 6, damage: [], leftovers: 0 });
  });

  it('gives the same content the same version, whenever and in whatever order', async () => {
    const store = await newStore();
    const first = await publishFiles(store, 'a', { linux: 'one', initrd: 'two' }, { labels: { build: '7' } });
    await publishFiles(store, 'a', { linux: 'other' });
    const before = store.generation;
    const again = await publishFiles(store, 'a', { initrd: 'two', linux: 'one' });
    expect(again).toMatchObject({ name: 'a-1', manifest: first.manifest, isNew: false, before: 2 });
    expect(store.channels()).toMatchObject([{ current: 1, previous: [2], nextNumber: 3 }]);
    expect(store.versions()).toMatchObject([{ number: 1, labels: { build: '7' } }, { number: 2 }]);
    expect(store.generation).toBeGreaterThan(before);
  });

  it('tells sets apart by their kernel arguments', async () => {
    const store = await newStore();
    const [plain, serial] = [
      await publishFiles(store, 'a', { linux: 'one' }),
      await publishFiles(store, 'a', { linux: 'one' }, { kernelArguments: 'console=ttyS0' }),
    ];
    expect([plain.name, serial.name]).toEqual(['a-1', 'a-2']);
    expect(store.versions()[1]).toMatchObject({ kernelArguments: 'console=ttyS0' });
  });

  it('never assigns a number twice, not even after all versions of a channel are gone', async () => {
    const store = await newStore();
    await publishFiles(store, 'a', { linux: 'one' });
    await publishFiles(store, 'a', { linux: 'two' });
    await store.change((tables) => {
      const { rollout: _, ...channel } = tables.channels.get('a')!;
      tables.channels.put('a', { ...channel, current: undefined, previous: [] });
    });
    await collect(store, { graceMs: 0 });
    expect([store.channels(), store.versions(), blobsOf(store)]).toEqual([[], [], []]);
    expect(await publishFiles(store, 'a', { linux: 'one' })).toMatchObject({ name: 'a-3', isNew: true });
  });

  it('does not serve a candidate until it is rolled out', async () => {
    const store = await newStore();
    await publishFiles(store, 'a', { linux: 'one' });
    await publishFiles(store, 'a', { linux: 'two' }, { candidate: true });
    expect(store.channels()).toMatchObject([
      { current: 1, previous: [], rollout: { candidate: 2, percent: 0, paused: false } },
    ]);
    await publishFiles(store, 'b', { linux: 'two' }, { candidate: true });
    expect(store.channels()[1]).toMatchObject({ current: undefined, rollout: { candidate: 1 } });
  });

  it('takes folders, files, empty files and links that stay inside', async () => {
    const store = await newStore();
    const set = filesIn({ 'boot/linux': 'kernel', 'modules.lst': '', 'big.img': Buffer.alloc(3 * CHUNK_BYTES + 7, 1) });
    symlinkSync('boot/linux', join(set, 'vmlinuz'));
    symlinkSync('boot', join(set, 'again'));
    const other = filesIn({ 'shimx64.efi': 'shim' });
    await publish(store, { channel: 'a', paths: [set, join(other, 'shimx64.efi')] });
    const [version] = store.versions();
    expect(version!.files.map(({ name, size }) => [name, size])).toEqual([
      ['again/linux', 6],
      ['big.img', 3 * CHUNK_BYTES + 7],
      ['boot/linux', 6],
      ['modules.lst', 0],
      ['shimx64.efi', 4],
      ['vmlinuz', 6],
    ]);
    expect(contentOf(store, 'a-1', 'big.img').equals(readFileSync(join(set, 'big.img')))).toBe(true);
    const manifest = JSON.parse(readFileSync(store.blobPath(version!.manifest), 'utf8')) as {
      layers: { mediaType: string; annotations: Record<string, string> }[];
      annotations: Record<string, string>;
    };
    expect(manifest.annotations['org.pulpproject.netboot.entrypoint']).toBe('shimx64.efi');
    expect(new Set(manifest.layers.map(({ mediaType }) => mediaType))).toEqual(new Set(['application/x-netboot-file']));
    expect(manifest.layers[0]!.annotations).toEqual({
      'org.opencontainers.image.title': 'again/linux',
      'org.pulpproject.netboot.src.digest': `sha256:${sha256('kernel')}`,
      'org.pulpproject.netboot.src.size': '6',
    });
  });

  it('restores a lost blob', async () => {
    const store = await newStore();
    const { manifest } = await publishFiles(store, 'a', { linux: 'one' });
    damage(store, sha256('one'), 'eno');
    damage(store, manifest, '{}');
    const { damage: found } = await verify(store);
    expect(new Set(found.map(({ what }) => what))).toEqual(new Set([sha256('one'), manifest]));
    expect(found.map(({ versions }) => versions)).toEqual([['a-1'], ['a-1']]);
    expect(await publishFiles(store, 'a', { linux: 'one' })).toMatchObject({ name: 'a-1', isNew: false });
    expect(await verify(store)).toMatchObject({ damage: [] });
  });

  it('leaves the old state when it is stopped', async () => {
    const abort = new AbortController();
    const store = await newStore({
      onStep: (step) => {
        if (step === 'file written') abort.abort(new Error('stopped'));
      },
    });
    const before = photograph(store.path);
    const stopped = publishFiles(store, 'a', { linux: 'one', initrd: 'two' }, { signal: abort.signal });
    await expect(stopped).rejects.toThrow('stopped');
    expect([photograph(store.path), store.versions(), readdirSync(store.layout.staging)]).toEqual([before, [], []]);
  });

  it('fails when the database has lost the version', async () => {
    const store = await newStore();
    const change = store.change.bind(store);
    store.change = async (work) => {
      const came = await change(work);
      await store.note(({ channels, versions }) => {
        channels.remove('a');
        versions.remove('a-1');
      });
      return came;
    };
    const failure = await messageOf(() => publishFiles(store, 'a', { linux: 'one' }));
    expect(failure).toBe(`StoreError: ${store.path}: the database has lost a-1: publish again`);
  });

  it('notices a file that changes meanwhile', async () => {
    let set = '';
    const store = await newStore({
      onStep: (step) => {
        if (step === 'file written') writeFileSync(join(set, 'linux'), 'longer than before');
      },
    });
    const before = photograph(store.path);
    set = filesIn({ linux: 'one' });
    expect(await messageOf(() => publish(store, { channel: 'a', paths: [set] }))).toMatch(
      /linux.*does not change while it is published/,
    );
    expect([photograph(store.path), store.versions()]).toEqual([before, []]);
  });
});

describe('rolling back', () => {
  it('makes the previous version current, and two rollbacks cancel out', async () => {
    const store = await newStore();
    for (const linux of ['one', 'two', 'three']) await publishFiles(store, 'a', { linux });
    expect(await store.change((tables) => rollback(tables, 'a'))).toEqual({ channel: 'a', from: 3, to: 2 });
    expect(store.channels()).toMatchObject([{ current: 2, previous: [3, 1] }]);
    expect(await store.change((tables) => rollback(tables, 'a'))).toMatchObject({ to: 3 });
    expect(await store.change((tables) => rollback(tables, 'a', '1'))).toMatchObject({ to: 1 });
    expect(await store.change((tables) => rollback(tables, 'a', 'a-2'))).toMatchObject({ to: 2 });
    expect(await messageOf(() => store.change((tables) => rollback(tables, 'a', 'a-9')))).toContain(
      '"a-9": expected an existing version',
    );
    expect(store.channels()).toMatchObject([{ current: 2 }]);
  });
});

describe('what cannot be published', () => {
  const outside = (): string => filesIn({ secret: 'x' });
  const cases: [string, () => string, RegExp][] = [
    ['a folder with no files', () => filesIn({}), /expected at least one file, got none/],
    [
      'a folder with nothing but empty folders',
      () => {
        const set = filesIn({});
        mkdirSync(join(set, 'a/b'), { recursive: true });
        return set;
      },
      /expected at least one file/,
    ],
    ['a path that is not there', () => join(folder(), 'nothing'), /nothing.*ENOENT/],
    [
      'a link to a file outside',
      () => {
        const set = filesIn({ linux: 'x' });
        symlinkSync(join(outside(), 'secret'), join(set, 'initrd'));
        return set;
      },
      /initrd.*expected a link to a place in/,
    ],
    [
      'a link to a folder outside',
      () => {
        const set = filesIn({ linux: 'x' });
        symlinkSync(outside(), join(set, 'more'));
        return set;
      },
      /more.*expected a link to a place in/,
    ],
    [
      'a link that leads nowhere',
      () => {
        const set = filesIn({ linux: 'x' });
        symlinkSync('gone', join(set, 'initrd'));
        return set;
      },
      /initrd.*expected a link to an existing file or folder.*ENOENT/,
    ],
    [
      'a link to a folder above it',
      () => {
        const set = filesIn({ 'a/linux': 'x' });
        symlinkSync('..', join(set, 'a/up'));
        return set;
      },
      /up.*expected a link without a cycle/,
    ],
    [
      'a pipe',
      () => {
        const set = filesIn({ linux: 'x' });
        execFileSync('mkfifo', [join(set, 'pipe')]);
        return set;
      },
      /pipe.*expected a file or a folder, got neither/,
    ],
    ['a name with a backslash', () => filesIn({ 'a\\b': 'x' }), /expected a relative name/],
    ['a name with a control character', () => filesIn({ 'a\nb': 'x' }), /expected a relative name/],
    ['a name that is taken for a drive', () => filesIn({ 'c:linux': 'x' }), /expected a relative name/],
    [
      'a name that is too long to be asked for',
      () => filesIn({ [`${'a'.repeat(200)}/${'b'.repeat(MAX_FILE_NAME_BYTES - 200)}`]: 'x' }),
      /expected at most 255 bytes, got 256/,
    ],
    [
      'a name that is not UTF-8',
      () => {
        const set = filesIn({});
        writeFileSync(Buffer.concat([Buffer.from(`${set}/a`), Buffer.from([0xe9])]), 'x');
        return set;
      },
      /expected names in UTF-8/,
    ],
  ];

  it.each(cases)('%s: one clear line, and nothing is written', async (_, make, expected) => {
    const store = await newStore();
    const [before, generation] = [photograph(store.path), store.generation];
    const message = await messageOf(() => publish(store, { channel: 'a', paths: [make()] }));
    expect(message).toMatch(expected);
    expect(message).toMatch(/^StoreError: [^\n]+$/);
    expect([photograph(store.path), store.generation, store.channels()]).toEqual([before, generation, []]);
    expect(readdirSync(store.layout.staging)).toEqual([]);
  });

  it.each([
    ['', /expected a channel name/],
    ['a/', /expected a channel name/],
    ['/a', /expected a channel name/],
    ['a//b', /expected a channel name/],
    ['../a', /expected a channel name/],
    ['a/../b', /expected a channel name/],
    ['a@b', /expected a channel name/],
    ['a:b', /expected a channel name/],
    ['a b', /expected a channel name/],
    ['ä', /expected a channel name/],
    ['a-1', /expected a name that does not end in a hyphen and a number/],
    ['a/b-007', /expected a name that does not end in a hyphen and a number/],
    ['a'.repeat(201), /expected at most 200 characters, got 201/],
  ])('a channel called %j', async (channel, expected) => {
    const store = await newStore();
    expect(await messageOf(() => publishFiles(store, channel, { linux: 'x' }))).toMatch(expected);
    expect(store.channels()).toEqual([]);
  });

  it.each([
    ['a/b', 'a/b/c'],
    ['a/b/c', 'a/b'],
    ['a/b', 'a/b-2/c'],
    ['a/b-2/c', 'a/b'],
  ])('channels %s and %s in one store', async (first, second) => {
    const store = await newStore();
    await publishFiles(store, first, { linux: 'x' });
    expect(await messageOf(() => publishFiles(store, second, { linux: 'x' }))).toMatch(/a name that does not nest/);
    expect(store.channels().map(({ name }) => name)).toEqual([first]);
    await publishFiles(store, 'a/bc', { linux: 'x' });
  });

  it('the same name twice', async () => {
    const store = await newStore();
    const [one, two] = [filesIn({ linux: 'x' }), filesIn({ linux: 'y' })];
    expect(await messageOf(() => publish(store, { channel: 'a', paths: [one, two] }))).toMatch(
      /expected each name once/,
    );
  });

  it('labels and kernel arguments of several lines', async () => {
    const store = await newStore();
    const tries = [
      { labels: { 'a b': 'x' } },
      { labels: { a: 'x\ny' } },
      { labels: { a: 'x'.repeat(MAX_LABEL_CHARACTERS + 1) } },
      { kernelArguments: 'quiet\nsplash' },
      { kernelArguments: 'x'.repeat(5000) },
    ];
    for (const more of tries) {
      expect(await messageOf(() => publishFiles(store, 'a', { linux: 'x' }, more))).toMatch(
        /^StoreError: (label|kernel)/,
      );
    }
    expect(store.channels()).toEqual([]);
  });

  it.runIf(process.getuid?.() !== 0)('a file that may not be read', async () => {
    const store = await newStore();
    const set = filesIn({ linux: 'x' });
    chmodSync(join(set, 'linux'), 0);
    expect(await messageOf(() => publish(store, { channel: 'a', paths: [set] }))).toMatch(/linux.*can be read.*EACCES/);
    expect(store.channels()).toEqual([]);
  });
});
