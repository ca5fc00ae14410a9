/** Garbage on the main thread from requests without a transfer: a flood of the port causes many of them. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

/** In records of test/support/heap-record.ts: 256, 1,021 and 318 bytes where one takes 370. */
const MAX_RECORDS = { written: 0.69, refused: 2.76, repeated: 0.86 };
const HEAP = ['--expose-gc', '--min-semi-space-size=128', '--max-semi-space-size=128'];

it('a refused or repeated request allocates less than three records', () => {
  const script = fileURLToPath(new URL('./request-garbage-process.ts', import.meta.url));
  const { stdout, stderr } = spawnSync(process.execPath, [...HEAP, '--import', 'tsx', script], { encoding: 'utf8' });
  expect(stderr).toBe('');
  const each = JSON.parse(stdout) as typeof MAX_RECORDS;
  for (const kind of ['written', 'refused', 'repeated'] as const) {
    expect(each[kind]).toBeGreaterThan(0);
    expect(each[kind]).toBeLessThan(MAX_RECORDS[kind]);
  }
});
