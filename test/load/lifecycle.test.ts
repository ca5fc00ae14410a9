import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SEED, seededBytes } from '../support/content.ts';
import { ForkedServer } from '../support/forked-server.ts';
import { type Paused, closeAll, startPaused } from '../support/paced-downloads.ts';
import { ERROR, RawClient, number, opcode, readRequest, text } from '../support/raw-client.ts';

const DOWNLOADS = 20;
const KERNEL = seededBytes(SEED, 100_000);
const CLEAN_EXIT = { code: 0, signal: null };

let folder: string;
let server: ForkedServer;
let paused: Paused[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reveille-lifecycle-'));
  await writeFile(join(folder, 'kernel'), KERNEL);
  server = await ForkedServer.start(folder, 2);
  paused = await startPaused(server.address, 'kernel', DOWNLOADS);
});

afterEach(async () => {
  await closeAll(paused);
  await server.end();
  await rm(folder, { recursive: true });
});

const portOf = ({ client }: Paused): number => client.port;

async function finishAll(downloads: readonly Paused[]): Promise<void> {
  const contents = await Promise.all(downloads.map(({ download }) => download.finish()));
  for (const content of contents) expect(content.equals(KERNEL)).toBe(true);
}

/** Number of transfers that each worker reports; only live workers have any. */
async function transfersByWorker(): Promise<number[]> {
  const { workers } = await server.stats();
  return workers.map(({ transfers }) => transfers).toSorted((one, other) => one - other);
}

describe('each worker', () => {
  it('reports the number of its transfers, and its processor time', async () => {
    expect(await transfersByWorker()).toEqual([DOWNLOADS / 2, DOWNLOADS / 2]);
    await expect
      .poll(async () => (await server.stats()).workers.every(({ cpuSeconds }) => cpuSeconds > 0), { timeout: 10_000 })
      .toBe(true);
    const { workers } = await server.stats();
    expect(workers.map(({ worker }) => worker)).toEqual([0, 1]);
    for (const { cpuSeconds, eventLoopDelayMs } of workers) {
      expect(cpuSeconds).toBeLessThan(60);
      expect(eventLoopDelayMs).toBeGreaterThanOrEqual(0);
    }
    await finishAll(paused);
    await expect.poll(() => server.transfers.length, { timeout: 10_000 }).toBe(DOWNLOADS);
    expect(await transfersByWorker()).toEqual([0, 0]);
    expect(await server.stop(0)).toBe(0);
  });
});

describe('a throw inside a busy worker', () => {
  it('costs only the transfers of that worker', async () => {
    const sentBefore = (await server.stats()).packets.dataSent;
    const lost = await server.crash();
    expect(lost).toBeGreaterThan(0);
    expect(lost).toBeLessThan(DOWNLOADS);
    await expect.poll(() => server.transfers.length, { timeout: 10_000 }).toBe(lost);
    for (const { outcome, fault } of server.transfers) {
      expect({ outcome, fault }).toEqual({ outcome: 'aborted', fault: 'Planted fault' });
    }
    const lostPorts = new Set(server.transfers.map(({ client }) => client.port));
    expect(lostPorts.size).toBe(lost);

    await finishAll(paused.filter((one) => !lostPorts.has(portOf(one))));
    // The replacement responds, so it takes transfers and gets its share of them.
    expect(await server.running()).toHaveLength(2);
    const served = await startPaused(server.address, 'kernel', DOWNLOADS);
    expect(await server.running()).toEqual([DOWNLOADS / 2, DOWNLOADS / 2]);
    expect((await transfersByWorker()).slice(-2)).toEqual([DOWNLOADS / 2, DOWNLOADS / 2]);
    // The packets that the lost worker counted stay counted.
    expect((await server.stats()).packets.dataSent).toBeGreaterThan(sentBefore);
    await finishAll(served);
    await closeAll(served);

    await expect.poll(() => server.transfers.length, { timeout: 10_000 }).toBe(2 * DOWNLOADS);
    expect(server.transfers.slice(lost).every(({ outcome }) => outcome === 'complete')).toBe(true);
    // On a machine where the Linux engine can't run, a warning about that comes first.
    const warnings = server.warnings.map(({ message }) => message).filter((message) => !message.includes('engine'));
    expect(warnings).toEqual(['worker lost']);
    expect(await server.stats()).toMatchObject({ workersLostTotal: 1, transfersActive: 0 });
    expect(await server.stop(0)).toBe(0);
    expect(await server.exit).toEqual(CLEAN_EXIT);
  });

  it('in every worker, one after the other, leaves a server that still serves and stops', async () => {
    for (let crashes = 1; crashes <= 4; crashes++) {
      await server.crash();
      await expect.poll(async () => (await server.stats()).workersLostTotal, { timeout: 10_000 }).toBe(crashes);
      const served = await startPaused(server.address, 'kernel', 4);
      await finishAll(served);
      await closeAll(served);
    }
    await server.stop(0);
    expect(await server.exit).toEqual(CLEAN_EXIT);
  });

  it('while the server stops does not keep it from stopping', async () => {
    const stopped = server.stop(10_000);
    const lost = await server.crash();
    await expect.poll(() => server.transfers.length, { timeout: 10_000 }).toBe(lost);
    const lostPorts = new Set(server.transfers.map(({ client }) => client.port));
    await finishAll(paused.filter((one) => !lostPorts.has(portOf(one))));
    expect(await stopped).toBe(0);
    expect(await server.exit).toEqual(CLEAN_EXIT);
  });
});

describe('stopping a busy server', () => {
  it('lets running transfers finish, ignores new requests, and lets the process end', async () => {
    const stopped = server.stop(30_000);
    const late = await RawClient.open();
    await late.send(readRequest('kernel'), server.address);
    await expect.poll(async () => (await server.stats()).ignoredTotal['draining']).toBe(1);
    await finishAll(paused);
    expect(await stopped).toBe(0);
    expect(late.arrived).toEqual([]);
    await late.close();
    expect(server.transfers.map(({ outcome }) => outcome)).toEqual(paused.map(() => 'complete'));
    expect(await server.exit).toEqual(CLEAN_EXIT);
  });

  it('at once aborts what runs, tells the clients, and lets the process end', async () => {
    expect(await server.stop(0)).toBe(DOWNLOADS);
    for (const { client } of paused) {
      let datagram = await client.receive();
      // Skips copies of the block that waits for its ACK.
      while (opcode(datagram) !== ERROR) datagram = await client.receive();
      expect({ code: number(datagram), text: text(datagram) }).toEqual({ code: 0, text: 'Server is stopping' });
    }
    expect(server.transfers.map(({ outcome }) => outcome)).toEqual(paused.map(() => 'aborted'));
    expect(await server.exit).toEqual(CLEAN_EXIT);
  });

  it('a second time with less patience aborts what the first let run', async () => {
    const patient = server.stop(60_000);
    const [first] = paused;
    const finished = await first!.download.finish();
    expect(finished.equals(KERNEL)).toBe(true);
    await expect.poll(() => server.transfers.length).toBe(1);
    expect(await server.stop(0)).toBe(DOWNLOADS - 1);
    expect(await patient).toBe(DOWNLOADS - 1);
    expect(await server.exit).toEqual(CLEAN_EXIT);
  });

  it('at the moment of their last ACK does not count completed transfers as aborted', async () => {
    await Promise.all(paused.map(({ download }) => download.advance(Number.POSITIVE_INFINITY)));
    const [aborted] = await Promise.all([server.stop(0), ...paused.map(({ download }) => download.finish())]);
    expect(aborted).toBe(server.transfers.filter(({ outcome }) => outcome === 'aborted').length);
    expect(server.transfers.length).toBe(DOWNLOADS);
    expect(await server.exit).toEqual(CLEAN_EXIT);
  });
});
