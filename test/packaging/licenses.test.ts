/** The list of licenses in docs/licenses.md. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { licensesPage } from '../../packaging/licenses-page.ts';
import { lockedPackages } from '../../packaging/locked-packages.ts';
import { read, ROOT } from '../support/pages.ts';

it('is as package-lock.json says (npm run licenses)', () => {
  expect(read('docs/licenses.md')).toBe(licensesPage());
});

it('says what the installed packages say, and lists no package for development', () => {
  const { dependencies, optionalDependencies, devDependencies } = JSON.parse(read('package.json')) as Record<
    string,
    Record<string, string>
  >;
  const locked = lockedPackages();
  const names = new Set(locked.map(({ name }) => name));
  expect(Object.keys({ ...dependencies, ...optionalDependencies }).filter((name) => !names.has(name))).toEqual([]);
  expect(Object.keys(devDependencies!).filter((name) => names.has(name))).toEqual([]);
  const here = locked.filter(({ name }) => name in { ...dependencies, ...optionalDependencies });
  const said = here.map(({ path, name, version }) => {
    const about = JSON.parse(readFileSync(join(ROOT, path, 'package.json'), 'utf8')) as Record<string, string>;
    return [name, about['version'] === version ? about['license'] : 'another version'];
  });
  // A nested copy of a package may have another version than the one that Reveille names.
  expect(said).toEqual(here.map(({ name, license }) => [name, license]));
});
