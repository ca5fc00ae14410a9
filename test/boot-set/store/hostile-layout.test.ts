/**
 * Layouts from untrusted sources: a link, a pipe or a device in every place of a store, and every command on each. No
 * command may touch anything outside or wait forever, and each refusal is one line.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { collect } from '../../../src/boot-set/store/collect.ts';
import { sha256 } from '../../../src/boot-set/store/manifest.ts';
import { openStore } from '../../../src/boot-set/store/store.ts';
import { CAMPAIGN } from '../../support/content.ts';
import { Reveille } from '../../support/reveille.ts';
import { runCommand } from '../../support/command.ts';
import { everyCommand } from '../../support/store-commands.ts';
import { filesIn, folder, newStore, openFor, publishFiles } from '../fixture.ts';

const KERNEL = sha256('kernel');
const ORPHAN = '0'.repeat(64);
/** This process number is above the largest possible one, so no process has it. */
const DEAD = '4194305-0123456789ab';
const MODE = 0o777;

/** A folder that no command may touch: another store's blobs, a file with the bytes of a blob, somebody's work. */
function outside(): string {
  const path = folder();
  for (const blobs of ['folder', 'folder/sha256']) {
    filesIn({ [`${blobs}/${KERNEL}`]: 'kernel', [`${blobs}/${ORPHAN}`]: 'x', [`${blobs}/${DEAD}/work`]: 'x' }, path);
  }
  filesIn({ file: 'kernel' }, path);
  chmodSync(join(path, 'file'), 0o600);
  return path;
}

/** Every name below a folder, with its kind, mode, digest and link target. */
function seen(path: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(path, { recursive: true, encoding: 'utf8' })
      .toSorted()
      .map((name) => {
        const stats = lstatSync(join(path, name));
        const more = stats.isFile() ? sha256(readFileSync(join(path, name))) : '';
        const leads = stats.isSymbolicLink() ? readlinkSync(join(path, name)) : '';
        return [name, `${(stats.mode & 0o170_000).toString(8)} ${(stats.mode & MODE).toString(8)} ${more}${leads}`];
      }),
  );
}

/** A store of two versions. @param foreign without the database, as another tool leaves it. */
async function layout(foreign: boolean): Promise<string> {
  const store = await newStore();
  await publishFiles(store, 'a', { linux: 'kernel', initrd: 'one' });
  await publishFiles(store, 'a', { linux: 'kernel', initrd: 'two' });
  await store.close();
  filesIn({ [`${DEAD}/0`]: 'left', notes: 'not ours' }, store.layout.staging);
  filesIn({ [ORPHAN]: 'orphan' }, store.layout.blobs);
  if (foreign) {
    rmSync(store.layout.state);
    rmSync(`${store.layout.state}-lock`);
  }
  return store.path;
}

const PLACES = [
  'oci-layout',
  'index.json',
  'index.json.new',
  'state.lmdb',
  'state.lmdb-lock',
  'blobs',
  'blobs/sha256',
  `blobs/sha256/${KERNEL}`,
  `blobs/sha256/${ORPHAN}`,
  'staging',
  'staging/notes',
  `staging/${DEAD}`,
  `staging/${DEAD}/0`,
];

const KINDS: readonly (readonly [kind: string, plant: (path: string, outside: string) => unknown])[] = [
  ['a link to a file', (path, elsewhere) => symlinkSync(join(elsewhere, 'file'), path)],
  ['a link to a folder', (path, elsewhere) => symlinkSync(join(elsewhere, 'folder'), path)],
  ['a link to nothing', (path, elsewhere) => symlinkSync(join(elsewhere, 'nothing'), path)],
  ['a pipe', (path) => execFileSync('mkfifo', [path])],
  // Reading this device never ends. Whatever refuses a pipe refuses it too, so only a campaign plants it.
  ...(CAMPAIGN && process.getuid?.() === 0
    ? [['a device', (path: string) => execFileSync('mknod', [path, 'c', '1', '5'])] as const]
    : []),
];

/** Kinds in another tool's layout: one that a program follows, and one that it waits at; in a campaign all. */
const FOREIGN_KINDS = CAMPAIGN ? KINDS : KINDS.filter(([kind]) => ['a link to a folder', 'a pipe'].includes(kind));

const cases = [false, true].flatMap((foreign) =>
  (foreign ? FOREIGN_KINDS : KINDS).map(
    ([kind, plant]) => [kind, foreign ? "another tool's layout" : 'a store', foreign, plant] as const,
  ),
);

describe('in every place of a layout', () => {
  it.each(cases)(
    '%s in %s: no command touches what is outside, none waits, each says one line',
    { timeout: 120_000 },
    async (kind, _, foreign, plant) => {
      const elsewhere = outside();
      const before = seen(elsewhere);
      const set = filesIn({ linux: 'kernel', initrd: 'three' });
      const template = await layout(foreign);
      for (const place of PLACES) {
        // The folder is in memory if possible: the test creates hundreds of databases and syncs each.
        const path = join(folder(existsSync('/dev/shm') ? '/dev/shm' : undefined), 'store');
        cpSync(template, path, { recursive: true });
        rmSync(join(path, place), { recursive: true, force: true });
        plant(join(path, place), elsewhere);
        for (const args of everyCommand(path, set)) {
          const { code, stderr } = await runCommand(args);
          const told = [kind, place, args.slice(0, 2).join(' ')];
          expect([...told, seen(elsewhere)]).toEqual([...told, before]);
          // `verify` reports damage on stdout.
          expect([...told, code === 0 ? '' : stderr]).toEqual([
            ...told,
            expect.stringMatching(/^(?:reveille: [^\n]+\n)?$/),
          ]);
        }
      }
    },
  );

  it.each(['oci-layout', 'index.json', 'state.lmdb', 'blobs', 'blobs/sha256', 'staging'])(
    'a link at %s is named in the line that says so',
    async (place) => {
      const path = await layout(false);
      rmSync(join(path, place), { recursive: true });
      symlinkSync(
        join(outside(), place.includes('.') || place === 'oci-layout' ? 'file' : 'folder'),
        join(path, place),
      );
      const { code, stderr } = await runCommand(['gc', '--store', path]);
      expect([code, stderr]).toEqual([2, expect.stringMatching(/: expected a (?:file|folder), got a link\n$/)]);
      expect(stderr).toContain(join(path, place));
    },
  );
});

describe('the store itself', () => {
  it('may be a link, as systemd makes it one', async () => {
    const path = await layout(false);
    const link = join(folder(), 'link');
    symlinkSync(path, link);
    const set = filesIn({ linux: 'kernel', initrd: 'three' });
    for (const args of everyCommand(link, set)) {
      const { code, stderr } = await runCommand(args);
      expect([args[0], code, stderr]).toEqual([args[0], 0, '']);
    }
  });

  it('keeps its folders where somebody puts links in their place meanwhile', async () => {
    const elsewhere = outside();
    const before = seen(elsewhere);
    const store = await openFor(await layout(false));
    for (const name of ['blobs', 'staging']) {
      execFileSync('mv', [join(store.path, name), join(store.path, `${name}-moved`)]);
      symlinkSync(join(elsewhere, 'folder'), join(store.path, name));
    }
    await publishFiles(store, 'a', { linux: 'kernel', initrd: 'four' });
    expect(await collect(store, { graceMs: 0 })).toMatchObject({ leftovers: 1 });
    expect(seen(elsewhere)).toEqual(before);
  });
});

describe('the staging area', () => {
  it('loses only folders that dead processes have left', async () => {
    const path = await layout(false);
    const { staging } = (await openFor(path)).layout;
    const names = ['notes', '0-ab', `${DEAD}.bak`, '12', 'x-12', `-${DEAD}`, '4194305-xyz'];
    for (const name of names.slice(1)) mkdirSync(join(staging, name));
    const store = await openFor(path);
    expect(await collect(store, { graceMs: 0 })).toMatchObject({ leftovers: 1 });
    expect(readdirSync(staging).toSorted()).toEqual(names.toSorted());
  });

  it('is cleared of a folder of a dead process whatever is in it', async () => {
    const elsewhere = outside();
    const before = seen(elsewhere);
    const path = await layout(false);
    const left = join(path, 'staging', DEAD);
    symlinkSync(join(elsewhere, 'folder'), join(left, 'link'));
    execFileSync('mkfifo', [join(left, 'pipe')]);
    filesIn({ 'deep/er/file': 'x' }, left);
    const store = await openFor(path);
    expect(await collect(store, { graceMs: 0 })).toMatchObject({ leftovers: 1 });
    expect([readdirSync(join(path, 'staging')), seen(elsewhere)]).toEqual([['notes'], before]);
  });
});

describe('files that are far too long', () => {
  it.each(['oci-layout', 'index.json', `blobs/sha256/${KERNEL}`])('%s of 1 TiB is not read', async (place) => {
    for (const foreign of [false, true]) {
      const path = await layout(foreign);
      if (place.startsWith('blobs')) {
        const index = JSON.parse(readFileSync(join(path, 'index.json'), 'utf8')) as { manifests: { digest: string }[] };
        for (const one of index.manifests) one.digest = `sha256:${KERNEL}`;
        writeFileSync(join(path, 'index.json'), JSON.stringify(index));
      }
      chmodSync(join(path, place), 0o644);
      truncateSync(join(path, place), 2 ** 40);
      const { code, stderr } = await runCommand(['gc', '--grace', '0', '--store', path]);
      // A store rewrites its index.json without reading it, and reads no blob to collect others.
      const isFine = !foreign && place !== 'oci-layout';
      const line = isFine ? /^$/ : /: expected [^\n]*at most [0-9]+ bytes, got 1099511627776\n$/;
      expect([code, stderr]).toEqual([isFine ? 0 : 2, expect.stringMatching(line)]);
    }
  });
});

describe('a layout that is adopted', () => {
  it('has only modes of its own blobs changed', async () => {
    const path = await layout(true);
    const blob = join(path, 'blobs/sha256', KERNEL);
    chmodSync(blob, 0o600);
    await (await openStore({ path })).close();
    expect(statSync(blob).mode & MODE).toBe(0o444);
  });
});

describe('reveille serve --gc-every 1s', () => {
  it.each([
    ['staging', 'a link'],
    ['blobs/sha256', 'a link'],
    ['index.json', 'a pipe'],
  ])('on a layout whose %s is %s ends with one line', async (place, kind) => {
    const elsewhere = outside();
    const before = seen(elsewhere);
    for (const foreign of [true, false]) {
      const path = await layout(foreign);
      rmSync(join(path, place), { recursive: true });
      if (kind === 'a pipe') execFileSync('mkfifo', [join(path, place)]);
      else symlinkSync(join(elsewhere, 'folder'), join(path, place));
      const args = ['serve', '--store', path, '--gc-every', '1s', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
      const { code, stdout, stderr } = await new Reveille(args).ended;
      expect([code, stdout + stderr]).toEqual([1, expect.stringContaining(`expected a `)]);
      expect(stdout + stderr).toContain(`got ${kind}`);
      expect(seen(elsewhere)).toEqual(before);
    }
  });

  it('leaves a file alone that some other program has put into staging', async () => {
    const path = await layout(false);
    writeFileSync(join(path, 'staging/other'), 'x');
    const { code } = await runCommand(['gc', '--grace', '0', '--store', path]);
    expect([code, readFileSync(join(path, 'staging/other'), 'utf8')]).toEqual([0, 'x']);
  });
});
