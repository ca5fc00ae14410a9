/** Archives of packages, as GNU tar reads them. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { entriesBelow, gzip, writeTar } from '../../packaging/tar.ts';

const DATE = 1_700_000_000;
const LONG = 'n'.repeat(180);
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'reveille-tar-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function tree(name: string, names: readonly string[], mode: number, time: number): string {
  const root = join(folder, name);
  mkdirSync(join(root, 'bin'), { recursive: true, mode });
  for (const path of names) {
    writeFileSync(join(root, path), `content of ${path}`);
    chmodSync(join(root, path), path.startsWith('bin/') ? mode | 0o100 : mode & 0o666);
    utimesSync(join(root, path), time, time);
  }
  symlinkSync('../b', join(root, 'bin/link'));
  return root;
}

it('is the same for trees that differ in order, times and rights of other users', () => {
  const names = ['b', 'a', LONG, 'bin/tool'];
  const [first, second] = [
    tree('one', names, 0o700, 1_000_000),
    tree('two', names.toReversed(), 0o755, 1_600_000_000),
  ].map((root, index) => {
    const file = join(folder, `${index}.tar`);
    writeTar(file, entriesBelow(root, 'opt'), DATE);
    return readFileSync(gzip(file));
  });
  expect(first!.equals(second!)).toBe(true);
});

it('lists names, modes, owners, times and links as GNU tar reads them', () => {
  const file = join(folder, 'a.tar');
  const entries = [
    ...entriesBelow(tree('one', ['a', LONG, 'bin/tool'], 0o755, 0), ''),
    { path: 'etc' },
    { path: 'etc/far', link: LONG },
    { path: 'etc/passwd', text: 'root\n', mode: 0o600, owner: 65_532 },
  ];
  writeTar(file, entries, DATE);
  const said = execFileSync('tar', ['--list', '--verbose', '--numeric-owner', '--full-time', '--file', file], {
    encoding: 'utf8',
    env: { ...process.env, TZ: 'UTC' },
  });
  const lines = said
    .trimEnd()
    .split('\n')
    .map((line) => line.replaceAll(/ +/g, ' '));
  const time = '2023-11-14 22:13:20';
  expect(lines).toEqual([
    `-rw-r--r-- 0/0 12 ${time} a`,
    `drwxr-xr-x 0/0 0 ${time} bin/`,
    `lrwxrwxrwx 0/0 0 ${time} bin/link -> ../b`,
    `-rwxr-xr-x 0/0 19 ${time} bin/tool`,
    `drwxr-xr-x 0/0 0 ${time} etc/`,
    `lrwxrwxrwx 0/0 0 ${time} etc/far -> ${LONG}`,
    `-rw------- 65532/65532 5 ${time} etc/passwd`,
    `-rw-r--r-- 0/0 191 ${time} ${LONG}`,
  ]);
});

it('carries a file capability', () => {
  const file = join(folder, 'a.tar');
  const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
  writeTar(file, [{ path: 'node', text: 'binary', mode: 0o755, capability }], DATE);
  const said = execFileSync(
    'tar',
    ['--list', '--verbose', '--verbose', '--xattrs', '--xattrs-include=*', '--file', file],
    {
      encoding: 'utf8',
    },
  );
  expect(said).toMatch(/x: 20 security\.capability/);
});
