/**
 * The commands on a store of boot sets, as a person or a script uses them. Where they publish, they run as the built
 * command in a separate process.
 */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openStore } from '../../../src/boot-set/store/store.ts';
import { pinKey } from '../../../src/boot-set/store/records.ts';
import { folder, Reveille } from '../../support/reveille.ts';
import { runCommand } from '../../support/command.ts';

const CHANNEL = 'maas/amd64/precise/install';

interface Place {
  readonly store: string;
  readonly set: string;
  /** Writes the set's files and publishes them. */
  readonly publish: (linux: string, ...more: string[]) => Promise<string>;
}

function put(path: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(path, { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
}

/** @param run runs the commands that publish the sets. */
function place(run: Run = ran): Place {
  const root = folder();
  const [store, set] = [join(root, 'store'), join(root, 'set')];
  return {
    store,
    set,
    publish: async (linux, ...more) => {
      put(set, { linux, initrd: 'initrd' });
      return (await run(['publish', CHANNEL, set, '--store', store, ...more])).trim();
    },
  };
}

/** Runs a command that must succeed. @returns stdout. */
type Run = (args: readonly string[]) => Promise<string>;

/** Runs the command in a separate process. */
const ran: Run = async (args) => {
  const { code, stdout, stderr } = await new Reveille(args).ended;
  expect([args, code, stderr]).toEqual([args, 0, '']);
  return stdout;
};

/**
 * Runs the command in this process: starting a process for each of dozens of commands would take most of the time.
 */
const said: Run = async (args) => {
  const { code, stdout, stderr } = await runCommand(args);
  expect([args, code, stderr]).toEqual([args, 0, '']);
  return stdout;
};

async function json<T>(args: readonly string[], run: Run = said): Promise<T> {
  return JSON.parse(await run([...args, '--json'])) as T;
}

/** Runs a command that must fail, in this process. @returns the exit code and the one line on stderr. */
async function refused(args: readonly string[]): Promise<[number, string]> {
  const { code, stdout, stderr } = await runCommand(args);
  expect(stdout).toBe('');
  expect(stderr).toMatch(/^reveille: [^\n]+\n$/);
  return [code, stderr.trim()];
}

/** Runs commands that must fail, one after the other: one process must not open a store twice at once. */
async function allRefused(commands: readonly (readonly string[])[]): Promise<[number, string][]> {
  const answers: [number, string][] = [];
  // oxlint-disable-next-line no-await-in-loop -- one after the other.
  for (const args of commands) answers.push(await refused(args));
  return answers;
}

describe('reveille publish', () => {
  it('prints the version, which is the same for the same content', async () => {
    const { publish, store, set } = place();
    expect(await publish('one')).toBe(`${CHANNEL}-1`);
    expect(await publish('two')).toBe(`${CHANNEL}-2`);
    expect(await publish('one')).toBe(`${CHANNEL}-1`);
    expect(await json(['publish', CHANNEL, set, '--store', store, '--label', 'build=7', '--keep'], ran)).toEqual({
      version: `${CHANNEL}-1`,
      channel: CHANNEL,
      number: 1,
      digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string,
      files: 2,
      bytes: 9,
      new: false,
      previous_current: 1,
    });
    expect(await json(['versions', CHANNEL, '--store', store], ran)).toMatchObject([
      { version: `${CHANNEL}-2`, current: false, keep: false },
      { version: `${CHANNEL}-1`, current: true, keep: true, labels: { build: '7' } },
    ]);
  });

  it('rejects unpublishable input with one line, and creates no store', async () => {
    const { store, set } = place();
    put(set, {});
    put(join(set, '../outside'), { secret: 'x' });
    const tries: [string[], RegExp][] = [
      [['publish', CHANNEL, set], /set": expected at least one file, got none/],
      [['publish', CHANNEL, join(set, 'gone')], /gone".*ENOENT/],
      [['publish', 'no good', set], /channel "no good": expected a channel name/],
      [['publish', 'install-1', set], /expected a name that does not end in a hyphen and a number/],
      [['publish', CHANNEL, set, '--label', 'x'], /--label: expected NAME=VALUE, got "x"/],
      [['publish', CHANNEL, set, '--os', 'colour=red'], /--os: expected name, version, arch, got "colour"/],
    ];
    const answers = await allRefused(tries.map(([args]) => [...args, '--store', store]));
    expect(answers).toEqual(tries.map(([, expected]) => [2, expect.stringMatching(expected)]));
    symlinkSync('../outside/secret', join(set, 'linux'));
    const [code, line] = await refused(['publish', CHANNEL, set, '--store', store]);
    expect([code, line]).toEqual([2, expect.stringMatching(/linux": expected a link to a place in/)]);
    expect(readdirSync(join(set, '..')).toSorted()).toEqual(['outside', 'set']);
  });

  it('needs a store', async () => {
    const { set } = place();
    put(set, { linux: 'x' });
    const top = join(set, '..');
    expect(await refused(['publish', CHANNEL, set, '--store', join(top, 'typo/store')])).toEqual([
      2,
      `reveille: ${top}/typo/store: a store is created only in a folder that exists, got no ${top}/typo`,
    ]);
    expect(readdirSync(top)).toEqual(['set']);
    expect(await refused(['publish', CHANNEL, set])).toEqual([
      2,
      'reveille: --store: expected the folder of a store, got nothing',
    ]);
    const [code, line] = await refused(['publish', CHANNEL, set, '--store', set]);
    expect([code, line]).toEqual([
      2,
      expect.stringMatching(/expected a store, an OCI image layout or an empty folder/),
    ]);
    expect(readdirSync(set)).toEqual(['linux']);
  });

  it.runIf(process.getuid?.() === 0)('rejects unreadable files', async () => {
    const { set, store } = place();
    put(set, { linux: 'x' });
    chmodSync(join(set, 'linux'), 0);
    chownSync(join(set, 'linux'), 0, 0);
    chmodSync(join(set, '..'), 0o777);
    const script = `process.setgid(65534);process.setuid(65534);process.argv=['', '', 'publish', '${CHANNEL}', '${set}', '--store', '${store}'];`;
    const preload = `data:text/javascript,${encodeURIComponent(script)}`;
    const { code, stderr } = await new Reveille([], { nodeArgs: ['--import', preload] }).ended;
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/linux": expected a file that can be read: EACCES[^\n]*\n$/),
    ]);
    expect(statSync(store, { throwIfNoEntry: false })).toBeUndefined();
  });

  it('leaves the store as it was when it is stopped by a signal', async () => {
    const { publish, store, set } = place();
    await publish('one');
    // A sparse file is slow to copy but quick to create.
    truncateSync(join(set, 'initrd'), 1_000_000_000);
    const reveille = new Reveille(['publish', CHANNEL, set, '--store', store]);
    // The signal is sent once copying has begun.
    while (readdirSync(join(store, 'staging')).length === 0) await new Promise(setImmediate);
    reveille.process.kill('SIGINT');
    expect(await reveille.ended).toMatchObject({ code: 1, stderr: 'reveille: stopped by SIGINT\n' });
    expect(readdirSync(join(store, 'staging'))).toEqual([]);
    expect(await json(['channels', '--store', store], ran)).toMatchObject([{ current: 1, versions: 1 }]);
    expect(await json(['verify', '--store', store], ran)).toMatchObject({ whole: true, leftovers: 0 });
  });
});

describe('the verbs on channels and versions', () => {
  it('list, roll back, keep, remove and collect', async () => {
    const { publish, store } = place(said);
    for (const linux of ['one', 'two', 'three']) await publish(linux);
    expect(await said(['channels', '--store', store])).toMatch(
      /^CHANNEL +CURRENT +PREVIOUS +ROLLOUT +REGISTRY +VERSIONS +BYTES\nmaas\/amd64\/precise\/install +3 +2 1 +- +- +3 +29 B\n$/,
    );
    expect(await said(['rollback', CHANNEL, '--store', store])).toBe(`${CHANNEL}-2\n`);
    expect(await json(['rollback', CHANNEL, '1', '--store', store])).toEqual({
      channel: CHANNEL,
      from: 2,
      to: 1,
      version: `${CHANNEL}-1`,
    });
    expect(await said(['versions', CHANNEL, '--store', store])).toMatch(
      new RegExp(`^VERSION .*\n${CHANNEL}-3 +previous .*\n${CHANNEL}-2 +previous .*\n${CHANNEL}-1 +current .*\n$`),
    );
    expect(await said(['keep', `${CHANNEL}-3`, '--store', store])).toBe(`${CHANNEL}-3: kept\n`);
    expect(await said(['remove', `${CHANNEL}-2`, '--store', store])).toMatch(/^1 version no longer wanted/);
    expect(await json(['gc', '--dry-run', '--grace', '0', '--store', store])).toMatchObject({
      dry_run: true,
      versions: [{ name: `${CHANNEL}-2`, bytes: 9 }],
      blobs: 2,
    });
    expect(await said(['gc', '--store', store])).toMatch(new RegExp(`${CHANNEL}-2 +not before .*\nFreed 0 B`));
    expect(await json(['gc', '--grace', '0', '--store', store])).toMatchObject({
      versions: [{ name: `${CHANNEL}-2` }],
      blobs: 2,
    });
    expect(await json(['verify', '--store', store])).toMatchObject({
      whole: true,
      versions: 2,
      damage: [],
      leftovers: 0,
    });
    expect(await refused(['remove', `${CHANNEL}-1`, '--store', store])).toEqual([
      2,
      expect.stringMatching(/cannot be removed: it is current/),
    ]);
    expect(await json(['remove', CHANNEL, '--store', store])).toEqual({ removed: [`${CHANNEL}-1`, `${CHANNEL}-3`] });
    await said(['gc', '--grace', '0', '--store', store]);
    expect(await json(['channels', '--store', store])).toEqual([]);
    expect(await publish('one')).toBe(`${CHANNEL}-4`);
  });

  it('show and change the settings of a channel', async () => {
    const { publish, store } = place(said);
    await publish('one');
    await said(['channel', CHANNEL, '--pin-idle', '4h', '--keep-versions', '1', '--store', store]);
    expect(await json(['channel', CHANNEL, '--store', store])).toEqual({
      name: CHANNEL,
      settings: { pinIdleMs: 14_400_000, keepVersions: 1 },
      effective: { pinIdleMs: 14_400_000, pinCapMs: 7_200_000, keepVersions: 1 },
    });
    expect(await said(['channel', CHANNEL, '--pin-idle', 'default', '--store', store])).toMatch(
      /pin-idle +15 min 00 s +setting of the server/,
    );
  });

  it('roll a candidate out and promote it, or give it up', async () => {
    const { publish, store } = place(said);
    await publish('one');
    await publish('two', '--candidate');
    expect(await said(['rollout', CHANNEL, '--percent', '10', '--store', store])).toBe(
      `${CHANNEL}-2: for 10 % of the nodes\n`,
    );
    await said(['rollout', CHANNEL, '--pause', '--store', store]);
    expect(await json(['channels', '--store', store])).toMatchObject([
      { current: 1, rollout: { candidate: 2, percent: 10, paused: true } },
    ]);
    await said(['rollout', CHANNEL, '2', '--select', 'serial=AB*', '--select', 'rack=7', '--store', store]);
    expect(await json(['channels', '--store', store])).toMatchObject([
      { rollout: { candidate: 2, select: { serial: 'AB*', rack: '7' }, paused: false } },
    ]);
    expect(await said(['rollout', CHANNEL, '--promote', '--store', store])).toBe(`${CHANNEL}-2: current\n`);
    await said(['rollout', CHANNEL, '1', '--percent', '50', '--store', store]);
    expect(await said(['rollout', CHANNEL, '--abort', '--store', store])).toBe(`${CHANNEL}-1: aborted\n`);
    const tries = [[], ['2'], ['--pause', '--abort'], ['2', '--percent', '101'], ['--pause']];
    const answers = await allRefused(tries.map((args) => ['rollout', CHANNEL, ...args, '--store', store]));
    expect(answers.map(([code], at) => [tries[at], code])).toEqual(tries.map((args) => [args, 2]));
  });

  it('pin nodes by hand, list pins and drop them', async () => {
    const { publish, store } = place(said);
    await publish('one');
    await publish('two');
    expect(await said(['pin', 'AA-BB-CC-00-11-22', `${CHANNEL}-1`, '--store', store])).toBe(
      `mac:aa:bb:cc:00:11:22: ${CHANNEL}-1\n`,
    );
    const open = await openStore({ path: store });
    await open.note((tables) =>
      tables.pins.put(pinKey('ip:192.0.2.7', CHANNEL), {
        node: 'ip:192.0.2.7',
        channel: CHANNEL,
        version: 2,
        createdAt: Date.now(),
        usedAt: Date.now(),
        stage: 1,
        address: '192.0.2.7',
      }),
    );
    expect(await json(['pins', '--store', store])).toMatchObject({
      pins: [{ node: 'ip:192.0.2.7', version: 2, live: true, stage: 1 }],
      by_hand: [{ node: 'mac:aa:bb:cc:00:11:22', channel: CHANNEL, version: 1 }],
    });
    expect(await said(['pins', '--store', store])).toMatch(
      /mac:aa:bb:cc:00:11:22 +\S+-1 +by hand[^\n]*\nip:192\.0\.2\.7 +\S+-2 +boots/,
    );
    expect(await ran(['pins', '--drop', '192.0.2.7', '--store', store])).toBe('ip:192.0.2.7: 1 pin dropped\n');
    // The process that has had the store open all the time sees the change of another process.
    expect([open.generation > 0, open.pins()]).toEqual([true, []]);
    await open.close();
    await said(['pin', 'aabbcc001122', CHANNEL, '--drop', '--store', store]);
    expect(await refused(['pin', 'aabbcc001122', CHANNEL, '--drop', '--store', store])).toEqual([
      2,
      expect.stringMatching(/expected a pin in channel/),
    ]);
  });

  it('end with 2 for missing things, and create nothing', async () => {
    const { publish, store } = place(said);
    const missing = join(folder(), 'store');
    const line = `reveille: ${missing}: expected a store, got nothing`;
    const verbs = ['channels', 'gc', 'verify', 'pins'];
    expect(await allRefused(verbs.map((verb) => [verb, '--store', missing]))).toEqual(verbs.map(() => [2, line]));
    expect(statSync(missing, { throwIfNoEntry: false })).toBeUndefined();
    await publish('one');
    const tries = [
      ['versions', 'other'],
      ['rollback', 'other'],
      ['rollback', CHANNEL],
      ['rollback', CHANNEL, '7'],
      ['remove', 'other'],
      ['keep', `${CHANNEL}-7`],
      ['pin', 'n1', `${CHANNEL}-7`],
      ['channel', 'other'],
    ];
    const answers = await allRefused(tries.map((args) => [...args, '--store', store]));
    expect(answers.map(([code], at) => [tries[at], code])).toEqual(tries.map((args) => [args, 2]));
  });

  it('report damage with exit code 1', async () => {
    const { publish, store } = place(said);
    await publish('one');
    const [version] = await json<{ files: { name: string; digest: string }[] }[]>([
      'versions',
      CHANNEL,
      '--store',
      store,
    ]);
    const digest = version!.files.find(({ name }) => name === 'linux')!.digest.slice(7);
    const blob = join(store, 'blobs/sha256', digest);
    chmodSync(blob, 0o644);
    writeFileSync(blob, 'eno');
    const { code, stdout } = await new Reveille(['verify', '--store', store]).ended;
    expect(code).toBe(1);
    expect(stdout).toMatch(
      new RegExp(`^WHAT +PROBLEM +VERSIONS\n${digest} +its bytes have a different digest.*${CHANNEL}-1\n`),
    );
    await publish('one');
    expect(await said(['verify', '--store', store])).toMatch(/^1 version, 4 blobs, .*: whole\n$/);
    expect(readFileSync(blob, 'utf8')).toBe('one');
  });
});
