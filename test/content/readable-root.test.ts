import { mkdirSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MemorySource } from '../../src/content/memory-source.ts';
import { ReadableRoot } from '../../src/content/readable-root.ts';
import { ask, put, read, serve, temporaryFolder } from './fixture.ts';

function over(root: string, source = serve(root).source as ConstructorParameters<typeof ReadableRoot>[0]['source']) {
  const warnings: unknown[] = [];
  const news: unknown[] = [];
  let now = 0;
  const files = new ReadableRoot({
    root,
    source,
    clock: () => now,
    onWarning: (message, detail) => warnings.push([message, detail]),
    onBack: (message, detail) => news.push([message, detail]),
  });
  const pass = (ms: number): void => {
    now += ms;
  };
  return { files, warnings, news, pass };
}

describe('a root that is away', () => {
  it('gets no answer for missing files until the root appears', async () => {
    const root = join(temporaryFolder(), 'later');
    const { files, warnings, pass } = over(root);
    expect((await ask(files, 'x')).kind).toBe('busy');
    expect((await ask(files, 'y')).kind).toBe('busy');
    expect(warnings).toEqual([['the root cannot be read: waiting for it', { root, code: 'ENOENT' }]]);
    put(root, 'x', 'here now');
    expect(await read(files, 'x')).toBe('here now');
    expect((await ask(files, 'y')).kind).toBe('missing');
    renameSync(root, `${root}-away`);
    pass(1000);
    expect((await ask(files, 'z')).kind).toBe('busy');
    expect(warnings).toHaveLength(2);
  });

  it('is reported once when it disappears, with the reason, and once when it is back', async () => {
    const root = join(temporaryFolder(), 'later');
    const { files, warnings, news } = over(root);
    expect(files.away).toBe('the root has not been checked yet');
    await files.look();
    await files.look();
    expect(files.away).toBe('the root cannot be read (ENOENT)');
    expect(news).toEqual([]);
    mkdirSync(root);
    await files.look();
    await files.look();
    expect(files.away).toBeUndefined();
    expect(news).toEqual([['the root can be read now', { root }]]);
    expect(warnings).toHaveLength(1);
  });

  it('is not reported if it was there from the start', async () => {
    const { files, news } = over(temporaryFolder());
    await files.look();
    expect(files.away).toBeUndefined();
    expect(news).toEqual([]);
  });

  it('does not affect content of another source, or refused names', async () => {
    const root = join(temporaryFolder(), 'loop');
    symlinkSync(root, root);
    const kept = new MemorySource(new Map([['x', Uint8Array.of(1)]]));
    const { files, warnings } = over(root, kept);
    expect((await ask(files, 'x')).kind).toBe('content');
    expect(warnings).toEqual([]);
    expect((await ask(files, 'y')).kind).toBe('busy');
    expect(warnings).toEqual([['the root cannot be read: waiting for it', { root, code: 'ELOOP' }]]);
  });

  it('is checked once for all concurrent requests', async () => {
    const root = temporaryFolder();
    const { files } = over(root);
    expect(files.look()).toBe(files.look());
    await files.look();
    mkdirSync(join(root, 'x'));
    // The result holds for a second, so the answer is no promise.
    const answer = files.open({ filename: '../x', mode: 'octet', client: '127.0.0.2', local: '127.0.0.1' });
    expect(answer).toMatchObject({ kind: 'denied' });
  });
});
