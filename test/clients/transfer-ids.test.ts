import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TransferRecord } from '../../src/index.ts';
import { SEED, seededBytes } from '../support/content.ts';
import {
  DATA,
  type Datagram,
  ERROR,
  OACK,
  PacedDownload,
  RawClient,
  ack,
  errorPacket,
  number,
  opcode,
  readRequest,
} from '../support/raw-client.ts';
import { type LiveServer, serveFolder } from '../support/server.ts';

const KERNEL = seededBytes(SEED, 50_000);
const INITRD = seededBytes(SEED + 1, 60_000);

let folder: string;
let live: LiveServer;
let client: RawClient;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reveille-ids-'));
  await writeFile(join(folder, 'kernel'), KERNEL);
  await writeFile(join(folder, 'initrd'), INITRD);
  live = await serveFolder(folder, {
    listen: ['127.0.0.1', '127.0.0.2', '::1'].map((address) => ({ address, port: 0 })),
    workers: 2,
  });
  client = await RawClient.open('0.0.0.0');
});

afterEach(async () => {
  await client.close();
  await live.server.stop(0);
  await rm(folder, { recursive: true });
});

/** Accepts an OACK, then takes and acknowledges the sender's blocks to the end of the file. */
async function takeAll({ from }: Datagram, blksize: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  await client.send(ack(0), from);
  for (;;) {
    const data = await client.receive();
    if (data.from.port !== from.port || opcode(data) !== DATA || number(data) !== parts.length + 1) continue;
    const payload = data.bytes.subarray(4);
    parts.push(payload);
    await client.send(ack(parts.length), from);
    if (payload.length < blksize) return Buffer.concat(parts);
  }
}

const ofFile =
  (name: string) =>
  ({ file }: TransferRecord): boolean =>
    file === name;

describe('replies', () => {
  it.each(['127.0.0.1', '127.0.0.2', '::1'])(
    'come from the address that the request was sent to: %s',
    async (local) => {
      const asking = await RawClient.open(local === '::1' ? '::' : '0.0.0.0');
      const download = new PacedDownload(asking, live.at(local), 'kernel');
      await download.start();
      expect(download.from.address).toBe(local);
      expect(download.from.port).not.toBe(live.at(local).port);
      expect((await download.finish()).equals(KERNEL)).toBe(true);
      expect(await live.transfer(ofFile('kernel'))).toMatchObject({ outcome: 'complete', local });
      await asking.close();
    },
  );

  it.each(['127.0.0.1', '127.0.0.2', '::1'])('come from the listening port if they refuse: %s', async (local) => {
    const asking = await RawClient.open(local === '::1' ? '::' : '0.0.0.0');
    await asking.send(readRequest('nothing'), live.at(local));
    const reply = await asking.receive();
    expect(opcode(reply)).toBe(ERROR);
    expect(reply.from).toEqual(live.at(local));
    await asking.close();
  });
});

describe('a client that asks for the size', () => {
  it('and closes with ERROR 8 counts as a probe, and reads from its next port', async () => {
    await client.send(readRequest('kernel', ['tsize', '0']), live.at('127.0.0.1'));
    const oack = await client.receive();
    expect(opcode(oack)).toBe(OACK);
    expect(oack.bytes.toString('latin1', 2)).toBe(`tsize\0${KERNEL.length}\0`);
    await client.send(errorPacket(8, 'User aborted the transfer'), oack.from);
    const probe = await live.transfer(ofFile('kernel'));
    expect(probe).toMatchObject({ outcome: 'probe', errorCode: 8, errorText: 'User aborted the transfer', bytes: 0 });
    const reading = await RawClient.open();
    const download = new PacedDownload(reading, live.at('127.0.0.1'), 'kernel');
    await download.start();
    expect((await download.finish()).equals(KERNEL)).toBe(true);
    await reading.close();
    expect(client.arrived).toEqual([]);
  });
});

describe('requests from one port', () => {
  it('start one transfer if they are copies of one another', async () => {
    const request = readRequest('kernel', ['blksize', '8192']);
    const server = live.at('127.0.0.1');
    await Promise.all([1, 2, 3].map(() => client.send(request, server)));
    const oack = await client.receive();
    expect(opcode(oack)).toBe(OACK);
    expect((await takeAll(oack, 8192)).equals(KERNEL)).toBe(true);
    // All packets that have arrived since must be copies from the same port.
    expect(client.arrived.filter(({ from }) => from.port !== oack.from.port)).toEqual([]);
    expect(await live.transfer(ofFile('kernel'))).toMatchObject({ outcome: 'complete', bytes: KERNEL.length });
    expect(live.transfers.length).toBe(1);
    expect(live.server.stats()).toMatchObject({ requestsTotal: 3, transfersActive: 0, ignoredTotal: { repeated: 2 } });
  });

  it('end the first transfer if they ask for another file, and start a new one on another port', async () => {
    const server = live.at('127.0.0.1');
    const first = new PacedDownload(client, server, 'kernel');
    await first.start();
    await first.advance(2);
    await client.send(readRequest('initrd', ['blksize', '1024']), server);
    let oack = await client.receive();
    // Skips copies of the first transfer's block that were sent before it ended.
    while (opcode(oack) === DATA) oack = await client.receive();
    expect(opcode(oack)).toBe(OACK);
    expect(oack.from.port).not.toBe(first.from.port);
    expect((await takeAll(oack, 1024)).equals(INITRD)).toBe(true);
    expect(await live.transfer(ofFile('kernel'))).toMatchObject({
      outcome: 'aborted',
      fault: 'The client sent another request',
    });
    expect(await live.transfer(ofFile('initrd'))).toMatchObject({ outcome: 'complete' });
  });

  it('are served in favor of the later one if they arrive together', async () => {
    const server = live.at('127.0.0.1');
    await client.send(readRequest('kernel', ['tsize', '0', 'blksize', '1024']), server);
    await client.send(readRequest('initrd', ['tsize', '0', 'blksize', '1024']), server);
    let oack = await client.receive();
    while (!oack.bytes.includes(`tsize\0${INITRD.length}\0`)) oack = await client.receive();
    expect((await takeAll(oack, 1024)).equals(INITRD)).toBe(true);
    expect(await live.transfer(ofFile('initrd'))).toMatchObject({ outcome: 'complete' });
  });

  it('are old copies in mid-transfer, but a reset node after a second of silence', async () => {
    const server = live.at('127.0.0.1');
    const first = new PacedDownload(client, server, 'kernel');
    await first.start();
    await first.advance(1);
    // Silence is measured from before the ACK that makes the transfer's last progress.
    const silentSince = performance.now();
    await first.advance(1);
    await client.send(readRequest('kernel'), server);
    await expect.poll(() => live.server.stats().ignoredTotal['repeated']).toBe(1);

    const isAnew = async (): Promise<boolean> => {
      await client.send(readRequest('kernel'), server);
      return client.arrived.some(({ from }) => from.port !== first.from.port);
    };
    await expect.poll(isAnew, { timeout: 5000, interval: 100 }).toBe(true);
    expect(performance.now() - silentSince).toBeGreaterThan(998);

    let data = await client.receive();
    while (data.from.port === first.from.port) data = await client.receive();
    expect({ opcode: opcode(data), block: number(data) }).toEqual({ opcode: DATA, block: 1 });
    expect(data.bytes.subarray(4).equals(KERNEL.subarray(0, 512))).toBe(true);
    // The old transfer ends once the client has answered the new one.
    await client.send(ack(1), data.from);
    expect(await live.transfer(ofFile('kernel'))).toMatchObject({
      outcome: 'aborted',
      fault: 'The client sent another request',
    });
  });
});
