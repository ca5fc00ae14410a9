import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('an observer that throws does not affect other requests of the same batch', () => {
  const script = fileURLToPath(new URL('../support/throwing-observer-process.mjs', import.meta.url));
  const { stdout } = spawnSync(process.execPath, [script], { encoding: 'utf8', timeout: 20_000 });
  expect(JSON.parse(stdout)).toEqual({ answered: 40, thrown: ['the observer failed'] });
});
