import { mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { built } from '../support/built.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { type Paused, closeAll, startPaused } from '../support/paced-downloads.ts';
import { type LiveServer, serveFolder } from '../support/server.ts';

const BEFORE = seededBytes(SEED, 200_000);
const AFTER = seededBytes(SEED + 1, BEFORE.length);

let folder: string;
let path: string;
let live: LiveServer;
let paused: Paused[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reveille-changes-'));
  path = join(folder, 'kernel');
  await writeFile(path, BEFORE);
  live = await serveFolder(folder);
  paused = await startPaused(live.at('127.0.0.1'), 'kernel', 3);
});

afterEach(async () => {
  await closeAll(paused);
  await live.server.stop(0);
  await rm(folder, { recursive: true });
});

/** @returns the file as a new client gets it, or the error code that the client gets. */
async function download(): Promise<Buffer | number | undefined> {
  const parts: Buffer[] = [];
  const { outcome, errorCode } = await built.fetchFile({
    server: live.at('127.0.0.1'),
    filename: 'kernel',
    mode: 'octet',
    wish: { blksize: 8192, windowsize: 8 },
    sink: { write: (bytes) => void parts.push(Buffer.from(bytes)) },
    lingerMs: 0,
  });
  return outcome === 'complete' ? Buffer.concat(parts) : errorCode;
}

interface Change {
  readonly what: string;
  readonly change: () => Promise<unknown>;
  /** The new content, or the error code that new clients get. */
  readonly seen: Buffer | number;
}

const CHANGES: readonly Change[] = [
  { what: 'truncated', change: () => truncate(path, 5000), seen: BEFORE.subarray(0, 5000) },
  { what: 'truncated to nothing', change: () => truncate(path, 0), seen: Buffer.alloc(0) },
  { what: 'overwritten in place', change: () => writeFile(path, AFTER, { flag: 'r+' }), seen: AFTER },
  {
    what: 'replaced by rename',
    change: async () => {
      await writeFile(`${path}.new`, AFTER);
      await rename(`${path}.new`, path);
    },
    seen: AFTER,
  },
  { what: 'deleted', change: () => rm(path), seen: 1 },
];

describe('a file that changes while it is downloaded', () => {
  it.each(CHANGES)('$what: running transfers keep their bytes, new ones see the change', async ({ change, seen }) => {
    expect(await download()).toEqual(BEFORE);
    await change();
    const isSeen = async (): Promise<boolean> => {
      const now = await download();
      return now instanceof Buffer && seen instanceof Buffer ? now.equals(seen) : now === seen;
    };
    // New transfers should see the change within a second; the rest of the timeout is for a busy machine.
    await expect.poll(isSeen, { timeout: 5000, interval: 50 }).toBe(true);
    const contents = await Promise.all(paused.map(({ download: running }) => running.finish()));
    for (const content of contents) expect(content.equals(BEFORE)).toBe(true);
  });
});
