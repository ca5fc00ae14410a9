import { describe, expect, it } from 'vitest';
import { seededBytes } from '../support/content.ts';
import { World, gatedSource } from './world.ts';

const FILES = {
  small: seededBytes(1, 300),
  exact: seededBytes(1, 1024),
  big: seededBytes(1, 100_000),
  huge: seededBytes(1, 5_000_000),
};

describe('when every session is taken', () => {
  it('quick transfers go first, then the longest waiting ones', async () => {
    const world = await World.start({ files: FILES, limits: { sessions: 1 } });
    const first = world.client('10.0.1.1');
    first.ask('big');
    await world.pass(1);
    const [bulk1, bulk2, quick] = ['10.0.1.2', '10.0.1.3', '10.0.1.4'].map((address) => world.client(address));
    bulk1!.ask('big');
    await world.pass(1);
    bulk2!.ask('big');
    await world.pass(1);
    quick!.ask('small');
    await world.pass(1);
    expect(world.server.stats()).toMatchObject({ transfersActive: 1, transfersQueued: 3 });
    first.error(0);
    await world.pass(1);
    expect(quick!.texts).toEqual(['DATA 1 +300']);
    quick!.ack(1);
    await world.pass(1);
    expect(bulk1!.texts).toEqual(['DATA 1 +512']);
    expect(bulk2!.received).toEqual([]);
  });

  it('a probe goes ahead of a download of the same file', async () => {
    const world = await World.start({ files: FILES, limits: { sessions: 1 } });
    const first = world.client('10.0.1.1');
    first.ask('big');
    await world.pass(1);
    const download = world.client('10.0.1.2');
    download.ask('huge', { tsize: 0, blksize: 1432 });
    await world.pass(1);
    const probe = world.client('10.0.1.3');
    probe.ask('huge', { tsize: 0 });
    await world.pass(1);
    first.error(0);
    await world.pass(1);
    expect(probe.texts).toEqual(['OACK tsize=5000000']);
    expect(download.received).toEqual([]);
    probe.error(8);
    await world.pass(1);
    expect(download.texts).toEqual(['OACK tsize=5000000 blksize=1432']);
    expect(world.transfers.map(({ outcome }) => outcome)).toEqual(['probe', 'probe']);
  });

  it('a client that repeats its request keeps its place, one that has fallen silent loses it', async () => {
    const world = await World.start({ files: FILES, limits: { sessions: 1 } });
    const first = world.client('10.0.1.1');
    first.ask('big');
    await world.pass(1);
    first.ack(1);
    const patient = world.client('10.0.1.2');
    const silent = world.client('10.0.1.3');
    silent.ask('big');
    patient.ask('big');
    for (let second = 0; second < 12; second++) {
      await world.pass(1000);
      patient.ask('big');
    }
    await world.pass(1);
    expect(world.server.stats()).toMatchObject({ transfersQueued: 1, ignoredTotal: { expired: 1 } });
    first.error(0);
    await world.pass(1);
    expect(patient.texts).toEqual(['DATA 1 +512']);
    expect(silent.received).toEqual([]);
  });

  it('requests beyond the queue are not answered, but counted', async () => {
    const world = await World.start({ files: FILES, limits: { sessions: 1, queue: 2 } });
    for (let node = 0; node < 5; node++) world.client(`10.0.2.${node}`).ask('big');
    await world.pass(1);
    expect(world.server.stats()).toMatchObject({
      transfersActive: 1,
      transfersQueued: 2,
      ignoredTotal: { queueFull: 2 },
    });
  });

  it('a client that waited long for its turn still has three seconds to answer the reply', async () => {
    const world = await World.start({ files: FILES, limits: { sessions: 1 } });
    const first = world.client('10.0.1.1');
    first.ask('big');
    await world.pass(1);
    first.ack(1);
    const [waiting, crowd] = [world.client('10.0.1.2'), world.client('10.0.1.3')];
    waiting.ask('big', { tsize: 0 });
    await world.pass(6000);
    crowd.ask('big');
    first.error(0);
    await world.pass(2500);
    expect(waiting.texts[0]).toBe('OACK tsize=100000');
    waiting.ack(0);
    await world.pass(1);
    expect(waiting.last.text).toBe('DATA 1 +512');
  });

  it('an address that never answers makes room after three seconds', async () => {
    const world = await World.start({ files: FILES, limits: { sessions: 2 } });
    world.client('10.0.3.1').ask('big', { tsize: 0 });
    world.client('10.0.3.2').ask('big', { tsize: 0 });
    await world.pass(1);
    const honest = world.client('10.0.3.3');
    honest.ask('big');
    await world.pass(3000);
    honest.ask('big');
    await world.pass(1200);
    expect(honest.texts[0]).toBe('DATA 1 +512');
  });

  it('an address that never answers makes room after ten seconds where the reply was sent once', async () => {
    const world = await World.start({ files: FILES, limits: { sessions: 1 } });
    world.client('10.0.3.1').ask('big');
    await world.pass(1);
    const honest = world.client('10.0.3.3');
    for (let second = 0; second < 11; second++) {
      honest.ask('big');
      await world.pass(1000);
    }
    await world.pass(200);
    expect(honest.texts[0]).toBe('DATA 1 +512');
  });

  it.each<[string, Readonly<Record<string, number>>, number]>([
    ['without options', {}, 1],
    ['with an interval of its own', { timeout: 5 }, 0],
  ])(
    'a client %s whose first ACK was lost still has its transfer when it repeats the ACK after 5 s',
    async (_, options, block) => {
      const world = await World.start({ files: FILES, limits: { sessions: 1, acknowledgeTimeout: true } });
      const client = world.client('10.0.4.1');
      client.ask('big', options);
      await world.pass(1);
      const reply = client.last.from;
      const waiting = world.client('10.0.4.2');
      waiting.ask('big');
      await world.pass(2500);
      waiting.ask('big');
      await world.pass(2499);
      client.ack(block, reply);
      await world.pass(1);
      expect(client.unreachable).toEqual([]);
      expect(client.last.text).toBe(`DATA ${block + 1} +512`);
      expect(waiting.received).toEqual([]);
    },
  );
});

describe('stopping', () => {
  it('lets running transfers finish, answers no new request, and then resolves', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('exact', { blksize: 1024 });
    await world.pass(1);
    client.ack(0);
    await world.pass(1);
    const stopped = world.server.stop(30_000);
    expect(world.server.ready).toBe(false);
    const late = world.client('10.0.0.10');
    late.ask('small');
    await world.pass(1);
    expect(late.received).toEqual([]);
    expect(late.unreachable).toEqual([]);
    client.ack(1);
    await world.pass(1);
    client.ack(2);
    await world.pass(1);
    expect(await stopped).toBe(0);
    expect(world.transfers).toMatchObject([{ outcome: 'complete' }]);
    expect(world.held).toBe(0);
  });

  it('ends what still runs when the time is over, and tells the clients', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('big');
    await world.pass(1);
    client.ack(1);
    await world.pass(1);
    const stopped = world.server.stop(2000);
    await world.pass(2100);
    expect(await stopped).toBe(1);
    expect(client.last.text).toBe('ERROR 0 Server is stopping');
    expect(world.transfers).toMatchObject([{ outcome: 'aborted' }]);
  });

  it('does not wait for transfers that nobody answers: their requests may be forged', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('exact', { blksize: 1024 });
    await world.pass(1);
    client.ack(0);
    for (let number = 0; number < 10; number++) world.client(`10.0.1.${number}`).ask('big', { blksize: 1024 });
    await world.pass(1);
    const stopped = world.server.stop(30_000);
    await world.pass(5000);
    expect(world.server.stats()).toMatchObject({ transfersActive: 1, ignoredTotal: { unanswered: 10 } });
    client.ack(1);
    await world.pass(1);
    client.ack(2);
    await world.pass(1);
    expect(await stopped).toBe(0);
  });

  it('a second time with less patience cuts the first short', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('big');
    await world.pass(1);
    client.ack(1);
    await world.pass(1);
    const first = world.server.stop(30_000);
    await world.pass(100);
    const second = world.server.stop(0);
    await world.pass(100);
    expect(await first).toBe(1);
    expect(await second).toBe(1);
  });

  it('forgets waiting clients and files that are still being looked up', async () => {
    const source = gatedSource();
    const world = await World.start({ source });
    const client = world.client();
    client.ask('small');
    await world.pass(1);
    const stopped = world.server.stop(30_000);
    await world.pass(1);
    expect(await stopped).toBe(0);
    source.letGo();
    await world.pass(1000);
    expect(client.received).toEqual([]);
    expect(world.held).toBe(0);
  });
});
