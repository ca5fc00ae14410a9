/** Workers that share a port: how transfers are divided among them, and what the death of one costs. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';
import { workerOf } from '../../src/engine/linux/single-port/steering.ts';
import { loadLibc } from '../../src/engine/linux/libc.ts';
import { noLosses } from '../../src/pool/figures.ts';
import { toSockaddr } from '../../src/engine/linux/socket-address.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { ForkedServer } from '../support/forked-server.ts';
import { closeAll, type Paused, startPaused } from '../support/paced-downloads.ts';
import { errorPacket, PacedDownload, RawClient } from '../support/raw-client.ts';
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
    server = await ForkedServer.start(folder, 2, { engine: 'linux', singlePort: true });
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

  /** Every client leaves its file and gets the next one, from the same port. */
  async function leaveForNext(): Promise<void> {
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
  }

  it('run the transfers of their clients, and one that dies costs no transfer, no packet and no request', async () => {
    const bySeat = [0, 1].map((seat) => paused.filter(({ client }) => seatOf(client.port) === seat));
    const sorted = (counts: readonly number[]): number[] => counts.toSorted((one, other) => one - other);
    const running = await server.running();
    // The spare has none.
    expect(sorted(running)).toEqual([0, ...sorted(bySeat.map(({ length }) => length))]);
    const moved = await server.crash();
    expect(moved).toBe(Math.max(...running));
    // Others begin at once, perhaps before another thread has the dead worker's place.
    const later = await Promise.all(
      Array.from({ length: DOWNLOADS }, async () => {
        const client = await RawClient.open();
        onTestFinished(() => client.close());
        const download = new PacedDownload(client, server.address, 'kernel');
        await download.start();
        return download;
      }),
    );
    await finish([...paused.map(({ download }) => download), ...later]);
    await expect.poll(() => server.transfers.length).toBe(2 * DOWNLOADS);
    expect(server.transfers.map(({ outcome }) => outcome)).toEqual(Array(2 * DOWNLOADS).fill('complete'));
    expect(await server.stats()).toMatchObject({
      workersLostTotal: 1,
      transfersActive: 0,
      transfersLostTotal: { engine: 0, repeated: 0, stopping: 0 },
      requestDropsTotal: 0,
    });
    // Some of the later ones as well.
    expect((await server.stats()).transfersResumedTotal).toBeGreaterThanOrEqual(moved);
    expect((await server.stats()).packets.receiveDrops).toBe(0);
    expect(await server.stop(0)).toBe(0);
    expect(await server.exit).toEqual({ code: 0, signal: null });
  });

  it('answer a client that leaves a file and asks for the next one at once', async () => {
    await leaveForNext();
    expect(server.transfers.map(({ outcome }) => outcome).toSorted()).toEqual([
      ...Array<string>(DOWNLOADS).fill('clientError'),
      ...Array<string>(DOWNLOADS).fill('complete'),
    ]);
  });

  it('die one after the other, each with all transfers of its place', async () => {
    for (let deaths = 1; deaths <= 3; deaths++) {
      // oxlint-disable-next-line no-await-in-loop -- one death after the other.
      expect(await server.crash()).toBeGreaterThan(0);
      // oxlint-disable-next-line no-await-in-loop -- see above.
      await expect.poll(async () => (await server.stats()).workersLostTotal, { timeout: 10_000 }).toBe(deaths);
      // oxlint-disable-next-line no-await-in-loop -- see above.
      await Promise.all(paused.map(({ download }) => download.advance(1)));
      // oxlint-disable-next-line no-await-in-loop -- see above.
      expect(await server.running()).toHaveLength(3);
    }
    await finish(paused.map(({ download }) => download));
    await expect.poll(() => server.transfers.length).toBe(DOWNLOADS);
    expect(server.transfers.every(({ outcome }) => outcome === 'complete')).toBe(true);
  });

  it('answer clients that leave a file of a dead worker, by an ERROR, and ask for the next one', async () => {
    await server.crash();
    await server.death();
    await leaveForNext();
    const complete = server.transfers.filter(({ outcome }) => outcome === 'complete');
    expect(complete.map(({ file }) => file)).toEqual(Array(DOWNLOADS).fill('next'));
    expect((await server.stats()).transfersLostTotal).toEqual(noLosses());
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
