/** Temporary folders that are removed after the test, and a directory source with a clock that the test advances. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import type * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Mock, onTestFinished } from 'vitest';
import { attachShared } from '../../src/bytes/shared-bytes.ts';
import { BufferCache } from '../../src/content/buffer-cache.ts';
import { Directory, type DirectoryOptions } from '../../src/content/directory.ts';
import { identityOf } from '../../src/content/file-identity.ts';
import type { FoundFile } from '../../src/content/file-snapshot.ts';
import type { Answer, BootRequest, Content, Source } from '../../src/content/types.ts';
import { whenWhole } from '../../src/content/when-whole.ts';
import { Resolver } from '../../src/server/resolver.ts';

/** @param onFinished registers the removal; by default it runs after the test. */
export function temporaryFolder(onFinished: (clear: () => void) => void = onTestFinished): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'reveille-content-')));
  onFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const LONG_AGO_S = 1_000_000_000;

/** Writes a file with an old date, so that an edit right after it is visible even where timestamps are coarse. */
export function put(folder: string, name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  utimesSync(path, LONG_AGO_S, LONG_AGO_S);
  return path;
}

export interface Fixture {
  readonly root: string;
  readonly cache: BufferCache;
  readonly source: Directory;
  /** Advances the clock, ms. */
  readonly pass: (ms: number) => void;
}

/** Serves a folder. All files are old by its wall clock, so no test depends on how quickly it runs. */
export function serve(root: string, options: Partial<DirectoryOptions> = {}): Fixture {
  let now = 5_000;
  const cache = options.cache ?? new BufferCache();
  const source = new Directory({ root, cache, clock: () => now, wallClock: () => 0, ...options });
  const pass = (ms: number) => {
    now += ms;
  };
  return { root, cache, source, pass };
}

/** Asks as the server does: once for each reading of the name. */
export async function ask(source: Source, filename: string, mode: BootRequest['mode'] = 'octet'): Promise<Answer> {
  return await new Resolver([source]).resolve({ filename, mode, client: '127.0.0.2', local: '127.0.0.1' });
}

/** A name as UTF-8 on the wire: one character per byte. */
export function onWire(name: string): string {
  return Buffer.from(name, 'utf8').toString('latin1');
}

export async function askContent(source: Source, filename: string, mode?: BootRequest['mode']): Promise<Content> {
  const answer = await ask(source, filename, mode);
  if (answer.kind !== 'content') throw new Error(`${JSON.stringify(filename)} got ${JSON.stringify(answer)}`);
  return answer;
}

/** Asks for each name. @returns the answers that differ from the expected kind, to be compared with []. */
export async function answeredOtherwise(
  source: Source,
  expected: Answer['kind'],
  names: readonly string[],
): Promise<{ name: string; answer: Answer }[]> {
  const answers = await Promise.all(names.map(async (name) => ({ name, answer: await ask(source, name) })));
  return answers.filter(({ answer }) => answer.kind !== expected);
}

/** Content as latin1 text, once all of it has been read. */
export async function wholeText(content: Content): Promise<string> {
  if (!(await whenWhole(content.supply))) throw new Error(`${content.label} is not whole: ${content.supply?.failure}`);
  return text(content).slice(0, content.supply?.size);
}

/** Content as latin1 text. */
export function text(content: Content): string {
  return Buffer.from(attachShared(content.handle).bytes).toString('latin1');
}

/** Asks for a file, reads it and releases it. */
export async function read(source: Source, filename: string, mode?: BootRequest['mode']): Promise<string> {
  const content = await askContent(source, filename, mode);
  const all = await wholeText(content);
  content.release();
  return all;
}

/** Returns the file at `path` as a lookup finds it. */
export function foundFile(path: string, as: Partial<FoundFile> = {}): FoundFile {
  const stats = statSync(path, { bigint: true });
  const { dev: device, nlink: links } = stats;
  const found = { kind: 'file' as const, root: dirname(path), path, size: Number(stats.size), device, links };
  return { ...found, identity: identityOf(stats), fresh: false, ...as };
}

/** Applies `change` to the handle of the next file that the mock opens. */
export function changeNextOpened(open: Mock<typeof fs.open>, change: (handle: fs.FileHandle) => void): void {
  const real = open.getMockImplementation()!;
  open.mockImplementationOnce(async (...args) => {
    const handle = await real(...args);
    change(handle);
    return handle;
  });
}
