/** `reveille store rebuild`: a new database from the layout, and the records that only the old database had. */
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pinNode, setRollout } from '../../../src/boot-set/store/channel-changes.ts';
import { sha256 } from '../../../src/boot-set/store/manifest.ts';
import { rebuild } from '../../../src/boot-set/store/rebuild.ts';
import { openStore } from '../../../src/boot-set/store/store.ts';
import { verify } from '../../../src/boot-set/store/verify.ts';
import { Reveille } from '../../support/reveille.ts';
import { runCommand } from '../../support/command.ts';
import {
  canMount,
  damage,
  folder,
  messageOf,
  mounted,
  newStore,
  openFor,
  photograph,
  publishFiles,
} from '../fixture.ts';

const NODE = '52:54:00:12:34:56';

/** Three versions with the second current, a candidate channel, and records that index.json does not contain. */
async function store(): Promise<string> {
  const made = await newStore();
  await publishFiles(made, 'a', { linux: 'one' }, { labels: { build: '7' }, keep: true });
  for (const linux of ['three', 'two']) await publishFiles(made, 'a', { linux });
  await made.change((tables) =>
    tables.channels.put('a', { ...tables.channels.get('a')!, current: 2, previous: [3, 1] }),
  );
  await publishFiles(made, 'b', { linux: 'new' }, { candidate: true });
  await made.change((tables) => {
    pinNode(tables, NODE, 'a-1');
    setRollout(tables, 'a', { to: 'a-3', percent: 10 });
    const times = { createdAt: 1, usedAt: 2, stage: 0, address: '192.0.2.1' } as const;
    tables.pins.put('n\0a', { node: 'n', channel: 'a', version: 2, ...times });
    tables.useNotes.put('a-2', { usedAt: 1 });
  });
  await made.close();
  return made.path;
}

describe('reveille store rebuild', () => {
  it('rebuilds the database, keeps the previous one and lists what is lost', async () => {
    const path = await store();
    const before = photograph(path);
    const bytes = sha256(readFileSync(join(path, 'state.lmdb')));
    const { code, stdout, stderr } = await new Reveille(['store', 'rebuild', '--store', path]).ended;
    expect([code, stderr]).toEqual([0, '']);
    const [aside, ...more] = readdirSync(path).filter((name) => name.startsWith('state.lmdb.damaged-'));
    expect([more, sha256(readFileSync(join(path, aside!)))]).toEqual([[], bytes]);
    const lines = stdout.split('\n');
    expect(lines[0]).toBe(`${path}: 4 versions of 2 channels, from index.json`);
    expect(lines[1]).toBe(`The damaged database is kept as ${join(path, aside!)}`);
    expect(stdout).toMatch(/^Lost: 5 records\nWHAT +OF +VERSION\n/m);
    expect(stdout).toMatch(/^pin by hand +52:54:00:12:34:56 +a-1$/m);
    expect(stdout).toMatch(/^rollout +a +a-3$/m);
    expect(stdout).toMatch(/^rollout +b +b-1$/m);
    expect(stdout).toMatch(/^pin of a boot +n +a-2$/m);
    expect(stdout).toMatch(/^note of a version in use +- +a-2$/m);
    expect(stdout).toMatch(/^Nodes in the middle of a boot may get the current version/m);
    const opened = await openFor(path);
    expect(opened.channels()).toEqual([
      { name: 'a', current: 2, previous: [3, 1], nextNumber: 4, settings: {} },
      // The channel's only version was a candidate; no rebuild makes it current.
      { name: 'b', current: undefined, previous: [], nextNumber: 2, settings: {} },
    ]);
    expect(opened.versions()).toMatchObject([{ labels: { build: '7' }, keep: true }, {}, {}, {}]);
    expect([opened.pins(), opened.overrides(), photograph(path)]).toEqual([[], [], before]);
    expect(await verify(opened)).toMatchObject({ damage: [], leftovers: 0 });
  });

  it('rebuilds a truncated, garbage or lost database, and says that its losses cannot be listed', async () => {
    for (const spoil of [
      (state: string) => truncateSync(state, 20_000),
      (state: string) => writeFileSync(state, 'garbage\n'.repeat(4096)),
      (state: string) => unlinkSync(state),
    ]) {
      const path = await store();
      const state = join(path, 'state.lmdb');
      spoil(state);
      const left = existsSync(state) ? sha256(readFileSync(state)) : undefined;
      const { code, stdout } = await runCommand(['store', 'rebuild', '--store', path, '--json']);
      const said = JSON.parse(stdout) as { damaged: string | null };
      expect([code, said]).toMatchObject([0, { channels: 2, versions: 4, lost: null }]);
      expect(said.damaged === null ? undefined : sha256(readFileSync(said.damaged))).toBe(left);
      expect((await openFor(path)).channels()).toMatchObject([{ name: 'a', current: 2 }, { name: 'b' }]);
    }
  });

  it('refuses while a server has the store open, and names it', async () => {
    const path = await store();
    const serve = ['serve', '--store', path, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--gc-every', '0'];
    const server = new Reveille(serve);
    await server.saying(/listening/);
    const before = [photograph(path), readdirSync(path).toSorted()];
    const { code, stdout, stderr } = await runCommand(['store', 'rebuild', '--store', path]);
    expect([code, stdout, stderr]).toEqual([
      2,
      '',
      expect.stringMatching(
        /^reveille: \S+state\.lmdb: expected a database that no process has open, got process [0-9]+: stop the server [^\n]+\n$/,
      ),
    ]);
    expect(stderr).toContain(`process ${server.process.pid}:`);
    expect([photograph(path), readdirSync(path).toSorted()]).toEqual(before);
    server.process.kill('SIGTERM');
    expect(await server.ended).toMatchObject({ code: 0 });
    expect(await runCommand(['store', 'rebuild', '--store', path])).toMatchObject({ code: 0 });
  });

  it.runIf(canMount)('is not refused because of a file with the same inode on another device', async () => {
    const [here, there] = [mounted(2 ** 25)!, mounted(2 ** 25)!];
    const path = join(here, 'store');
    await (await openStore({ path })).close();
    const { ino } = statSync(join(path, 'state.lmdb-lock'));
    // tmpfs counts its inodes up.
    const made = Array.from({ length: ino + 1 }, (_, number) => join(there, String(number)));
    for (const name of made) writeFileSync(name, '');
    const twin = made.find((name) => statSync(name).ino === ino);
    const other = join(there, 'store');
    await (await openStore({ path: other })).close();
    renameSync(twin!, join(other, 'state.lmdb-lock'));
    const server = new Reveille(['serve', '--store', other, '--listen', '127.0.0.1:0', '--no-admin']);
    await server.saying(/listening/);
    expect(readFileSync('/proc/locks', 'utf8')).toMatch(new RegExp(` ${server.process.pid} \\S+:${ino} `));
    expect(await rebuild({ path })).toMatchObject({ path, channels: 0 });
    await expect(rebuild({ path: other })).rejects.toThrow(/process/);
    server.process.kill('SIGTERM');
    await server.ended;
  });

  it.each([
    ['index.json is lost', (path: string) => unlinkSync(join(path, 'index.json')), /expected an OCI image index/],
    ['index.json is damaged', (path: string) => truncateSync(join(path, 'index.json'), 50), /an OCI image index/],
    ['it is no store', (path: string) => unlinkSync(join(path, 'oci-layout')), /expected a store/],
  ])('changes nothing if %s', async (_, spoil, expected) => {
    const path = await store();
    spoil(path);
    const before = [photograph(path), readdirSync(path).toSorted(), sha256(readFileSync(join(path, 'state.lmdb')))];
    const message = await messageOf(() => rebuild({ path }));
    expect(message).toMatch(expected);
    expect(message).toMatch(/^StoreError: [^\n]+$/);
    expect([photograph(path), readdirSync(path).toSorted(), sha256(readFileSync(join(path, 'state.lmdb')))]).toEqual(
      before,
    );
  });

  it('changes nothing if a blob is damaged, and creates no store', async () => {
    const path = await store();
    const opened = await openFor(path);
    damage(opened, sha256('one'), 'other');
    await opened.close();
    expect(await messageOf(() => rebuild({ path }))).toMatch(/expected bytes whose digest is the name of the file/);
    expect(readdirSync(path).filter((name) => name.includes('damaged'))).toEqual([]);
    const nothing = join(folder(), 'nothing');
    expect(await messageOf(() => rebuild({ path: nothing }))).toMatch(/expected a store, got nothing/);
    expect(existsSync(nothing)).toBe(false);
  });
});
