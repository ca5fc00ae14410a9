import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CAMPAIGN, SEED, seededBytes } from '../support/content.ts';
import { ForkedServer } from '../support/forked-server.ts';
import { escapes, hostileDatagram, isRequest } from '../support/hostile.ts';
import { Random } from '../support/random.ts';
import {
  ACK,
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
  text,
} from '../support/raw-client.ts';

const DATAGRAMS = CAMPAIGN ? 100_000 : 20_000;
/** Datagrams per batch, after which the server must prove that it has seen them: fewer than its socket buffer holds. */
const BATCH = 50;
/** Number of transfers that are disturbed while they run; BLOCKS is the number of blocks in each. */
const TRANSFERS = 8;
const BLOCKS = 40;

let folder: string;
let root: string;
let server: ForkedServer;
let clients: RawClient[];

async function openClient(): Promise<RawClient> {
  const client = await RawClient.open();
  clients.push(client);
  return client;
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reveille-hostile-'));
  root = join(folder, 'root');
  await mkdir(join(root, 'sub'), { recursive: true });
  await mkdir(`${root}-private`);
  for (const path of [join(folder, 'secret'), join(`${root}-private`, 'secret')])
    await writeFile(path, 'never to be served');
  await symlink('../secret', join(root, 'link'));
  await symlink(join(folder, 'secret'), join(root, 'absolute-link'));
  await symlink('link', join(root, 'link-to-link'));
  await symlink(`${root}-private`, join(root, 'linked-folder'));
  await symlink('../..', join(root, 'sub', 'up'));
  await writeFile(join(root, 'kernel'), KERNEL);
  clients = [];
  server = await ForkedServer.start(root, 2);
});

afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await server.end();
  await rm(folder, { recursive: true });
});

const LINKS_OUT = ['link', 'absolute-link', 'link-to-link', 'linked-folder/secret', 'sub/up/secret'];
const names = (): readonly string[] => [...escapes(root, 'secret'), ...LINKS_OUT, 'kernel', 'sub', 'no such file'];

/** Content of the only file. */
const KERNEL = seededBytes(SEED, BLOCKS * 512 - 100);

function expectHarmless(datagram: Datagram): void {
  expect([DATA, ERROR, OACK]).toContain(opcode(datagram));
  if (opcode(datagram) === DATA) expect(datagram.bytes.subarray(4)).toEqual(KERNEL.subarray(0, 512));
  if (opcode(datagram) !== ERROR) return;
  expect([0, 1, 2, 4]).toContain(number(datagram));
  expect(text(datagram)).toMatch(/^[A-Za-z -]{1,40}$/);
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** Sends hostile datagrams to the listening port. @returns the number of datagrams that were not requests. */
async function disturbPort(random: Random, count: number): Promise<number> {
  const [asking, unanswerable, checking] = await Promise.all([openClient(), openClient(), openClient()]);
  let nonRequests = 0;
  for (let sent = 1; sent <= count; sent++) {
    const datagram = hostileDatagram(random, names());
    if (isRequest(datagram)) {
      await asking.send(datagram, server.address);
    } else {
      nonRequests++;
      await unanswerable.send(datagram, server.address);
    }
    if (sent % BATCH > 0 && sent < count) continue;
    // Requests are handled in order, so the answer to this one proves that all earlier datagrams have been seen.
    await checking.send(readRequest('no such file'), server.address);
    expect(number(await checking.receive())).toBe(1);
    while (asking.arrived.length > 0) {
      const reply = await asking.receive();
      expectHarmless(reply);
      // Ends any transfer that a request has started; this ERROR must not be answered either.
      if (opcode(reply) !== ERROR) await asking.send(errorPacket(0, 'enough'), reply.from);
    }
  }
  expect(unanswerable.arrived).toEqual([]);
  return nonRequests;
}

/**
 * True if a transfer that waits for the ACK of `block` may accept the datagram as that ACK or as the client's ERROR.
 */
function actsOn(block: number, datagram: Buffer): boolean {
  if (datagram.length < 2 || datagram[0] !== 0) return false;
  if (datagram[1] === ERROR) return true;
  if (datagram[1] !== ACK || datagram.length < 4) return false;
  // Before the first ACK, an impossible block number ends the transfer, because the client's address is not proven.
  return datagram.readUInt16BE(2) === block || (block === 1 && datagram.readUInt16BE(2) > 1);
}

/**
 * Runs a download and sends hostile datagrams to its port after each block, from the client's port and from a
 * stranger's.
 */
async function disturbTransfer(random: Random, perBlock: number): Promise<void> {
  const [client, stranger] = await Promise.all([openClient(), openClient()]);
  const download = new PacedDownload(client, server.address, 'kernel');
  await download.start();
  while (!download.over) {
    for (let sent = 0; sent < perBlock; sent++) {
      const datagram = hostileDatagram(random, names());
      await stranger.send(datagram, download.from);
      // The download fails on any packet that is not DATA, so these datagrams must draw no answer.
      if (!actsOn(download.blocks, datagram)) await client.send(datagram, download.from);
    }
    // Repeated ACKs, the cause of Sorcerer's Apprentice Syndrome (RFC 1123 §4.2.3.1).
    await client.send(ack(download.blocks - 1), download.from);
    await client.send(ack(download.blocks - 1), download.from);
    await download.advance(1);
  }
  const content = await download.finish();
  expect(content.equals(KERNEL)).toBe(true);
  expect(stranger.arrived).toEqual([]);
}

async function round(random: Random): Promise<void> {
  const before = sum((await server.stats()).malformedTotal);
  const nonRequests = await disturbPort(random, DATAGRAMS * 0.8);
  expect(sum((await server.stats()).malformedTotal) - before).toBe(nonRequests);
  const perBlock = Math.ceil((DATAGRAMS * 0.2) / (TRANSFERS * BLOCKS * 2));
  // Each download has a seed of its own, because the order in which concurrent downloads draw numbers is not
  // deterministic.
  const seeds = Array.from({ length: TRANSFERS }, () => random.between(1, 0x7fffffff));
  await Promise.all(seeds.map((seed) => disturbTransfer(new Random(seed), perBlock)));
  await expect.poll(async () => (await server.stats()).transfersActive, { timeout: 20_000 }).toBe(0);
}

describe(`${DATAGRAMS} hostile datagrams (REVEILLE_SEED=${SEED})`, () => {
  it('cause no crash, no answer to non-requests, and no memory growth', { timeout: 300_000 }, async () => {
    const random = new Random(SEED);
    await round(random);
    const first = await server.usage();
    await round(random);
    const second = await server.usage();
    expect(server.warnings).toEqual([]);
    expect((await server.stats()).workersLostTotal).toBe(0);
    // Only the timer has caused retransmissions, one block each time.
    const disturbed = server.transfers.filter(({ outcome }) => outcome === 'complete');
    expect(disturbed.length).toBe(2 * TRANSFERS);
    for (const { retransmits, timeouts } of disturbed) expect(retransmits).toBe(timeouts);
    expect(second.rssBytes / first.rssBytes).toBeLessThan(1.05);
    expect(second.heapBytes / first.heapBytes).toBeLessThan(1.05);
    expect(await server.stop(0)).toBe(0);
    expect(await server.exit).toEqual({ code: 0, signal: null });
  });
});

describe('names that lead out of the root', () => {
  it.each(['octet', 'netascii'])('get error 1 or 2 in mode %s, and a text without a path', async (mode) => {
    const client = await openClient();
    for (const name of [...escapes(root, 'secret'), ...LINKS_OUT]) {
      await client.send(readRequest(name, [], mode), server.address);
      const reply = await client.receive();
      const said = { name, opcode: opcode(reply), code: number(reply), text: text(reply) };
      const missing = { name, opcode: ERROR, code: 1, text: 'File not found' };
      const denied = { name, opcode: ERROR, code: 2, text: 'Access violation' };
      expect([missing, denied]).toContainEqual(said);
    }
  });

  it('get error 2 when they hold a .. or follow a link', async () => {
    const client = await openClient();
    for (const name of ['../secret', '..\\secret', 'sub/../../secret', ...LINKS_OUT]) {
      await client.send(readRequest(name), server.address);
      expect({ name, code: number(await client.receive()) }).toEqual({ name, code: 2 });
    }
  });
});
