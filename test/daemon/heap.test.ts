/** That this Node.js's V8 knows what the server asks of it: otherwise it says so on stderr, and goes on without. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';

/** What a process says that runs `script`. */
function said(script: string): string {
  const args = ['--import', 'tsx', '--input-type=module', '--eval', script];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  return stdout + stderr;
}

it('knows every flag that the server sets', () => {
  const heap = pathToFileURL(join(import.meta.dirname, '../../src/daemon/heap.ts')).href;
  expect(said(`import { tuneHeaps } from '${heap}'; tuneHeaps(); console.log('set');`)).toBe('set\n');
  expect(said(`import { setFlagsFromString } from 'node:v8'; setFlagsFromString('--no-such-flag');`)).toContain(
    'no-such-flag',
  );
});
