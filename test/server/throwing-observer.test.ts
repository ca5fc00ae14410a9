import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('an observer that throws costs none of the requests that were read with its own', () => {
  const script = fileURLToPath(new URL('../support/throwing-observer-process.mjs', import.meta.url));
  const { stdout } = spawnSync(process.execPath, [script], { encoding: 'utf8', timeout: 20_000 });
  expect(JSON.parse(stdout)).toEqual({ answered: 40, thrown: ['the observer failed'] });
});
