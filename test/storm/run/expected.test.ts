/** Expected contents: directories read, downloads compared block by block, the bytes of a boot counted. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import {
  bytesOfBoot,
  Expectation,
  ExpectedError,
  loadExpected,
  MAX_VERSIONS,
  pathOf,
} from '../../../src/storm/run/expected.ts';
import { readPlan } from '../../../src/storm/plan/read-plan.ts';

function tree(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'reveille-expected-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(root, dirname(name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  return root;
}

/** Feeds a download in blocks of 4 bytes. @returns the versions it equals, and the position of its first error. */
function compare(expectation: Expectation, name: string, content: string): [number, number] | undefined {
  const check = expectation.check(name);
  if (check === undefined) return undefined;
  // As in a datagram, the payload is preceded by other bytes.
  const bytes = Buffer.from(`head${content}`);
  for (let at = 0; at < content.length; at += 4) check.feed(bytes, 4 + at, Math.min(bytes.length, 8 + at), at);
  return [check.end(content.length), check.wrongAt];
}

it('a name with any kind of slashes gives the same path', () => {
  expect(['\\Boot\\BCD', '//boot//./x', '/linux', 'a/b'].map(pathOf)).toEqual(['Boot/BCD', 'boot/x', 'linux', 'a/b']);
});

it('a download is equal, wrong from some block on, too short, or too long', () => {
  const root = tree({ 'boot/linux': 'abcdefghij', empty: '' });
  const names = new Set(['/boot/linux', 'empty', 'gone', '../secret']);
  const expectation = new Expectation(loadExpected(root, 'verify', names));
  expect(compare(expectation, 'boot\\linux', 'abcdefghij')).toEqual([1, -1]);
  expect(compare(expectation, 'boot/linux', 'abcdefXhij')).toEqual([0, 4]);
  expect(compare(expectation, 'boot/linux', 'abcdefgh')).toEqual([0, 8]);
  expect(compare(expectation, 'boot/linux', 'abcdefghijk')).toEqual([0, 8]);
  expect(compare(expectation, 'empty', '')).toEqual([1, -1]);
  expect(compare(expectation, 'gone', 'x')).toBeUndefined();
  expect(compare(expectation, '../secret', 'x')).toBeUndefined();
});

it('the result names the versions that the whole download is equal to', () => {
  const root = tree({ 'v1/linux': 'same', 'v1/initrd': 'first', 'v2/linux': 'same', 'v2/initrd': 'second', note: '' });
  const versions = loadExpected(root, 'versions', new Set(['linux', 'initrd']));
  const expectation = new Expectation(versions);
  const bit = (name: string): number => 1 << versions.findIndex((version) => version.name === name);
  expect(expectation.all).toBe(3);
  expect(compare(expectation, 'linux', 'same')).toEqual([3, -1]);
  expect(compare(expectation, 'initrd', 'second')).toEqual([bit('v2'), -1]);
  expect(compare(expectation, 'initrd', 'first')).toEqual([bit('v1'), -1]);
  expect(compare(expectation, 'initrd', 'third')![0]).toBe(0);
});

it('an unusable directory is rejected in one line', () => {
  const load = (directory: string, kind: 'verify' | 'versions') => () => loadExpected(directory, kind, new Set(['x']));
  const many = tree(Object.fromEntries(Array.from({ length: MAX_VERSIONS + 1 }, (_, index) => [`v${index}/x`, ''])));
  expect(load(join(many, 'none'), 'verify')).toThrow(ExpectedError);
  expect(load(join(many, 'v0/x'), 'verify')).toThrow('--verify: expected a directory');
  expect(load(join(many, 'v0'), 'versions')).toThrow('expected 1 to 31 subdirectories');
  expect(load(many, 'versions')).toThrow(`got ${MAX_VERSIONS + 1}`);
});

it('the bytes of a boot are known where the size of every file is', () => {
  const stages = [
    '{ name: loader, file: loader.efi }',
    '{ name: config, search: ["{mac}.cfg", default.cfg], repeat: 2 }',
    '{ name: extra, file: extra.img, optional: true }',
  ];
  const plan = (more: string) =>
    readPlan(
      ['name: p', 'profile: ipxe', 'stages:', ...[...stages, more].map((stage) => `  - ${stage}`)].join('\n'),
      'p',
    );
  const versions = loadExpected(
    tree({ 'loader.efi': '12345', 'default.cfg': '123' }),
    'verify',
    new Set(['loader.efi', 'default.cfg']),
  );
  expect(bytesOfBoot(plan('{ name: kernel, file: linux, size: 1000 }'), versions)).toBe(5 + 2 * 3 + 1000);
  expect(bytesOfBoot(plan('{ name: kernel, file: linux }'), versions)).toBeUndefined();
  expect(bytesOfBoot(plan('{ name: kernel, file: linux, closeAfterBlocks: 3 }'), versions)).toBeUndefined();
  expect(bytesOfBoot(plan('{ name: kernel, file: linux, size: 1000 }'))).toBeUndefined();
});
