import { noLosses } from '../../src/pool/figures.ts';
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
    // One of three numbers is the spare's.
    expect([
      [0, 1],
      [0, 2],
      [1, 2],
    ]).toContainEqual(workers.map(({ worker }) => worker));
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
  it('costs no transfer: the spare worker goes on with all of them', async () => {
    const sentBefore = (await server.stats()).packets.dataSent;
    const moved = await server.crash();
    expect(moved).toBe(DOWNLOADS / 2);
    await finishAll(paused);
    await expect.poll(() => server.transfers.length, { timeout: 10_000 }).toBe(DOWNLOADS);
    expect(server.transfers.map(({ outcome, fault }) => ({ outcome, fault }))).toEqual(
      paused.map(() => ({ outcome: 'complete', fault: undefined })),
    );
    expect(server.transfers.every(({ bytes }) => bytes === KERNEL.length)).toBe(true);

    // The spare takes transfers like a worker, and another spare waits.
    expect(await server.running()).toHaveLength(3);
    const served = await startPaused(server.address, 'kernel', DOWNLOADS);
    expect((await server.running()).toSorted((one, other) => one - other)).toEqual([0, DOWNLOADS / 2, DOWNLOADS / 2]);
    expect((await transfersByWorker()).slice(-2)).toEqual([DOWNLOADS / 2, DOWNLOADS / 2]);
    // The packets that the lost worker counted stay counted.
    expect((await server.stats()).packets.dataSent).toBeGreaterThan(sentBefore);
    await finishAll(served);
    await closeAll(served);

    await expect.poll(() => server.transfers.length, { timeout: 10_000 }).toBe(2 * DOWNLOADS);
    expect(server.warnings.map(({ message }) => message)).toEqual(['worker lost']);
    expect(await server.stats()).toMatchObject({
      workersLostTotal: 1,
      transfersActive: 0,
      transfersResumedTotal: moved,
      transfersLostTotal: noLosses(),
    });
    expect(await server.stop(0)).toBe(0);
    expect(await server.exit).toEqual(CLEAN_EXIT);
  });

  it('in every worker, one after the other, leaves a server that still serves and stops', async () => {
    for (let crashes = 1; crashes <= 3; crashes++) {
      await server.crash();
      await expect.poll(async () => (await server.stats()).workersLostTotal, { timeout: 10_000 }).toBe(crashes);
      const served = await startPaused(server.address, 'kernel', 4);
      await finishAll(served);
      await closeAll(served);
    }
    await finishAll(paused);
    await server.stop(0);
    expect(await server.exit).toEqual(CLEAN_EXIT);
  });

  it('and in every thread that takes its transfers over costs these alone', async () => {
    const lone = await ForkedServer.start(folder, 1);
    const served = await startPaused(lone.address, 'kernel', 4);
    try {
      // The spare is as it should be: it goes on with the transfers once.
      await lone.poison();
      await lone.crash();
      await expect.poll(async () => (await lone.stats()).workersLostTotal, { timeout: 10_000 }).toBe(1);
      expect(await lone.running()).toHaveLength(2);
      await lone.crash();
      await expect.poll(() => lone.transfers.length, { timeout: 20_000 }).toBe(4);
      for (const { outcome, fault } of lone.transfers) {
        expect({ outcome, fault }).toEqual({ outcome: 'aborted', fault: 'Planted poison' });
      }
      expect(await lone.stats()).toMatchObject({ transfersLostTotal: { repeated: 4 }, transfersActive: 0 });
      const later = await startPaused(lone.address, 'kernel', 4);
      await finishAll(later);
      await closeAll(later);
    } finally {
      await closeAll(served);
      await lone.end();
    }
  });

  it('leaves no descriptor and no ring behind', async () => {
    await finishAll(paused);
    const before = (await server.usage()).pollers;
    for (let crashes = 1; crashes <= 3; crashes++) {
      await server.crash();
      await expect.poll(async () => (await server.stats()).workersLostTotal, { timeout: 10_000 }).toBe(crashes);
      const served = await startPaused(server.address, 'kernel', 4);
      await finishAll(served);
      await closeAll(served);
    }
    expect(await server.running()).toHaveLength(3);
    await expect.poll(async () => (await server.usage()).pollers, { timeout: 10_000 }).toBe(before);
    expect((await server.usage()).rings).toBeLessThanOrEqual(3);
  });

  it('while the server stops does not keep it from stopping', async () => {
    const stopped = server.stop(10_000);
    await server.crash();
    await finishAll(paused);
    expect(await stopped).toBe(0);
    expect(server.transfers.map(({ outcome }) => outcome)).toEqual(paused.map(() => 'complete'));
    expect(await server.exit).toEqual(CLEAN_EXIT);
  });
});

describe('a worker that runs out of memory', () => {
  it('costs no transfer, although it runs no handlers, and leaves nothing behind', async () => {
    const small = await ForkedServer.start(folder, 2, { heapMiB: 64 });
    const served = await startPaused(small.address, 'kernel', DOWNLOADS);
    try {
      const before = (await small.usage()).pollers;
      expect(await small.exhaust()).toBe(DOWNLOADS / 2);
      // Packets arrive before its memory is full, and while its thread is torn down.
      const finished = finishAll(served);
      await expect.poll(async () => (await small.stats()).workersLostTotal, { timeout: 30_000 }).toBe(1);
      expect(small.warnings.at(-1)?.detail).toMatchObject({ resumed: DOWNLOADS / 2, lost: 0 });
      await finished;
      await expect.poll(() => small.transfers.length, { timeout: 10_000 }).toBe(DOWNLOADS);
      expect(small.transfers.every(({ outcome }) => outcome === 'complete')).toBe(true);
      expect(await small.running()).toHaveLength(3);
      await expect.poll(async () => (await small.usage()).pollers, { timeout: 10_000 }).toBe(before);
      expect((await small.usage()).rings).toBeLessThanOrEqual(3);
      await small.stop(0);
      expect(await small.exit).toEqual(CLEAN_EXIT);
    } finally {
      await closeAll(served);
      await small.end();
    }
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

describe('a throw in a worker of the portable engine', () => {
  it('costs its transfers, because their sockets end with it, and says so', async () => {
    const other = await ForkedServer.start(folder, 2, { engine: 'portable' });
    const served = await startPaused(other.address, 'kernel', 4);
    try {
      expect(await other.crash()).toBe(2);
      await expect.poll(() => other.transfers.length, { timeout: 10_000 }).toBe(2);
      for (const { outcome, fault } of other.transfers) {
        expect({ outcome, fault }).toEqual({ outcome: 'aborted', fault: 'Planted fault' });
      }
      expect(other.warnings.at(-1)).toMatchObject({ message: 'worker lost', detail: { resumed: 0, lost: 2 } });
      expect(await other.stats()).toMatchObject({ transfersResumedTotal: 0, transfersLostTotal: { engine: 2 } });
    } finally {
      await closeAll(served);
      await other.end();
    }
  });
});
