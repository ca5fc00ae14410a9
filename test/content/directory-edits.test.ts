import {
  appendFileSync,
  existsSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BufferCache } from '../../src/content/buffer-cache.ts';
import type { Answer } from '../../src/content/types.ts';
import { ask, askContent, put, read, serve, temporaryFolder, text } from './fixture.ts';

describe('Directory and files that change', () => {
  const edits: [string, (path: string) => void, string][] = [
    [
      'replaced by rename',
      (path) => {
        writeFileSync(`${path}.new`, 'the new ones');
        renameSync(`${path}.new`, path);
      },
      'the new ones',
    ],
    ['overwritten in place', (path) => writeFileSync(path, 'another text'), 'another text'],
    ['truncated', (path) => truncateSync(path, 3), 'the'],
    ['emptied', (path) => truncateSync(path, 0), ''],
    ['appended to', (path) => appendFileSync(path, '!'), 'the old ones!'],
  ];

  it.each(edits)(
    'gives running readers the old bytes and, a second later, new ones the new: %s',
    async (_, edit, after) => {
      const root = temporaryFolder();
      const path = put(root, 'x', 'the old ones');
      const { source, cache, pass } = serve(root);
      const running = await askContent(source, 'x');
      edit(path);
      pass(999);
      expect(await read(source, 'x')).toBe('the old ones');
      pass(1);
      expect(await read(source, 'x')).toBe(after);
      expect(text(running)).toBe('the old ones');
      expect(cache.stats().entries).toBe(2);
      running.release();
      expect(cache.stats()).toMatchObject({ entries: 1, heldBytes: 0, idleBytes: Math.max(1, after.length), loads: 2 });
    },
  );

  it('gives running readers of a deleted file its bytes, and says missing a second later', async () => {
    const root = temporaryFolder();
    const path = put(root, 'x', 'the old ones');
    const { source, cache, pass } = serve(root);
    const running = await askContent(source, 'x');
    rmSync(path);
    pass(999);
    expect(await read(source, 'x')).toBe('the old ones');
    pass(1);
    expect((await ask(source, 'x')).kind).toBe('missing');
    expect(text(running)).toBe('the old ones');
    running.release();
    expect(cache.stats()).toMatchObject({ entries: 0, heldBytes: 0, idleBytes: 0 });
  });

  it('sees a file that appears or is no longer denied, a second after it was asked for', async () => {
    const root = temporaryFolder();
    symlinkSync('/dev/zero', join(root, 'y'));
    const { source, pass } = serve(root);
    expect((await ask(source, 'x')).kind).toBe('missing');
    expect((await ask(source, 'y')).kind).toBe('denied');
    put(root, 'x', 'new');
    rmSync(join(root, 'y'));
    put(root, 'y', 'fine');
    pass(999);
    expect((await ask(source, 'x')).kind).toBe('missing');
    expect((await ask(source, 'y')).kind).toBe('denied');
    pass(1);
    expect(await read(source, 'x')).toBe('new');
    expect(await read(source, 'y')).toBe('fine');
  });

  it('keeps the bytes of a file that has not changed, however often it is looked at', async () => {
    const root = temporaryFolder();
    put(root, 'x', 'the same');
    const { source, cache, pass } = serve(root);
    for (let second = 0; second < 5; second++) {
      expect(await read(source, 'x')).toBe('the same');
      pass(1000);
    }
    expect(cache.stats()).toMatchObject({ loads: 1, hits: 4, entries: 1 });
  });

  it('reads a file that was written an instant ago once more', async () => {
    const root = temporaryFolder();
    const path = put(root, 'x', 'fresh');
    // The time is not a whole second, which shows that the file system has fine timestamps.
    utimesSync(path, 1_000_000_000.5, 1_000_000_000.5);
    const written = statSync(path).mtimeMs;
    let wall = written + 20;
    const { source, cache, pass } = serve(root, { wallClock: () => wall });
    await read(source, 'x');
    await read(source, 'x');
    expect(cache.stats().loads).toBe(1);
    for (const loads of [2, 2, 2]) {
      pass(1000);
      wall += 1000;
      await read(source, 'x');
      expect(cache.stats()).toMatchObject({ loads, entries: 1 });
    }
  });

  it('follows a root that is a link when the link is switched', async () => {
    const folder = temporaryFolder();
    put(folder, 'v1/x', 'version one');
    put(folder, 'v2/x', 'version two');
    put(folder, 'v2/only', 'new in two');
    symlinkSync('v1', join(folder, 'current'));
    const { source, pass } = serve(join(folder, 'current'));
    const running = await askContent(source, 'x');
    expect(text(running)).toBe('version one');
    symlinkSync('v2', join(folder, 'next'));
    renameSync(join(folder, 'next'), join(folder, 'current'));
    expect(await read(source, 'only')).toBe('new in two');
    pass(1000);
    expect(await read(source, 'x')).toBe('version two');
    expect(text(running)).toBe('version one');
    rmSync(join(folder, 'v1'), { recursive: true });
    expect(text(running)).toBe('version one');
  });

  it('keeps the bytes of a version that a link has left and may come back to', async () => {
    const root = temporaryFolder();
    put(root, 'v1', 'version one');
    put(root, 'v2', 'version two');
    const { source, cache, pass } = serve(root);
    for (const version of ['v1', 'v2', 'v1', 'v2']) {
      rmSync(join(root, 'current'), { force: true });
      symlinkSync(version, join(root, 'current'));
      pass(1000);
      expect(await read(source, 'current')).toBe(version === 'v1' ? 'version one' : 'version two');
    }
    expect(cache.stats()).toMatchObject({ loads: 2, entries: 2 });
  });

  it('drops the netascii of an edited file as well', async () => {
    const root = temporaryFolder();
    const path = put(root, 'x', 'old\n');
    const { source, cache, pass } = serve(root);
    await read(source, 'x');
    expect(await read(source, 'x', 'netascii')).toBe('old\r\n');
    writeFileSync(path, 'newer\n');
    pass(1000);
    expect(await read(source, 'x', 'netascii')).toBe('newer\r\n');
    expect(cache.stats()).toMatchObject({ entries: 1, idleBytes: 7 });
  });

  it('looks again at once when a remembered file turns out to be gone', async () => {
    const root = temporaryFolder();
    const path = put(root, 'x', 'the old ones');
    const { source } = serve(root, { cache: new BufferCache({ maxBytes: 0 }) });
    await read(source, 'x');
    writeFileSync(path, 'changed');
    expect(await read(source, 'x')).toBe('changed');
    rmSync(path);
    expect((await ask(source, 'x')).kind).toBe('missing');
  });

  it('looks up and loads once for a thousand concurrent requests: a hit, a miss, and a file to check again', async () => {
    const root = temporaryFolder();
    const path = put(root, 'x', 'one');
    const { source, cache, pass } = serve(root);
    const thousand = (name: string) => Promise.all(Array.from({ length: 1000 }, () => ask(source, name)));
    const first = await thousand('x');
    expect(cache.stats()).toMatchObject({ loads: 1, misses: 1000, entries: 1, heldBytes: 3 });
    const handles = new Set(first.map((answer) => (answer.kind === 'content' ? answer.handle : answer.kind)));
    expect(handles.size).toBe(1);
    writeFileSync(path, 'other');
    pass(1000);
    const second = await thousand('x');
    expect(second.every((answer) => answer.kind === 'content' && text(answer) === 'other')).toBe(true);
    expect(cache.stats()).toMatchObject({ loads: 2, entries: 2, heldBytes: 8 });
    for (const answer of [...first, ...second]) if (answer.kind === 'content') answer.release();
    expect(cache.stats()).toMatchObject({ entries: 1, heldBytes: 0, idleBytes: 5 });
    expect(new Set((await thousand('nothing')).map((answer) => answer.kind))).toEqual(new Set(['missing']));
  });

  it('says busy for a file that is being written, and serves it when the writer has finished', async () => {
    const root = temporaryFolder();
    const path = put(root, 'x', '');
    truncateSync(path, 32 * 1024 ** 2);
    const { source, cache } = serve(root);
    const asked = ask(source, 'x');
    const write = async () => {
      appendFileSync(path, 'x');
      await setImmediate();
      return undefined;
    };
    let answer: Answer | undefined;
    while (answer === undefined) answer = await Promise.race([asked, write()]);
    expect(answer.kind).toBe('busy');
    expect(cache.stats()).toMatchObject({ entries: 0, heldBytes: 0, loads: 4 });
    const content = await askContent(source, 'x');
    expect(content.handle.length).toBe(statSync(path).size);
  });

  // Files in sysfs claim the size of a page and return fewer bytes.
  const sysfs = '/sys/devices/system/cpu/online';
  it.runIf(existsSync(sysfs))('never takes a short read as the end of the file', async () => {
    const { source, cache } = serve('/sys/devices/system/cpu');
    expect(statSync(sysfs).size).toBeGreaterThan(100);
    expect((await ask(source, 'online')).kind).toBe('busy');
    expect(cache.stats()).toMatchObject({ entries: 0, heldBytes: 0 });
  });
});
