/**
 * The ports of transfers, against clients that forge and guess. On the loopback device an attacker can really send from
 * its victim's address: it binds that address and ignores the replies. Linux engine only; the portable engine uses
 * ports that the system assigns.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';
import type { Address } from '../../src/index.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { Random } from '../support/random.ts';
import {
  DATA,
  type Datagram,
  OACK,
  RawClient,
  ack,
  errorPacket,
  number,
  opcode,
  readRequest,
} from '../support/raw-client.ts';
import { type FolderOptions, type LiveServer, serveFolder } from '../support/server.ts';

const KERNEL = seededBytes(SEED, 200_000);
const CONFIG = seededBytes(SEED + 1, 300);
/** Length of the IP and UDP headers, in bytes. */
const HEADERS = 28;
/** Upper bound on the bytes that one byte from an attacker may draw. */
const MAX_AMPLIFICATION = 15;

const unavailable = await checkLinuxEngine();

let folder: string;
let live: LiveServer;

async function serve(options: FolderOptions = {}): Promise<Address> {
  live = await serveFolder(folder, { listen: [{ address: '127.0.0.1', port: 0 }], ...options });
  return live.at('127.0.0.1');
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reveille-ports-'));
  await writeFile(join(folder, 'kernel'), KERNEL);
  await writeFile(join(folder, 'config'), CONFIG);
});

afterEach(async () => {
  await live.server.stop(0);
  await rm(folder, { recursive: true });
});

/** Ports of UDP sockets on 127.0.0.1 that are connected to themselves: the idle ports of a server. */
function idlePorts(): number[] {
  const rows = readFileSync('/proc/net/udp', 'latin1').split('\n').slice(1);
  return rows.flatMap((row) => {
    const [, local = '', remote = ''] = row.trim().split(/\s+/);
    return local.startsWith('0100007F:') && local === remote ? [Number.parseInt(local.slice(9), 16)] : [];
  });
}

/** @returns the error code with which the system refuses a packet to that address; undefined if nothing comes back. */
async function probe({ address, port }: Address): Promise<string | undefined> {
  const socket = createSocket('udp4');
  socket.connect(port, address);
  await once(socket, 'connect');
  const refused = once(socket, 'error').then(([error]) => (error as NodeJS.ErrnoException).code);
  socket.on('error', () => {});
  const again = setInterval(() => socket.send(ack(0), () => {}), 20);
  const code = await Promise.race([refused, once(AbortSignal.timeout(1000), 'abort').then(() => undefined)]);
  clearInterval(again);
  socket.close();
  return code;
}

/**
 * Ports below the system's ephemeral range. Each process uses its own; a port that something else holds is left alone.
 */
function fewPorts(count: number): { from: number; to: number } {
  const from = 20_000 + (process.pid % 300) * 40;
  return { from, to: from + count - 1 };
}

const bytesOf = (datagrams: readonly Datagram[]): number =>
  datagrams.reduce((sum, { bytes }) => sum + bytes.length + HEADERS, 0);

describe.skipIf(unavailable !== undefined)('the port of a transfer', () => {
  it('is one of more than 10,000, and other ports do not answer', async () => {
    const server = await serve();
    const victim = await RawClient.open('127.0.7.7');
    const request = readRequest('kernel', ['blksize', '1468', 'windowsize', '64']);
    await victim.send(request, server);
    const oack = await victim.receive();
    expect(opcode(oack)).toBe(OACK);

    const [from = 0, to = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1')
      .split(/\s+/)
      .map(Number);
    expect(to - from + 1).toBeGreaterThan(10_000);
    const random = new Random(SEED);
    let spent = request.length + HEADERS;
    for (let guess = 0; guess < 2000; guess++) {
      const port = random.between(from, to);
      if (port === oack.from.port) continue;
      await victim.send(ack(0), { address: server.address, port });
      await victim.send(errorPacket(0, 'x'), { address: server.address, port });
      spent += 4 + 7 + 2 * HEADERS;
    }
    // Copies of the OACK may have arrived, but no block.
    expect(victim.arrived.filter((each) => opcode(each) === DATA)).toEqual([]);
    expect(bytesOf([oack, ...victim.arrived])).toBeLessThan(MAX_AMPLIFICATION * spent);

    // The one right guess does start the transfer.
    await victim.send(ack(0), oack.from);
    let data = await victim.receive();
    while (opcode(data) === OACK) data = await victim.receive();
    expect(opcode(data)).toBe(DATA);
    await victim.close();
  });

  it('is available to others after one client has had all of them', async () => {
    const server = await serve({ dataPorts: fewPorts(2) });
    const greedy = await RawClient.open('127.0.7.9');
    for (let time = 1; time <= 2; time++) {
      await greedy.send(readRequest('config'), server);
      const data = await greedy.receive();
      await greedy.send(ack(1), data.from);
      await live.transfer(() => live.transfers.length === time);
    }
    await greedy.send(readRequest('config', ['tsize', '0']), server);
    const other = await RawClient.open('127.0.7.10');
    await other.send(readRequest('config'), server);
    expect(opcode(await other.receive())).toBe(DATA);
    expect(live.server.stats().ignoredTotal['unreachable']).toBe(1);
    await Promise.all([greedy.close(), other.close()]);
  });

  it('sends at most fifteen bytes for each byte of a request without an ACK', async () => {
    // Three transfers fill more than half of this limit, so each ends after 10 s instead of 60 s, seconds after its
    // last send.
    const server = await serve({ limits: { halfOpen: { total: 4, perPrefix: 4, perAddress: 4 } } });
    const askAndLeave = async (local: string, name: string, options: readonly string[]): Promise<void> => {
      const victim = await RawClient.open(local);
      const request = readRequest(name, options);
      await victim.send(request, server);
      await live.transfer(({ client }) => client.address === local && client.port === victim.port);
      expect(bytesOf(victim.arrived)).toBeLessThan(MAX_AMPLIFICATION * (request.length + HEADERS));
      expect(victim.arrived.length).toBeGreaterThan(0);
      await victim.close();
    };
    // The victims run concurrently because each waits until the server gives up its transfer. Each has an address of
    // its own, so they share none of the server's pauses.
    await Promise.all([
      askAndLeave('127.0.7.8', 'config', []),
      askAndLeave('127.0.7.11', 'kernel', []),
      askAndLeave('127.0.7.12', 'kernel', ['tsize', '0', 'blksize', '1468', 'windowsize', '64']),
    ]);
  }, 60_000);

  it('looks closed to everybody but its client before, during and after the transfer', async () => {
    const server = await serve({ limits: { sessions: 40 } });
    const idle = idlePorts();
    expect(idle.length).toBeGreaterThanOrEqual(40);
    const codes = await Promise.all(idle.slice(0, 40).map((port) => probe({ address: '127.0.0.1', port })));
    expect(new Set(codes)).toEqual(new Set(['ECONNREFUSED']));

    const client = await RawClient.open();
    await client.send(readRequest('kernel', ['blksize', '1024']), server);
    const oack = await client.receive();
    expect(idlePorts()).not.toContain(oack.from.port);
    expect(await probe(oack.from)).toBe('ECONNREFUSED');
    await client.send(errorPacket(8, 'enough'), oack.from);
    await live.transfer(({ outcome }) => outcome === 'probe');
    expect(await probe(oack.from)).toBe('ECONNREFUSED');
    await client.close();
  });

  it('changes with the next transfer of the same client, so that no late ACK counts there', async () => {
    // With only this many ports, each port comes round again.
    const server = await serve({ dataPorts: fewPorts(8) });
    const client = await RawClient.open();
    const ports: number[] = [];
    for (let turn = 0; turn < 6; turn++) {
      await client.send(readRequest('config'), server);
      const data = await client.receive();
      await client.send(ack(1), data.from);
      ports.push(data.from.port);
      await expect.poll(() => live.transfers.length).toBe(turn + 1);
    }
    expect(new Set(ports).size).toBe(6);
    for (const { outcome } of live.transfers) expect(outcome).toBe('complete');
    await client.close();
  });
});

describe('the same request again, in the moment of the last ACK', () => {
  it.each(['config', 'kernel'])('is answered at once: %s', async (name) => {
    const content = name === 'config' ? CONFIG : KERNEL;
    const server = await serve();
    const client = await RawClient.open();
    const request = readRequest(name, name === 'config' ? [] : ['blksize', '65464']);
    const lastBlock = name === 'config' ? 1 : Math.floor(content.length / 65_464) + 1;
    for (let turn = 0; turn < 30; turn++) {
      const asked = performance.now();
      await client.send(request, server);
      let packet = await client.receive();
      expect(performance.now() - asked).toBeLessThan(3000);
      if (opcode(packet) === OACK) {
        await client.send(ack(0), packet.from);
        packet = await client.receive();
      }
      for (let block = 1; block <= lastBlock; block++) {
        while (opcode(packet) !== DATA || number(packet) !== block) packet = await client.receive();
        // The next turn's request follows the last ACK without a pause.
        void client.send(ack(block), packet.from);
        if (block < lastBlock) packet = await client.receive();
      }
    }
    await client.close();
  });

  it('or of ERROR 8 is answered at once', async () => {
    const server = await serve();
    const client = await RawClient.open();
    for (let turn = 0; turn < 30; turn++) {
      const asked = performance.now();
      await client.send(readRequest('kernel', ['tsize', '0']), server);
      const oack = await client.receive();
      expect(opcode(oack)).toBe(OACK);
      expect(performance.now() - asked).toBeLessThan(3000);
      void client.send(errorPacket(8, 'only the size'), oack.from);
    }
    await client.close();
  });
});

describe.skipIf(unavailable !== undefined)('thirty ports', () => {
  it('serve sixty clients at once: half of them wait, none is aborted', async () => {
    const server = await serve({ dataPorts: fewPorts(30) });
    const clients = await Promise.all(Array.from({ length: 60 }, () => RawClient.open()));
    await Promise.all(clients.map((client) => client.send(readRequest('kernel', ['blksize', '65464']), server)));
    await expect.poll(() => live.server.stats().transfersQueued).toBe(30);
    expect(live.server.stats().transfersActive).toBe(30);
    await Promise.all(
      clients.map(async (client) => {
        const oack = await client.receive();
        await client.send(ack(0), oack.from);
        for (let block = 1; block <= 4; block++) {
          let packet = await client.receive();
          while (opcode(packet) !== DATA || number(packet) !== block) packet = await client.receive();
          await client.send(ack(block), packet.from);
        }
      }),
    );
    await expect.poll(() => live.transfers.length).toBe(60);
    expect(new Set(live.transfers.map(({ outcome }) => outcome))).toEqual(new Set(['complete']));
    await Promise.all(clients.map((client) => client.close()));
  });
});
