/** Files that the operator has declared immutable, mapped by the Linux engine. */
import { readFileSync } from 'node:fs';
import { mkdtemp, realpath, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SEED, seededBytes } from '../support/content.ts';
import { closeAll, type Paused, startPaused } from '../support/paced-downloads.ts';
import { ack, ERROR, number, opcode, RawClient, readRequest, text } from '../support/raw-client.ts';
import { type LiveServer, serveFolder } from '../support/server.ts';

const BEFORE = seededBytes(SEED, 200_000);
const AFTER = seededBytes(SEED + 1, BEFORE.length);

let folder: string;
let path: string;
let live: LiveServer;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'reveille-mapped-')));
  path = join(folder, 'kernel');
  await writeFile(path, BEFORE);
  live = await serveFolder(folder, { immutable: true });
});

afterEach(async () => {
  await live.server.stop(0);
  await rm(folder, { recursive: true });
});

/** Number of mappings of the folder's files in this process, which runs the server's threads. */
function mappings(): number {
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
  return maps.filter((line) => line.includes(`${folder}/`)).length;
}

async function finishAll(paused: readonly Paused[]): Promise<Buffer[]> {
  return Promise.all(paused.map(({ download }) => download.finish()));
}

describe('files below an immutable root', () => {
  it('are mapped once for all readers, and unmapped without readers', async () => {
    expect(live.server.engine).toBe('linux');
    const first = await startPaused(live.at('127.0.0.1'), 'kernel', 3);
    expect(mappings()).toBe(1);
    await writeFile(`${path}.new`, AFTER);
    await rename(`${path}.new`, path);
    // The server may rely on a look at a file for one second.
    await expect.poll(() => startAndPeek(), { timeout: 5000 }).toEqual(AFTER.subarray(0, 512));
    expect((await finishAll(first)).every((bytes) => bytes.equals(BEFORE))).toBe(true);
    await closeAll(first);
    const second = await startPaused(live.at('127.0.0.1'), 'kernel', 2);
    expect((await finishAll(second)).every((bytes) => bytes.equals(AFTER))).toBe(true);
    await closeAll(second);
    await expect.poll(mappings, { timeout: 5000 }).toBe(0);
  });

  it('end only their transfers with an error when they are truncated all the same', async () => {
    const client = await RawClient.open();
    const [other] = await startPaused(live.at('127.0.0.1'), 'kernel', 1);
    await writeFile(join(folder, 'other'), AFTER);
    await client.send(readRequest('kernel', ['blksize', '8192', 'windowsize', '4']), live.at('127.0.0.1'));
    const { from } = await client.receive();
    await truncate(path, 20_000);
    await client.send(ack(0), from);
    // The window leaves as one batch, but its bytes are unreadable from the third block on.
    let last = await client.receive();
    while (opcode(last) !== ERROR) last = await client.receive();
    expect([number(last), text(last)]).toEqual([0, 'Content lost']);
    const record = await live.transfer(({ outcome }) => outcome === 'aborted');
    expect(record.fault).toBe('The content became unreadable');
    const [healthy] = await startPaused(live.at('127.0.0.1'), 'other', 1);
    expect((await healthy!.download.finish()).equals(AFTER)).toBe(true);
    await expect(other!.download.finish()).rejects.toThrow('got packet 5');
    await client.close();
    await closeAll([other!, healthy!]);
    await expect.poll(mappings, { timeout: 5000 }).toBe(0);
  });
});

/** First block as a new client gets it. */
async function startAndPeek(): Promise<Buffer> {
  const client = await RawClient.open();
  try {
    await client.send(readRequest('kernel'), live.at('127.0.0.1'));
    const { bytes, from } = await client.receive();
    await client.send(Buffer.from('\0\x05\0\0enough\0', 'latin1'), from);
    return bytes.subarray(4);
  } finally {
    await client.close();
  }
}
