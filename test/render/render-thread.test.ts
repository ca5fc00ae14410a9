import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { RenderThread } from '../../src/render/render-thread.ts';

it('is not ended while it loads modules, where Node.js 20 aborted the process: validate with a broken template', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'reveille-thread-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'module');
  const thread = new RenderThread({
    setup: { base: folder, templates: {}, handlers: {}, fetches: false, niceness: 0 },
    onStray: () => {},
    worker: new URL('loading-thread.mjs', import.meta.url),
  });
  const running = thread.run([{ kind: 'inventory', file }]).catch(() => undefined);
  await expect.poll(() => existsSync(`${file}.begun`)).toBe(true);
  await thread.close();
  expect(existsSync(`${file}.loaded`)).toBe(true);
  await running;
});
