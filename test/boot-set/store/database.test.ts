/** Databases that are damaged, or written by another program: the error is one clear line, whatever they contain. */
import {
  copyFileSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Catalog } from '../../../src/boot-set/store/catalog.ts';
import { publish } from '../../../src/boot-set/store/publish.ts';
import type { PinRecord, VersionRecord } from '../../../src/boot-set/store/records.ts';
import { openStore } from '../../../src/boot-set/store/store.ts';
import { runCommand } from '../../support/command.ts';
import { Reveille } from '../../support/reveille.ts';
import { filesIn, folder, messageOf, openFor } from '../fixture.ts';

const CLEAR =
  /^reveille: \S+state\.lmdb: expected [^\n]+: "reveille store rebuild" rebuilds the database from index\.json\n$/;

const made = mkdtempSync(join(tmpdir(), 'reveille-database-'));
afterAll(() => rmSync(made, { recursive: true }));

/** Makes the template: a store of three versions and many pins, so that its database has pages at every depth. */
beforeAll(async () => {
  const template = await openStore({ path: join(made, 'store') });
  // Records longer than a page get overflow pages.
  const modules = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`grub/module-${n}.mod`, `${n}`]));
  for (const [at, files] of [{ linux: 'one', ...modules }, { linux: 'two' }, { linux: 'three' }].entries()) {
    await publish(template, { channel: 'a', paths: [filesIn(files, join(made, `set-${at}`))] });
  }
  await template.note((tables) => {
    for (let n = 0; n < 500; n++) {
      const node = `node-${n}`;
      const times = { createdAt: 1, usedAt: 2, stage: 0, address: '192.0.2.1' } as const;
      tables.pins.put(`${node}\0a`, { node, channel: 'a', version: 1, ...times });
    }
  });
  await template.close();
});

/** @returns the path of a copy of the template. */
function store(): string {
  const path = join(folder(), 'store');
  cpSync(join(made, 'store'), path, { recursive: true });
  return path;
}

/** Writes into the database as a foreign program would. */
async function write(path: string, table: string, key: string, edit: (record: never) => unknown): Promise<void> {
  const root = open({ path: join(path, 'state.lmdb'), noSubdir: true, maxDbs: 12 });
  const database = root.openDB<unknown, string>({ name: table });
  await database.put(key, edit(database.get(key) as never));
  await root.flushed;
  await root.close();
}

/** Page size and page count from the first meta page of a closed file. */
function pagesOf(path: string): { size: number; count: number } {
  const file = readFileSync(path);
  const size = file.readUInt32LE(48);
  return { size, count: file.length / size };
}

describe('a database that is cut short', () => {
  it('is rejected with one line, and does not end the process', { timeout: 180_000 }, async () => {
    const path = store();
    const state = join(path, 'state.lmdb');
    const whole = `${state}.whole`;
    copyFileSync(state, whole);
    const { size, count } = pagesOf(state);
    for (const length of [
      10,
      size,
      2 * size,
      3 * size,
      Math.floor(count / 2) * size,
      Math.floor(count * 0.75) * size,
    ]) {
      copyFileSync(whole, state);
      truncateSync(state, length);
      for (const args of [['versions', 'a'], ['gc']]) {
        const { code, signal, stdout, stderr } = await new Reveille([...args, '--store', path]).ended;
        expect([length, code, signal, stdout, stderr]).toEqual([length, 1, null, '', expect.stringMatching(CLEAR)]);
      }
      expect(statSync(state).size).toBe(length);
    }
    const serve = ['serve', '--store', path, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    const { code, signal, stdout, stderr } = await new Reveille(serve).ended;
    expect([code, signal, stdout + stderr]).toEqual([1, null, expect.stringContaining('the file is truncated')]);
  });

  it('is accepted if only free pages at its end are missing, as LMDB leaves them', async () => {
    const path = store();
    const state = join(path, 'state.lmdb');
    const file = readFileSync(state);
    const { size } = pagesOf(state);
    for (const meta of [0, size]) file.writeBigUInt64LE(file.readBigUInt64LE(meta + 144) + 3n, meta + 144);
    writeFileSync(state, file);
    const opened = await openFor(path);
    expect([opened.versions().length, opened.pins().length]).toEqual([3, 500]);
  });
});

describe('what the database says', () => {
  const version = (change: (record: VersionRecord) => unknown) => ['versions', 'a-1', change] as const;
  it.each([
    ['a digest that is a path', ...version((record) => ({ ...record, manifest: '../../../../etc/passwd' }))],
    [
      "a file's digest that is a path",
      ...version((record) => ({ ...record, files: [{ name: 'linux', digest: '../../etc/passwd', size: 5 }] })),
    ],
    ['a digest in capitals', ...version((record) => ({ ...record, manifest: record.manifest.toUpperCase() }))],
    ['files that are none', ...version((record) => ({ ...record, files: 5 }))],
    ['a size below nothing', ...version(({ files, ...more }) => ({ ...more, files: [{ ...files[0]!, size: -1 }] }))],
    ['a version of another name', ...version((record) => ({ ...record, number: 7 }))],
    ['labels that are no text', ...version((record) => ({ ...record, labels: { a: { b: 1 } } }))],
    ['a version that is text', ...version(() => 'text')],
    ['a channel that is nothing', 'channels', 'a', () => null],
    ['a channel of another name', 'channels', 'a', (record: object) => ({ ...record, name: '../a' })],
    ['a rollout that is text', 'channels', 'a', (record: object) => ({ ...record, rollout: 'all' })],
    ['a choice without a node', 'overrides', 'n\0a', () => ({ channel: 'a', version: 1 })],
  ] as const)('is rejected if %s', async (_, table, key, edit) => {
    const path = store();
    await write(path, table, key, edit);
    const opened = await openFor(path, { readOnly: true });
    const message = await messageOf(() => {
      new Catalog(opened).refresh();
      opened.overrides();
    });
    expect(message).toMatch(/^StoreError: \S+state\.lmdb: expected a record of \w+ at "[^\n]+, got a damaged one: /);
    await opened.close();
    const { code, stderr } = await runCommand(['gc', '--store', path]);
    expect([code, stderr]).toEqual([1, expect.stringMatching(CLEAR)]);
  });

  it('about a digest that is a path never becomes a path, and is never served', async () => {
    const path = store();
    const passwd = { name: 'linux', digest: '../../../../../../../../etc/passwd', size: statSync('/etc/passwd').size };
    await write(path, 'versions', 'a-3', (record: VersionRecord) => ({ ...record, files: [passwd] }));
    const serve = ['serve', '--store', path, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    const { code, stdout, stderr } = await new Reveille(serve).ended;
    expect([code, stdout + stderr]).toEqual([1, expect.stringContaining('got a damaged one')]);
    const opened = await openFor(path, { readOnly: true });
    expect(await messageOf(() => opened.blobPath(passwd.digest))).toMatch(/expected digests of 64 hex digits/);
  });

  it('may be damaged later: the server keeps serving what it knows, and reports it once', async () => {
    const path = store();
    const opened = await openFor(path);
    const catalog = new Catalog(opened);
    catalog.refresh();
    await write(path, 'versions', 'a-4', () => ({ manifest: '../../etc/passwd' }));
    await write(path, 'meta', 'generation', (generation: number) => generation + 1);
    expect([catalog.refresh(), catalog.refresh(), catalog.size]).toEqual([false, false, 3]);
    expect(catalog.resolve('a/linux')).toMatchObject({ kind: 'channel', file: 'linux' });
    expect(catalog.takeTrouble()?.message).toMatch(/expected a record of versions at "a-4", got a damaged one/);
    expect(catalog.takeTrouble()).toBeUndefined();
  });

  it('about a boot that is not a valid pin is ignored', async () => {
    const path = store();
    await write(path, 'pins', 'node-0\0a', (pin: PinRecord) => ({ ...pin, version: '../1' }));
    const opened = await openStore({ path, readOnly: true });
    expect([opened.pins().length, opened.tables.pins.get('node-0\0a')]).toEqual([499, undefined]);
    await opened.close();
  });
});
