/**
 * Checks that V8 in this Node.js knows the flags that the server sets. V8 prints unknown flags on stderr and ignores
 * them.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';

/** Output of a process that runs `script`. */
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
