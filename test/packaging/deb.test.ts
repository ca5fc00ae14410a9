/** Parts of the Debian package. .ci/check-deb builds the package, installs and runs it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { changelogText, controlText, debianVersion, md5sumsText } from '../../packaging/deb/control.ts';
import { neededVersions } from '../../packaging/deb/elf.ts';
import { libraryDependencies } from '../../packaging/deb/library-dependencies.ts';
import { packagedUnit } from '../../packaging/deb/unit.ts';
import { read, ROOT } from '../support/pages.ts';

const place = mkdtempSync(join(tmpdir(), 'reveille-deb-'));
afterAll(() => rmSync(place, { recursive: true, force: true }));

it('a version before a release sorts below the release', () => {
  const [before, release] = [debianVersion('1.0.0-rc.1'), debianVersion('1.0.0')];
  expect(() => execFileSync('dpkg', ['--compare-versions', before, 'lt', release])).not.toThrow();
});

const MODULES = ['@lmdb/lmdb-linux-x64/node.napi.glibc.node', '@koromix/koffi-linux-x64/linux_x64/koffi.node'];

it.skipIf(process.arch !== 'x64')('the package needs the newest symbols that any of its files needs', () => {
  const files = MODULES.map((name) => join(ROOT, 'node_modules', name));
  // readelf lists the versions that the file itself has, if any, in the same form.
  const expected = files.map((file) =>
    execFileSync('readelf', ['--version-info', '--wide', file], { encoding: 'utf8' })
      .split('Version needs section')[1]!
      .match(/(?<=Name: )\S+/g)!
      .toSorted(),
  );
  const contents = files.map((file) => readFileSync(file));
  const found = contents.map((content) =>
    [...neededVersions(content).values()].flatMap((versions) => [...versions]).toSorted(),
  );
  expect(found).toEqual(expected);
  expect(libraryDependencies(contents)).toEqual(['libc6 (>= 2.34)', 'libstdc++6 (>= 11)']);
});

it('a file that is no ELF file, or is cut off, is a mistake', () => {
  const library = readFileSync(process.execPath).subarray(0, 4096);
  expect(() => neededVersions(Buffer.from('#!/bin/sh\n'.repeat(10)))).toThrow('expected a 64-bit');
  expect(() => neededVersions(library)).toThrow(RangeError);
});

it('the changelog has an entry for each release, the newest first', () => {
  const text = changelogText(
    '# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-24\n\n- new\n\n## [0.1.0] - 2026-11-30\n',
    '0.3.0',
    'A <a@b>',
    1_800_000_000,
  );
  expect([...text.matchAll(/^reveille \((.*?)\)|^ -- (.*)$/gm)].map(([line]) => line)).toEqual([
    'reveille (0.3.0-1)',
    ' -- A <a@b>  Fri, 15 Jan 2027 08:00:00 +0000',
    'reveille (0.2.0-1)',
    ' -- A <a@b>  Thu, 24 Dec 2026 00:00:00 +0000',
    'reveille (0.1.0-1)',
    ' -- A <a@b>  Mon, 30 Nov 2026 00:00:00 +0000',
  ]);
  writeFileSync(join(place, 'changelog'), text);
  const parsed = execFileSync('dpkg-parsechangelog', ['--file', join(place, 'changelog'), '--all'], {
    encoding: 'utf8',
  });
  expect(parsed).toContain('Version: 0.3.0-1\n');
});

it('the control file has its fields, one a line', () => {
  const text = controlText({
    version: '1.0.0',
    architecture: 'arm64',
    maintainer: 'A <a@b>',
    dependencies: ['libc6'],
    installedKiB: 7,
  });
  expect(text).toMatch(/^Package: reveille\nVersion: 1\.0\.0-1\n/);
  expect(text).toContain(
    '\nArchitecture: arm64\nMaintainer: A <a@b>\nInstalled-Size: 7\nDepends: libc6, procps, systemd | ',
  );
});

it('the config file has no checksum: the administrator may change it', () => {
  writeFileSync(join(place, 'config'), 'a');
  writeFileSync(join(place, 'program'), 'hello\n');
  expect(md5sumsText(place, ['/config', '/changelog'])).toBe('b1946ac92492d2347c6235b4d2611184  program\n');
});

it('the unit of the package is that of deploy with other paths and a user of its own', () => {
  const [given, packaged] = [read('deploy/reveille.service'), packagedUnit(read('deploy/reveille.service'))];
  const [before, after] = [given.split('\n'), packaged.split('\n')];
  const changed = after.filter((line, index) => line !== before[index] && !line.startsWith('#'));
  expect(changed.map((line) => line.split('=')[0])).toEqual(['Documentation', 'ExecStart', 'User']);
  expect(packaged).not.toMatch(/\/opt\/|DynamicUser/);
  expect(() => packagedUnit(given.replace('DynamicUser=yes', ''))).toThrow('expected exactly one');
});
