/** Garbage on the main thread from requests without a transfer: a flood of the port causes many of them. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const MAX_BYTES = { written: 256, refused: 1024, repeated: 320 };
const HEAP = ['--expose-gc', '--min-semi-space-size=128', '--max-semi-space-size=128'];

it('a refused or repeated request allocates some hundred bytes', () => {
  const script = fileURLToPath(new URL('./request-garbage-process.ts', import.meta.url));
  const { stdout, stderr } = spawnSync(process.execPath, [...HEAP, '--import', 'tsx', script], { encoding: 'utf8' });
  expect(stderr).toBe('');
  const each = JSON.parse(stdout) as typeof MAX_BYTES;
  for (const kind of ['written', 'refused', 'repeated'] as const) {
    expect(each[kind]).toBeGreaterThan(0);
    expect(each[kind]).toBeLessThan(MAX_BYTES[kind]);
  }
});
