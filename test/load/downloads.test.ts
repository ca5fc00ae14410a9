import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CAMPAIGN, SEED, seededBytes } from '../support/content.ts';
import { ForkedServer } from '../support/forked-server.ts';

const MIB = 1024 * 1024;
const DOWNLOADS = CAMPAIGN ? 500 : 100;
const SIZE = (CAMPAIGN ? 16 : 2) * MIB;
const WISH = { blksize: 8192, windowsize: 8 };
const SCRIPT = fileURLToPath(new URL('../support/download-process.mjs', import.meta.url));
const CLIENT_PROCESSES = 2;

let folder: string;
let server: ForkedServer;
let clients: ChildProcess[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reveille-load-'));
  const path = join(folder, 'kernel');
  await writeFile(path, seededBytes(SEED, SIZE));
  server = await ForkedServer.start(folder, 2);
  const order = JSON.stringify({ server: server.address, filename: 'kernel', path, wish: WISH });
  clients = Array.from({ length: CLIENT_PROCESSES }, () => fork(SCRIPT, [order], { execArgv: [] }));
  await Promise.all(clients.map((client) => once(client, 'message')));
});

afterEach(async () => {
  await server.end();
  for (const client of clients) client.kill('SIGKILL');
  await rm(folder, { recursive: true });
});

/** Downloads the file DOWNLOADS times at once. @returns the failures. */
async function round(): Promise<string[]> {
  const failures = clients.map(async (client) => {
    const answer = once(client, 'message');
    client.send(DOWNLOADS / CLIENT_PROCESSES);
    return (await answer)[0] as string[];
  });
  return (await Promise.all(failures)).flat();
}

describe(`${DOWNLOADS} downloads at once of ${SIZE / MIB} MiB (content of REVEILLE_SEED=${SEED})`, () => {
  it('have every byte right, and leave nothing behind after two more rounds', { timeout: 300_000 }, async () => {
    expect(await round()).toEqual([]);
    const first = await server.usage();
    expect(await round()).toEqual([]);
    expect(await round()).toEqual([]);
    // The client reports its end when it sends the last ACK, before the server has received that ACK.
    await expect.poll(() => server.transfers.length, { timeout: 10_000 }).toBe(3 * DOWNLOADS);
    expect(server.transfers.filter(({ outcome }) => outcome !== 'complete')).toEqual([]);
    // The spare worker has some more while it warms up, in its first seconds.
    const { descriptors } = first;
    await expect
      .poll(async () => (await server.usage()).descriptors, { timeout: 10_000 })
      .toBeLessThanOrEqual(descriptors);
    const last = await server.usage();
    expect(last.rssBytes / first.rssBytes).toBeLessThan(1.05);
    expect(last.heapBytes / first.heapBytes).toBeLessThan(1.05);
  });
});
