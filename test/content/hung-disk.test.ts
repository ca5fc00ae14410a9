/** A disk or mount that hangs during a name lookup, simulated by a wrapper around node:fs/promises. */
import * as fs from 'node:fs/promises';
import { describe, expect, it, vi } from 'vitest';
import { put, read, serve, temporaryFolder } from './fixture.ts';

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof fs>();
  return { ...real, stat: vi.fn<typeof real.stat>(real.stat), open: vi.fn<typeof real.open>(real.open) };
});

/** Default number of threads for file system calls. */
const THREADS = 4;

describe('a mount that hangs', () => {
  it.each([
    ['stat', vi.mocked(fs.stat)],
    ['open', vi.mocked(fs.open)],
  ])('in %s does not occupy all threads for file calls, and another folder is served', async (_name, call) => {
    const [stuck, sound] = [temporaryFolder(), temporaryFolder()];
    for (let file = 0; file < 50; file++) put(stuck, `file-${file}`, 'x');
    put(sound, 'file', 'the file');
    const real = call.getMockImplementation()! as unknown as (...args: unknown[]) => Promise<never>;
    let hanging = 0;
    let goOn = (): void => {};
    const released = new Promise<void>((resolve) => (goOn = resolve));
    call.mockImplementation(async (path: unknown, ...rest: unknown[]) => {
      if (String(path).startsWith(stuck)) {
        hanging++;
        await released;
      }
      return await real(path, ...rest);
    });
    const { source } = serve(stuck);
    const all = Array.from({ length: 50 }, (_, file) => read(source, `file-${file}`));
    const other = serve(sound);
    expect(await read(other.source, 'file')).toBe('the file');
    expect(hanging).toBeGreaterThan(0);
    expect(hanging).toBeLessThan(THREADS);
    goOn();
    expect(new Set(await Promise.all(all))).toEqual(new Set(['x']));
    expect(hanging).toBe(50);
  });
});
