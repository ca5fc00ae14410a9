/**
 * The system calls that are made, and the handling of their failures: a wrapper stands in front of node:fs/promises.
 */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  type Dir,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { attachShared } from '../../src/bytes/shared-bytes.ts';
import { CHANGED, type FoundFile, snapshot } from '../../src/content/file-snapshot.ts';
import { ask, changeNextOpened, foundFile, put, read, serve, temporaryFolder } from './fixture.ts';

vi.mock('node:fs', async (importOriginal) => {
  const real = await importOriginal<typeof import('node:fs')>();
  return { ...real, readlinkSync: vi.fn<typeof real.readlinkSync>(real.readlinkSync) };
});

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof fs>();
  const watched = ['open', 'realpath', 'stat', 'lstat', 'opendir', 'readlink'] as const;
  return {
    ...real,
    ...Object.fromEntries(watched.map((name) => [name, vi.fn<typeof real.open>(real[name] as never)])),
  };
});

beforeEach(() => {
  vi.clearAllMocks();
});

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: failed`), { code, syscall: 'open' });
}

/** Number of calls since the last count. */
function callsSince(): number {
  const calls = [fs.open, fs.realpath, fs.stat, fs.lstat, fs.opendir, fs.readlink].map((each) => vi.mocked(each));
  const count = calls.reduce((sum, each) => sum + each.mock.calls.length, 0);
  vi.clearAllMocks();
  return count;
}

/** Applies `change` to the handle of the next file that is opened. */
const openedOnce = (change: (handle: fs.FileHandle) => void): void => changeNextOpened(vi.mocked(fs.open), change);

/** Calls `edit` after the first read has returned. */
function editDuringRead(edit: () => void): void {
  openedOnce((handle) => {
    const real = handle.read.bind(handle) as (...args: unknown[]) => Promise<fs.FileReadResult<Uint8Array>>;
    handle.read = async (...args: unknown[]) => {
      const result = await real(...args);
      edit();
      return result;
    };
  });
}

function found(root: string, name: string, as: Partial<FoundFile> = {}): FoundFile {
  return foundFile(join(root, name), { root, ...as });
}

describe('Directory and system calls', () => {
  it('makes none for a second, whatever it found, and looks once for all who ask at once', async () => {
    const root = temporaryFolder();
    put(root, 'x', 'text');
    symlinkSync('/dev/zero', join(root, 'zero'));
    const { source, pass } = serve(root);
    for (const name of ['x', 'zero', 'nothing']) {
      const alone = serve(root).source;
      await ask(alone, name);
      const forOne = callsSince();
      expect(forOne).toBeGreaterThan(0);
      await Promise.all(Array.from({ length: 100 }, () => ask(source, name)));
      expect(callsSince()).toBe(forOne);
      pass(999);
      await ask(source, name);
      expect(callsSince()).toBe(0);
      pass(1);
      await Promise.all(Array.from({ length: 100 }, () => ask(source, name)));
      const again = callsSince();
      expect(again).toBeGreaterThan(0);
      expect(again).toBeLessThanOrEqual(forOne);
    }
  });

  it('remembers for a second that a file may not be opened', async () => {
    const root = temporaryFolder();
    put(root, 'x', 'text');
    const { source, pass } = serve(root);
    vi.mocked(fs.open).mockRejectedValueOnce(failure('EACCES'));
    expect(await ask(source, 'x')).toEqual({ kind: 'denied', reason: 'EACCES: failed' });
    callsSince();
    expect((await ask(source, 'x')).kind).toBe('denied');
    expect(callsSince()).toBe(0);
    pass(1000);
    expect(await read(source, 'x')).toBe('text');
  });

  it.each(['EMFILE', 'EIO', 'ESTALE'])('says busy on %s, and tries again for the next request', async (code) => {
    const root = temporaryFolder();
    put(root, 'x', 'text');
    const { source, cache } = serve(root);
    vi.mocked(fs.open).mockRejectedValueOnce(failure(code));
    expect(await ask(source, 'x')).toEqual({ kind: 'busy', reason: `${code}: failed` });
    vi.mocked(fs.realpath).mockRejectedValueOnce(failure(code));
    expect((await ask(serve(root).source, 'x')).kind).toBe('busy');
    openedOnce((handle) => (handle.read = () => Promise.reject(failure(code))));
    expect((await ask(source, 'x')).kind).toBe('busy');
    expect(cache.stats()).toMatchObject({ heldBytes: 0, entries: 0 });
    expect(await read(source, 'x')).toBe('text');
  });

  it('reads a file again that was overwritten while it was read', async () => {
    const root = temporaryFolder();
    const path = put(root, 'x', 'the old ones');
    const { source, cache } = serve(root);
    editDuringRead(() => writeFileSync(path, 'the new ones!'));
    expect(await read(source, 'x')).toBe('the new ones!');
    expect(cache.stats()).toMatchObject({ loads: 2, entries: 1 });
  });

  it('lists a folder again only when it has changed, or had changed just before', async () => {
    const root = temporaryFolder();
    put(root, 'X', 'text');
    const changed = statSync(root).mtimeMs;
    let wall = changed + 20;
    const { source } = serve(root, { caseInsensitive: true, wallClock: () => wall });
    const listings = async (name: string) => {
      vi.clearAllMocks();
      await ask(source, name);
      return vi.mocked(fs.opendir).mock.calls.length;
    };
    expect(await listings('a')).toBe(1);
    expect(await listings('b')).toBe(1);
    wall += 1000;
    expect(await listings('c')).toBe(1);
    expect(await listings('x')).toBe(0);
    put(root, 'Y', 'text');
    expect(await listings('d')).toBe(1);
    expect(await read(source, 'y')).toBe('text');
  });

  /** A folder with that many names, all available at once; `rounds` counts the turns of the event loop meanwhile. */
  function crowd(count: number): { listed: () => number; rounds: () => number; closed: () => boolean } {
    let [listed, rounds, closed] = [0, 0, false];
    const goRound = (): void => {
      rounds++;
      if (!closed) setImmediate(goRound);
    };
    // oxlint-disable-next-line require-await -- the real iterator is async.
    async function* entries() {
      setImmediate(goRound);
      try {
        for (; listed < count; listed++) yield { name: Buffer.from(`Name-${listed}`) };
      } finally {
        closed = true;
      }
    }
    vi.mocked(fs.opendir).mockResolvedValueOnce(entries() as unknown as Dir);
    return { listed: () => listed, rounds: () => rounds, closed: () => closed };
  }

  it('lists a folder of a million names bit by bit, as far as its bound, and says so once', async () => {
    const root = temporaryFolder();
    put(root, 'Beyond', 'text');
    const told: unknown[] = [];
    const onWarning = (message: string, detail: object): void => void told.push([message, detail]);
    const { source } = serve(root, { caseInsensitive: true, onWarning });
    const folder = crowd(1_000_000);
    expect((await ask(source, 'nothing')).kind).toBe('missing');
    expect([folder.listed(), folder.closed()]).toEqual([65_536, true]);
    expect(folder.rounds()).toBeGreaterThanOrEqual(65_536 / 512);
    expect(told).toEqual([
      ['a folder has too many names: case matters for the names beyond the limit', { folder: root, listed: 65_536 }],
    ]);
    // Lookups by exact name find every file.
    expect(await read(source, 'Beyond')).toBe('text');
    expect((await ask(source, 'BEYOND')).kind).toBe('missing');
  });

  it('lists a folder that never stays the same for a tenth of the time', async () => {
    const root = temporaryFolder();
    put(root, 'X', 'text');
    let now = 0;
    // Each look at the clock is a millisecond later; by the wall clock the folder has always changed just now.
    const { source } = serve(root, {
      caseInsensitive: true,
      clock: () => now++,
      wallClock: () => statSync(root).mtimeMs,
    });
    for (let name = 0; name < 500; name++) await ask(source, `nothing-${name}`);
    expect(vi.mocked(fs.opendir).mock.calls.length).toBeGreaterThan(10);
    expect(vi.mocked(fs.opendir).mock.calls.length).toBeLessThan(now / 10);
  });
});

describe('snapshot', () => {
  it('treats a file as changed if it is gone, replaced, or no longer a file', async () => {
    const root = temporaryFolder();
    const path = put(root, 'x', 'text');
    const before = found(root, 'x');
    writeFileSync(`${path}.new`, 'text');
    renameSync(`${path}.new`, path);
    expect(await snapshot(before, 'octet')).toBe(CHANGED);
    rmSync(path);
    expect(await snapshot(before, 'octet')).toBe(CHANGED);
    put(root, 'other', 'text');
    symlinkSync('other', path);
    expect(await snapshot(before, 'octet')).toBe(CHANGED);
    rmSync(path);
    execFileSync('mkfifo', [path]);
    // An open that waited for a writer to this FIFO would hang forever.
    expect(await snapshot(before, 'octet')).toBe(CHANGED);
  });

  it('makes no room for a file that has been replaced', async () => {
    const root = temporaryFolder();
    put(root, 'x', 'text');
    expect(await snapshot(found(root, 'x', { identity: 'another', size: 2 ** 42 }), 'octet')).toBe(CHANGED);
  });

  it.each([
    ['written to', (path: string) => writeFileSync(path, 'TEXT')],
    ['appended to', (path: string) => appendFileSync(path, '!')],
    ['emptied', (path: string) => writeFileSync(path, '')],
  ])('treats a file as changed if it is %s while it is read', async (_, edit) => {
    const root = temporaryFolder();
    const path = put(root, 'x', 'text');
    const before = found(root, 'x');
    editDuringRead(() => edit(path));
    expect(await snapshot(before, 'octet')).toBe(CHANGED);
  });

  it('continues after a short read', async () => {
    const root = temporaryFolder();
    put(root, 'x', 'some text');
    openedOnce((handle) => {
      const real = handle.read.bind(handle) as (into: Uint8Array, options: object) => Promise<unknown>;
      handle.read = ((into: Uint8Array, options: object) => real(into.subarray(0, 2), options)) as typeof handle.read;
    });
    const bytes = await snapshot(found(root, 'x'), 'octet');
    if (!('handle' in bytes)) throw new Error(`Got ${bytes.kind}`);
    expect(Buffer.from(attachShared(bytes.handle).bytes).toString()).toBe('some text');
  });

  it('closes the files that it opened, even when it fails', async () => {
    const root = temporaryFolder();
    put(root, 'x', 'text');
    const handles: fs.FileHandle[] = [];
    openedOnce((handle) => handles.push(handle));
    await snapshot(found(root, 'x'), 'octet');
    openedOnce((handle) => handles.push(handle));
    await snapshot(found(root, 'x', { identity: 'another' }), 'octet');
    openedOnce((handle) => {
      handles.push(handle);
      handle.read = () => Promise.reject(failure('EIO'));
    });
    await snapshot(found(root, 'x'), 'octet');
    expect(handles.map((handle) => handle.fd)).toEqual([-1, -1, -1]);
  });

  it.runIf(process.platform === 'linux')('denies, saying why, where /proc is missing', async () => {
    const root = temporaryFolder();
    put(root, 'x', 'text');
    vi.mocked(readlinkSync).mockImplementationOnce(() => {
      throw failure('ENOENT');
    });
    expect(await snapshot(found(root, 'x'), 'octet')).toMatchObject({ kind: 'denied' });
  });
});
