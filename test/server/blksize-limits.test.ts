import { describe, expect, it } from 'vitest';
import { UNPROVEN_MS } from '../../src/session/sender-limits.ts';
import { seededBytes } from '../support/content.ts';
import { type RawClient, World, type WorldOptions } from './world.ts';

const MINUTE = 60_000;
const FILES = { big: seededBytes(1, 100_000), small: seededBytes(1, 1248), one: seededBytes(1, 1249) };
const MESSAGE = 'blocks did not arrive: the client is granted smaller ones';

let warned: unknown[];

function start(options: WorldOptions = {}): Promise<World> {
  warned = [];
  return World.start({
    files: FILES,
    observer: { onWarning: (message, detail) => warned.push([message, detail]) },
    ...options,
  });
}

let port = 3000;

/** Sends a request from a new port. @returns the client, which has received its OACK. */
async function ask(world: World, name = 'big', blksize = 1468, address = '10.0.0.9'): Promise<RawClient> {
  const client = world.client(address, port++);
  client.ask(name, { blksize });
  await world.pass(1);
  return client;
}

/** A client that acknowledges the OACK but receives no block. */
async function stranded(world: World, ms: number, name = 'big', blksize = 1468): Promise<RawClient> {
  const client = await ask(world, name, blksize);
  client.ack(0);
  await world.pass(ms);
  return client;
}

const granted = (client: RawClient): string => client.texts[0]!;

describe('a client whose first block vanishes', () => {
  it('is granted blocks for packets of 1,280 bytes when it asks again, and the log says so once', async () => {
    const world = await start();
    const first = await stranded(world, 4000);
    expect(first.texts.slice(0, 3)).toEqual(['OACK blksize=1468', 'DATA 1 +1468', 'DATA 1 +1468']);
    expect(granted(await ask(world))).toBe('OACK blksize=1248');
    expect(granted(await ask(world, 'big', 1400))).toBe('OACK blksize=1248');
    expect(granted(await ask(world, 'big', 1024))).toBe('OACK blksize=1024');
    expect(warned).toEqual([[MESSAGE, { client: '10.0.0.9', blksize: 1468, granted: 1248 }]]);
  });

  it('is granted them when it asks again from the same port', async () => {
    const world = await start();
    const client = await stranded(world, 4000);
    client.ask('big', { blksize: 1468, tsize: 0 });
    await world.pass(1);
    expect(client.texts.at(-1)).toBe('OACK blksize=1248 tsize=100000');
  });

  it.each([
    ['which the server ends', async (world: World) => world.pass(2 * MINUTE)],
    ['which the client ends', async (_world: World, client: RawClient) => client.error(0)],
  ])('is granted them after that transfer, %s', async (_how, end) => {
    const world = await start();
    const client = await stranded(world, 4000);
    await end(world, client);
    await world.pass(1);
    expect(world.transfers).toMatchObject([{ blocks: 0 }]);
    expect(granted(await ask(world))).toBe('OACK blksize=1248');
  });

  it('is granted them if the file is a single block', async () => {
    const world = await start();
    await stranded(world, 30_000, 'one');
    expect(granted(await ask(world))).toBe('OACK blksize=1248');
  });

  it('is granted them though the operator allows more', async () => {
    const world = await start({ limits: { maxBlksize: 8000 } });
    await stranded(world, 4000, 'big', 8192);
    expect(granted(await ask(world, 'big', 8192))).toBe('OACK blksize=1248');
    expect(granted(await ask(world, 'big', 8192, '10.0.0.10'))).toBe('OACK blksize=8000');
  });

  it('is granted large ones again after 15 minutes', async () => {
    const world = await start();
    const client = await stranded(world, 4000);
    client.error(0);
    await world.pass(15 * MINUTE - 1);
    expect(granted(await ask(world, 'small'))).toBe('OACK blksize=1248');
    await world.pass(2);
    expect(granted(await ask(world, 'small'))).toBe('OACK blksize=1468');
  });

  it('is logged once more when smaller blocks are granted again', async () => {
    const world = await start();
    const strand = async (): Promise<void> => {
      (await stranded(world, 4000)).error(0);
      await world.pass(1);
      await ask(world, 'small');
      await world.pass(15 * MINUTE);
      await ask(world, 'small');
    };
    await strand();
    await strand();
    expect(warned).toHaveLength(2);
  });

  it('is forgotten when 4,096 others are remembered', async () => {
    const world = await start();
    const at = (number: number): string => `10.2.${number >> 8}.${number & 255}`;
    let together: RawClient[] = [];
    for (let number = 0; number <= 4096; number++) {
      const client = world.client(at(number), 2000);
      client.ask('big', { blksize: 1468 });
      together.push(client);
      if (together.length < 64 && number < 4096) continue;
      // oxlint-disable-next-line no-await-in-loop -- 64 clients are stranded at a time.
      await world.pass(1);
      for (const each of together) each.ack(0);
      // oxlint-disable-next-line no-await-in-loop -- see above.
      await world.pass(4000);
      for (const each of together) each.error(0);
      together = [];
    }
    await world.pass(1);
    expect(granted(await ask(world, 'big', 1468, at(1)))).toBe('OACK blksize=1248');
    expect(granted(await ask(world, 'big', 1468, at(0)))).toBe('OACK blksize=1468');
  });
});

describe('a client is granted large blocks', () => {
  it('when others behind other addresses have lost theirs', async () => {
    const world = await start();
    await stranded(world, 4000);
    expect(granted(await ask(world, 'big', 1468, '10.0.0.10'))).toBe('OACK blksize=1468');
  });

  it('when it has acknowledged one', async () => {
    const world = await start();
    const client = await stranded(world, 1);
    client.ack(1);
    await world.pass(4000);
    expect(granted(await ask(world))).toBe('OACK blksize=1468');
  });

  it('when it never acknowledged the OACK, because small packets did not arrive either', async () => {
    const world = await start();
    await ask(world);
    await world.pass(4000);
    expect(granted(await ask(world))).toBe('OACK blksize=1468');
    await world.pass(UNPROVEN_MS);
    expect(granted(await ask(world))).toBe('OACK blksize=1468');
  });

  it('when the lost block was not large', async () => {
    const world = await start();
    await stranded(world, 30_000, 'small');
    await stranded(world, 4000, 'big', 1248);
    expect(granted(await ask(world))).toBe('OACK blksize=1468');
    expect(warned).toEqual([]);
  });

  it('when the block that it lost has been sent again only once', async () => {
    const world = await start();
    const client = await stranded(world, 1100);
    expect(client.texts.slice(1)).toEqual(['DATA 1 +1468', 'DATA 1 +1468']);
    expect(granted(await ask(world))).toBe('OACK blksize=1468');
  });

  it('when it asks for another file within a second, however often it wants a block sent again', async () => {
    const world = await start({ limits: { acknowledgeTimeout: true } });
    const client = world.client('10.0.0.9', port++);
    client.ask('big', { blksize: 1468, utimeout: 100_000 });
    await world.pass(1);
    client.ack(0);
    await world.pass(900);
    expect(client.received.length).toBeGreaterThan(5);
    expect(granted(await ask(world))).toBe('OACK blksize=1468');
  });

  it('when another client has lost blocks in the slot that its former transfer had', async () => {
    const world = await start();
    const client = await stranded(world, 1, 'one');
    client.ack(1);
    await world.pass(1);
    expect(world.transfers).toMatchObject([{ outcome: 'complete' }]);
    const other = await ask(world, 'big', 1468, '10.0.0.10');
    other.ack(0);
    await world.pass(4000);
    expect(granted(await ask(world))).toBe('OACK blksize=1468');
  });
});

describe('the limit of the operator', () => {
  it('for an address takes precedence over that for all, and both over the MTU', async () => {
    const world = await start({
      limits: { maxBlksize: 4000 },
      maxBlksizeOf: (address) => (address === '10.0.0.9' ? 1300 : undefined),
    });
    expect(granted(await ask(world, 'big', 8192))).toBe('OACK blksize=1300');
    expect(granted(await ask(world, 'big', 8192, '10.0.0.10'))).toBe('OACK blksize=4000');
  });
});
