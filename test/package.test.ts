/** Contents of the npm package. .ci/check-package installs the package and runs it. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { PAGES, ROOT } from './support/pages.ts';

it('the package contains the documents, the unit and the security policy', () => {
  const said = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const [{ files }] = JSON.parse(said) as [{ files: { path: string }[] }];
  const paths = new Set(files.map(({ path }) => path));
  const wanted = [
    ...PAGES.filter((page) => !/^(?:CONTRIBUTING|grafana)/.test(page)),
    'LICENSE',
    'deploy/reveille.service',
    'deploy/reveille.schema.json',
  ];
  expect(wanted.every((path) => existsSync(join(ROOT, path)))).toBe(true);
  expect(wanted.filter((path) => !paths.has(path))).toEqual([]);
  expect([...paths].filter((path) => /^(?:test|bench|src|scripts|packaging|build|\.ci)\/|\.map$/.test(path))).toEqual(
    [],
  );
});
