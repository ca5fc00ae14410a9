/** Headings of CHANGELOG.md. */
import { expect, it } from 'vitest';
import { changelogFaults } from '../../packaging/changelog.ts';
import { read } from '../support/pages.ts';

const GOOD = `# Changelog

## [Unreleased]

## [1.10.0] - 2026-03-01

### Added

## [1.9.2] - 2026-03-01

### Fixed
`;

it('of Reveille have no mistakes', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  expect(changelogFaults(read('CHANGELOG.md'), version)).toEqual([]);
});

it('may name the version of package.json, or announce it', () => {
  expect(changelogFaults(GOOD, '1.10.0')).toEqual([]);
  expect(changelogFaults(GOOD.replace('[Unreleased]\n', '[Unreleased]\n\nThis will be 1.11.0.\n'), '1.11.0')).toEqual(
    [],
  );
});

it.each([
  ['a version that is not named', GOOD, '1.11.0', 'expected a heading for 1.11.0'],
  ['no part for changes to come', GOOD.replace('## [Unreleased]\n', ''), '1.10.0', 'got "## [1.10.0] - 2026-03-01"'],
  ['a wrong date', GOOD.replace('2026-03-01', '2026-13-01'), '1.9.2', 'got "## [1.10.0] - 2026-13-01"'],
  ['a version without a date', GOOD.replace('[1.9.2] - 2026-03-01', '1.9.2'), '1.10.0', 'got "## 1.9.2"'],
  ['an older version above a newer one', GOOD.replace('1.9.2', '1.11.0'), '1.10.0', 'the newest comes first'],
  ['dates in the wrong order', GOOD.replace('2026-03-01', '2026-02-01'), '1.10.0', 'the newest comes first'],
  ['an unknown section', GOOD.replace('### Fixed', '### Repaired'), '1.10.0', 'got "### Repaired"'],
])('are checked for %s', (_, text, version, fault) => {
  const faults = changelogFaults(text, version);
  expect(faults).toHaveLength(1);
  expect(faults[0]).toContain(fault);
});
