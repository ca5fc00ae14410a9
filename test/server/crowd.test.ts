/**
 * Effects of forged requests and greedy clients on others: which transfers are given up for which, and which never are.
 */
import { describe, expect, it } from 'vitest';
import type { Answer, BootRequest, Source } from '../../src/content/types.ts';
import { shareBytes } from '../../src/bytes/shared-bytes.ts';
import * as packet from '../support/bytes.ts';
import { seededBytes } from '../support/content.ts';
import { type RawClient, SERVER, World } from './world.ts';

const FILES = { small: seededBytes(1, 300), big: seededBytes(1, 100_000) };
const LIMITS = {
  sessions: 1000,
  queue: 1000,
  halfOpen: { total: 40, perPrefix: 20, perAddress: 4 },
  sessionsPerAddress: 6,
  sessionsPerPrefix4: 10,
};

/** Sends requests from addresses that no host has: replies to them are lost. */
function forge(world: World, count: number, address: (number: number) => string, name = 'big', options = {}): void {
  const asked = Object.entries(options).map(([key, value]) => [key, String(value)] as const);
  for (let number = 0; number < count; number++) {
    const from = { address: address(number), port: 1024 + number };
    world.network.send(Uint8Array.from(packet.rrq(name, 'octet', asked)), from, SERVER);
  }
}

/** Acknowledges every block, from the first. */
async function download(world: World, client: RawClient): Promise<void> {
  for (let block = 1; block <= 196; block++) {
    client.ack(block);
    // oxlint-disable-next-line no-await-in-loop -- lockstep.
    await world.pass(1);
  }
}

describe('a forged request from the port of a running transfer', () => {
  it('does not end the transfer', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('big');
    await world.pass(1);
    const { from } = client.last;
    client.ack(1);
    await world.pass(1);
    client.ask('small');
    await world.pass(20);
    expect(client.last.text).toBe('DATA 1 +300');
    // A client in mid-transfer does not know this port (RFC 1350, section 4).
    client.error(5);
    for (let block = 2; block <= 196; block++) {
      client.ack(block, from);
      // oxlint-disable-next-line no-await-in-loop -- lockstep.
      await world.pass(1);
    }
    const outcomes = world.transfers.map(({ file, outcome }) => [file, outcome]);
    expect(outcomes).toContainEqual(['big', 'complete']);
    expect(world.held).toBe(0);
  });

  it('leaves at most two transfers however often it comes, and one when the other is over', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('big');
    await world.pass(1);
    client.ack(1);
    await world.pass(1);
    for (let time = 0; time < 50; time++) {
      client.ask(time % 2 === 0 ? 'small' : 'missing');
      // oxlint-disable-next-line no-await-in-loop -- one request after the other.
      await world.pass(1);
    }
    expect(world.server.stats().transfersActive).toBeLessThanOrEqual(2);
    await world.pass(12_000);
    expect(world.server.stats().transfersActive).toBe(1);
  });
});

describe('a flood of forged requests', () => {
  it('holds no more than its share, and an honest node is served meanwhile', async () => {
    const world = await World.start({ files: FILES, limits: LIMITS });
    const options = { tsize: 0, blksize: 1468, windowsize: 4 };
    for (let second = 0; second < 10; second++) {
      forge(world, 500, (number) => `10.${number % 40}.${second}.${number & 255}`, 'big', options);
      // oxlint-disable-next-line no-await-in-loop -- the flood is spread over ten seconds.
      await world.pass(1000);
    }
    const client = world.client('192.168.7.7');
    forge(world, 200, (number) => `10.${number % 40}.99.${number & 255}`, 'big', options);
    client.ask('big');
    // Every place is taken by a request that may still be answered: the client gets no reply, and asks again.
    await world.pass(1000);
    expect(client.received).toEqual([]);
    client.ask('big');
    await world.pass(5);
    expect(client.texts).toEqual(['DATA 1 +512']);
    await download(world, client);
    expect(world.transfers.filter(({ outcome }) => outcome === 'complete')).toMatchObject([{ file: 'big' }]);
    expect(world.server.stats().ignoredTotal['unanswered']).toBeGreaterThan(3000);
    await world.pass(1500);
    forge(world, 1, () => '10.1.1.1');
    await world.pass(12_000);
    expect(world.server.stats().transfersActive).toBe(0);
    expect(world.held).toBe(0);
  });

  it('does not end a transfer whose answer is on its way: nodes beyond the limit get no reply, and ask again', async () => {
    const world = await World.start({ files: FILES, limits: LIMITS });
    const { halfOpen } = LIMITS;
    const networks = Math.ceil((3 * halfOpen.total) / 10);
    const rack = (network: number): RawClient[] =>
      Array.from({ length: 10 }, (_, number) => world.client(`10.0.${network}.${number}`));
    const nodes = Array.from({ length: networks }, (_, network) => rack(network)).flat();
    for (const node of nodes) node.ask('big');
    await world.pass(200);
    const early = nodes.filter(({ received }) => received.length > 0);
    const late = nodes.filter(({ received }) => received.length === 0);
    expect(early).toHaveLength(2 * halfOpen.total);
    for (const node of early) node.ack(1);
    await world.pass(50);
    for (const node of late) node.ask('big');
    await world.pass(50);
    for (const node of late) node.ack(1);
    await world.pass(50);
    expect(nodes.map((node) => node.last.text)).toEqual(nodes.map(() => 'DATA 2 +512'));
    expect(world.server.stats().ignoredTotal['unanswered']).toBe(late.length);
  });

  it('counts a transfer that answers after all against its address', async () => {
    const limits = { ...LIMITS, halfOpen: { total: 1000, perPrefix: 1000, perAddress: 2 } };
    const world = await World.start({ files: FILES, limits });
    const ask = (port: number): RawClient => {
      const client = world.client('10.0.0.9', port);
      client.ask('big');
      return client;
    };
    // The fifth request makes the server give up one transfer, whose answer is on its way like all the others.
    const first = [1, 2, 3, 4, 5, 6].map((port) => ask(3000 + port));
    await world.pass(1);
    for (const client of first) client.ack(1);
    await world.pass(50);
    expect(first.map((client) => client.last.text)).toEqual(first.map(() => 'DATA 2 +512'));
    const seventh = ask(3007);
    await world.pass(50);
    expect(seventh.received).toEqual([]);
    expect(world.server.stats().ignoredTotal).toMatchObject({ addressFull: 1, unanswered: 0 });
  });

  it('from one network costs another network nothing', async () => {
    const world = await World.start({ files: FILES, limits: LIMITS });
    const patient = Array.from({ length: 10 }, (_, number) => world.client(`10.0.1.${number}`));
    for (const client of patient) client.ask('big');
    await world.pass(1200);
    forge(world, 1000, (number) => `10.0.2.${number & 255}`);
    await world.pass(5);
    const { nodesBooting } = world.server.stats();
    expect(nodesBooting).toBeGreaterThanOrEqual(patient.length);
    for (const client of patient) client.ack(1);
    await world.pass(5);
    expect(patient.map((client) => client.last.text)).toEqual(patient.map(() => 'DATA 2 +512'));
  });

  it('with the address of a node that has booted costs that node nothing', async () => {
    const world = await World.start({ files: FILES, limits: LIMITS });
    const client = world.client('10.0.0.9', 2000);
    client.ask('small');
    await world.pass(1);
    client.ack(1);
    await world.pass(1);
    forge(world, 900, (number) => (number % 2 === 0 ? '10.0.0.9' : `10.0.0.${number & 255}`));
    await world.pass(1);
    client.ask('big');
    await world.pass(1);
    expect(client.last.text).toBe('DATA 1 +512');
    await download(world, client);
    expect(world.transfers.at(-1)).toMatchObject({ file: 'big', outcome: 'complete' });
  });
});

describe('one address', () => {
  async function running(world: World, addresses: readonly string[]): Promise<RawClient[]> {
    const clients = addresses.map((address, number) => world.client(address, 3000 + number));
    for (const client of clients) {
      client.ask('big');
      // oxlint-disable-next-line no-await-in-loop -- each client is answered before the next one asks.
      await world.pass(1);
      if (client.received.length > 0) client.ack(1);
      // oxlint-disable-next-line no-await-in-loop -- see above.
      await world.pass(1);
    }
    return clients;
  }

  it('has at most its limit of transfers at once, whatever it has completed', async () => {
    const world = await World.start({ files: FILES, limits: LIMITS });
    const first = world.client('10.0.0.9');
    first.ask('small');
    await world.pass(1);
    first.ack(1);
    await world.pass(1);
    const clients = await running(
      world,
      Array.from({ length: 8 }, () => '10.0.0.9'),
    );
    expect(clients.filter(({ received }) => received.length > 0)).toHaveLength(6);
    expect(world.server.stats().ignoredTotal['addressFull']).toBe(2);
  });

  it('has no separate limit if it stands for many nodes', async () => {
    const world = await World.start({ files: FILES, limits: LIMITS, isShared: (address) => address === '10.0.0.9' });
    const clients = await running(
      world,
      Array.from({ length: 8 }, () => '10.0.0.9'),
    );
    expect(clients.filter(({ received }) => received.length > 0)).toHaveLength(8);
  });

  it('shares a limit with its network, which does not hold for those that have booted of late', async () => {
    const world = await World.start({ files: FILES, limits: LIMITS });
    const booted = world.client('10.0.0.99');
    booted.ask('small');
    await world.pass(1);
    booted.ack(1);
    await world.pass(1);
    const clients = await running(
      world,
      Array.from({ length: 12 }, (_, number) => `10.0.0.${number}`),
    );
    expect(clients.filter(({ received }) => received.length > 0)).toHaveLength(10);
    expect(world.server.stats().ignoredTotal['prefixFull']).toBe(2);
    booted.ask('big');
    await world.pass(1);
    expect(booted.last.text).toBe('DATA 1 +512');
  });

  it('outside the allowed networks gets nothing, and is counted', async () => {
    const world = await World.start({ files: FILES, mayAsk: (address) => address.startsWith('10.0.') });
    const [inside, outside] = [world.client('10.0.0.9'), world.client('10.1.0.9')];
    inside.ask('small');
    outside.ask('small');
    outside.ask('small', {}, 'octet', 'write');
    await world.pass(1);
    expect(inside.texts).toEqual(['DATA 1 +300']);
    expect(outside.texts).toEqual([]);
    expect(world.server.stats().ignoredTotal['client']).toBe(2);
  });

  it.each([0, 19, 53, 123, 161])(
    'asking from port %i, where a service answers what it gets, gets nothing',
    async (port) => {
      const world = await World.start({ files: FILES });
      forge(world, 1, () => '10.0.0.9');
      const from = { address: '10.0.0.9', port };
      world.network.send(Uint8Array.from(packet.rrq('small', 'octet', [])), from, SERVER);
      world.network.send(Uint8Array.from(packet.wrq('small', 'octet', [])), from, SERVER);
      await world.pass(1);
      expect(world.server.stats().ignoredTotal['source']).toBe(2);
      expect(world.server.stats().transfersActive).toBe(1);
    },
  );
});

describe('when memory is short', () => {
  /** A source with memory for two files at once. */
  class Narrow implements Source {
    held = 0;

    open({ filename }: BootRequest): Answer {
      if (this.held === 2) return { kind: 'busy', reason: 'the memory limit is reached', isShortOfMemory: true };
      this.held++;
      const release = (): void => void this.held--;
      return { kind: 'content', handle: shareBytes(seededBytes(1, 300)), label: filename, release };
    }
  }

  it('clients that have not answered release their memory, and the waiting node need not ask again', async () => {
    const world = await World.start({ source: new Narrow() });
    forge(world, 2, (number) => `10.9.9.${number}`);
    await world.pass(400);
    const client = world.client();
    client.ask('wanted');
    await world.pass(20);
    expect(client.texts).toEqual(['DATA 1 +300']);
  });

  it('clients that answer keep their memory, and the others wait', async () => {
    const world = await World.start({ source: new Narrow() });
    const readers = [world.client('10.0.0.1'), world.client('10.0.0.2')];
    for (const reader of readers) reader.ask('first', { tsize: 0 });
    await world.pass(1);
    for (const reader of readers) reader.ack(0);
    await world.pass(400);
    const client = world.client();
    client.ask('wanted');
    await world.pass(50);
    expect(client.texts).toEqual([]);
    readers[0]!.ack(1);
    await world.pass(20);
    expect(client.texts).toEqual(['DATA 1 +300']);
  });

  it('a node that has given up waiting is forgotten', async () => {
    const world = await World.start({ source: new Narrow(), limits: { laneExpiryMs: 3000 } });
    const readers = [world.client('10.0.0.1'), world.client('10.0.0.2')];
    for (const reader of readers) reader.ask('first', { tsize: 0 });
    await world.pass(1);
    for (const reader of readers) reader.ack(0);
    const client = world.client();
    client.ask('wanted');
    await world.pass(5000);
    expect(world.server.stats().ignoredTotal['busy']).toBe(1);
  });
});
