/** The commit and date of a build: in a clone, in an unpacked archive, and without either. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ROOT } from '../support/pages.ts';

const FILES = ['.gitattributes', 'scripts/commit.txt', 'scripts/build-record.js'];
const DATE = 1_700_000_000;
const { GIT_DIR: _, SOURCE_DATE_EPOCH: __, ...ENV } = process.env;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'reveille-record-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function git(root: string, ...args: readonly string[]): string {
  const identity = ['-c', 'user.name=a', '-c', 'user.email=a@example.net', '-c', 'commit.gpgSign=false'];
  const env = { ...ENV, GIT_COMMITTER_DATE: `${DATE} +0000` };
  return execFileSync('git', [...identity, ...args], { cwd: root, encoding: 'utf8', env }).trim();
}

/** @returns the root of a tree with the files that the record depends on, without git. */
function tree(): string {
  const root = join(folder, 'tree');
  mkdirSync(root);
  writeFileSync(join(root, 'package.json'), '{ "version": "9.8.7", "type": "module" }');
  for (const name of FILES) cpSync(join(ROOT, name), join(root, name), { recursive: true });
  return root;
}

/** @returns the root of a repository with one commit, and its commit's first digits. */
function repository(): [root: string, commit: string] {
  const root = tree();
  git(root, 'init', '--quiet');
  git(root, 'add', '--all');
  git(root, 'commit', '--quiet', '--message', 'a');
  return [root, git(root, 'rev-parse', 'HEAD').slice(0, 7)];
}

function recordOf(root: string, env: NodeJS.ProcessEnv = {}): unknown {
  const script = join(root, 'scripts/build-record.js');
  return JSON.parse(execFileSync(process.execPath, [script], { cwd: '/', encoding: 'utf8', env: { ...ENV, ...env } }));
}

it('is the commit of a clone, with its time', () => {
  const [root, commit] = repository();
  expect(recordOf(root)).toEqual({ version: '9.8.7', commit, date: DATE });
});

it.each(['package.json', 'new'])('says that the tree differs from the commit: %s', (name) => {
  const [root, commit] = repository();
  writeFileSync(join(root, name), '{ "version": "9.8.8", "type": "module" }');
  expect(recordOf(root)).toMatchObject({ commit: `${commit}-dirty`, date: DATE });
});

it('is the commit of an unpacked archive, also inside another repository', () => {
  const [root, commit] = repository();
  const outer = join(folder, 'outer');
  mkdirSync(outer);
  git(outer, 'init', '--quiet');
  git(root, 'archive', '--output', join(folder, 'a.tar'), '--prefix', 'inner/', 'HEAD');
  execFileSync('tar', ['--extract', '--file', join(folder, 'a.tar')], { cwd: outer });
  expect(recordOf(join(outer, 'inner'))).toEqual({ version: '9.8.7', commit, date: DATE });
});

it('is not the commit of a repository around the tree', () => {
  const root = tree();
  git(folder, 'init', '--quiet');
  git(folder, 'add', 'tree/package.json');
  git(folder, 'commit', '--quiet', '--message', 'a');
  expect(recordOf(root)).toEqual({ version: '9.8.7', commit: 'unknown', date: 0 });
});

it.each(['86400', '8589934591'])('takes the date from SOURCE_DATE_EPOCH: %s', (SOURCE_DATE_EPOCH) => {
  expect(recordOf(tree(), { SOURCE_DATE_EPOCH })).toMatchObject({ date: Number(SOURCE_DATE_EPOCH) });
});

it.each(['today', '', '-1', '1e3', '8589934592'])('refuses a date that no archive can have: "%s"', (wished) => {
  const root = tree();
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts/build-record.js')], {
    encoding: 'utf8',
    env: { ...ENV, SOURCE_DATE_EPOCH: wished },
  });
  expect({ status, stderr }).toEqual({
    status: 2,
    stderr: `SOURCE_DATE_EPOCH: expected seconds since 1970, at most 8589934591, got ${wished}\n`,
  });
});
