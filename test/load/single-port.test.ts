/** Workers that share a port: how transfers are divided among them, and what the death of one costs. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';
import { workerOf } from '../../src/engine/linux/single-port/steering.ts';
import { loadLibc } from '../../src/engine/linux/libc.ts';
import { toSockaddr } from '../../src/engine/linux/socket-address.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { ForkedServer } from '../support/forked-server.ts';
import { closeAll, type Paused, startPaused } from '../support/paced-downloads.ts';
import { errorPacket, PacedDownload } from '../support/raw-client.ts';
import { serveFolder } from '../support/server.ts';

const DOWNLOADS = 40;
const KERNEL = seededBytes(SEED, 100_000);
const NEXT = seededBytes(SEED + 1, 100_000);
const unavailable = await checkLinuxEngine();
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reveille-single-port-'));
  await writeFile(join(folder, 'kernel'), KERNEL);
  await writeFile(join(folder, 'next'), NEXT);
});

afterEach(() => rm(folder, { recursive: true }));

async function finish(downloads: readonly PacedDownload[]): Promise<void> {
  const contents = await Promise.all(downloads.map((download) => download.finish()));
  for (const content of contents) expect(content.equals(KERNEL)).toBe(true);
}

describe.skipIf(unavailable !== undefined)('workers that share a port', () => {
  let server: ForkedServer;
  let paused: Paused[];

  beforeEach(async () => {
    server = await ForkedServer.start(folder, 2, 'linux', true);
    paused = await startPaused(server.address, 'kernel', DOWNLOADS);
  });

  afterEach(async () => {
    await closeAll(paused);
    await server.end();
  });

  const seatOf = (port: number): number => {
    const sockaddr = toSockaddr(loadLibc(), { address: '127.0.0.1', port });
    return workerOf(new Int32Array(sockaddr.buffer), 0, 2);
  };

  it('run the transfers of their clients, and one that dies costs no other a transfer or a packet', async () => {
    const bySeat = [0, 1].map((seat) => paused.filter(({ client }) => seatOf(client.port) === seat));
    const sorted = (counts: readonly number[]): number[] => counts.toSorted((one, other) => one - other);
    expect(sorted(await server.running())).toEqual(sorted(bySeat.map(({ length }) => length)));
    const lost = await server.crash();
    // The clients of the dead worker begin again at once, from the same ports, before another worker has its place.
    await expect.poll(() => server.transfers.length).toBe(lost);
    const dead = seatOf(server.transfers[0]!.client.port);
    expect(server.transfers.map(({ client }) => seatOf(client.port))).toEqual(Array(lost).fill(dead));
    const again = bySeat[dead]!.map(({ client }) => new PacedDownload(client, server.address, 'kernel'));
    await Promise.all(again.map((download) => download.start()));
    await finish([...bySeat[1 - dead]!.map(({ download }) => download), ...again]);
    await expect.poll(() => server.transfers.length).toBe(lost + DOWNLOADS);
    expect(server.transfers.slice(lost).map(({ outcome }) => outcome)).toEqual(Array(DOWNLOADS).fill('complete'));
    expect(await server.stats()).toMatchObject({ workersLostTotal: 1, transfersActive: 0, requestDropsTotal: 0 });
    expect((await server.stats()).packets.receiveDrops).toBe(0);
    expect(await server.stop(0)).toBe(0);
    expect(await server.exit).toEqual({ code: 0, signal: null });
  });

  it('answer a client that leaves a file and asks for the next one at once', async () => {
    const again = paused.map(({ client }) => new PacedDownload(client, server.address, 'next'));
    await Promise.all(
      again.map(async (download, index) => {
        const { client } = paused[index]!;
        await client.send(errorPacket(0, 'Closed'), server.address);
        await download.start();
      }),
    );
    const contents = await Promise.all(again.map((download) => download.finish()));
    expect(contents.every((content) => content.equals(NEXT))).toBe(true);
    await expect.poll(() => server.transfers.length).toBe(2 * DOWNLOADS);
    expect(server.transfers.map(({ outcome }) => outcome).toSorted()).toEqual([
      ...Array<string>(DOWNLOADS).fill('clientError'),
      ...Array<string>(DOWNLOADS).fill('complete'),
    ]);
  });

  it('leave the port to no second server, and free it at the end', async () => {
    const { address } = server;
    const second = (): ReturnType<typeof serveFolder> => serveFolder(folder, { listen: [address], singlePort: true });
    await expect(second()).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await finish(paused.map(({ download }) => download));
    await server.stop(0);
    const { server: next } = await second();
    await next.stop(0);
  });
});

it('has one thread with the portable engine, and says so', async () => {
  const live = await serveFolder(folder, { engine: 'portable', singlePort: true, workers: 2 });
  const { server, warnings } = live;
  onTestFinished(() => void server.stop(0));
  expect(warnings).toEqual(['with singlePort the portable engine runs all transfers on one thread {}']);
  expect(server.stats().workers).toHaveLength(1);
  const paused = await startPaused(live.at('127.0.0.1'), 'kernel', 10);
  await finish(paused.map(({ download }) => download));
  await closeAll(paused);
});
