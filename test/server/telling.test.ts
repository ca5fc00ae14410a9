/** Reports of the server on requests and transfers while they run. */
import { describe, expect, it } from 'vitest';
import type { Source } from '../../src/content/types.ts';
import type { LatencyCounts } from '../../src/engine/latencies.ts';
import { shareBytes } from '../../src/bytes/shared-bytes.ts';
import type { DropRecord, RequestRecord, StartRecord } from '../../src/server/types.ts';
import { seededBytes } from '../support/content.ts';
import { gatedSource, World, type WorldOptions } from './world.ts';

interface Told {
  readonly requests: RequestRecord[];
  readonly drops: DropRecord[];
  readonly starts: StartRecord[];
}

async function listeningWorld(options: WorldOptions = {}): Promise<{ world: World; told: Told }> {
  const told: Told = { requests: [], drops: [], starts: [] };
  const world = await World.start({
    ...options,
    observer: {
      onRequest: (record) => told.requests.push(record),
      onDrop: (record) => told.drops.push(record),
      onStart: (record) => told.starts.push(record),
    },
  });
  return { world, told };
}

const FILE = seededBytes(7, 5000);

const bootSetSource: Source = {
  open: () =>
    Promise.resolve({
      kind: 'content',
      handle: shareBytes(FILE),
      label: 'compute-7/kernel',
      origin: 'bootSet',
      set: { channel: 'compute', version: 7 },
      release: () => {},
    }),
};

describe('of requests', () => {
  it('each one is reported, with the action that it got', async () => {
    const { world, told } = await listeningWorld({ files: { f: FILE } });
    const client = world.client();
    client.ask('f', { blksize: 512 });
    await world.pass(5);
    client.ask('f', { blksize: 512 });
    client.ask('f', {}, 'octet', 'write');
    client.ask('f', {}, 'mail');
    world.client('10.0.0.8').ask('absent');
    await world.pass(5);
    expect(told.requests.map(({ client: { address }, filename, done }) => [address, filename, done])).toEqual([
      ['10.0.0.9', 'f', 'admitted'],
      ['10.0.0.9', 'f', 'repeated'],
      ['10.0.0.9', 'f', 'refused'],
      ['10.0.0.9', 'f', 'refused'],
      ['10.0.0.8', 'absent', 'admitted'],
    ]);
    const [first, again, write] = told.requests;
    expect(first).toMatchObject({ local: '10.0.0.1', operation: 'read', mode: 'octet', transfer: told.starts[0]!.id });
    expect(first!.options).toMatchObject([{ name: 'blksize', value: '512' }]);
    expect(again!.transfer).toBe(first!.transfer);
    expect(write!.transfer).toBeUndefined();
    expect(world.refusals.map(({ kind, code }) => [kind, code])).toEqual([
      ['write', 2],
      ['mode', 4],
      ['not_found', 1],
    ]);
  });

  it.each([
    ['access', 2, { kind: 'denied', reason: 'leads out' }],
    ['too_large', 0, { kind: 'denied', reason: 'much', tooLarge: true }],
    ['route', 2, { kind: 'denied', reason: 'not for you', by: 'route' }],
    ['render', 2, { kind: 'denied', reason: 'broken', by: 'render' }],
    ['not_found', 1, { kind: 'missing' }],
  ] as const)('a refusal names its kind: %s', async (kind, code, answer) => {
    const world = await World.start({ source: { open: () => Promise.resolve(answer) } });
    world.client().ask('f');
    await world.pass(5);
    expect(world.refusals).toMatchObject([{ kind, code }]);
  });

  it('one that gets no answer after all is reported as dropped', async () => {
    const source: Source = { open: () => Promise.resolve({ kind: 'busy', reason: 'disk away' }) };
    const { world, told } = await listeningWorld({ source });
    world.client().ask('f');
    await world.pass(5);
    expect(told.drops).toMatchObject([{ transfer: told.requests[0]!.transfer, reason: 'busy', detail: 'disk away' }]);
    expect(world.server.transfers()).toEqual([]);
  });
});

describe('of transfers', () => {
  it('the start and the end say what is sent, and how long the client waited', async () => {
    const { world, told } = await listeningWorld({ source: bootSetSource });
    const client = world.client();
    client.ask('kernel');
    await world.pass(5);
    const what = {
      file: 'compute-7/kernel',
      origin: 'bootSet',
      set: { channel: 'compute', version: 7 },
      size: 5000,
      mode: 'octet',
      blksize: 512,
      windowsize: 1,
    };
    expect(told.starts).toMatchObject([what]);
    client.error(0);
    await world.pass(5);
    const [record] = world.transfers;
    expect(record).toMatchObject({ ...what, id: told.starts[0]!.id, firstReplyMs: 0, waitedMs: 0, queuedMs: 0 });
  });

  it('the wait for a source and the wait for a session are told apart', async () => {
    const source = gatedSource();
    const { world, told } = await listeningWorld({ source, limits: { sessions: 1 } });
    const first = world.client('10.0.0.8');
    first.ask('a');
    await world.pass(30);
    source.letGo();
    await world.pass(10);
    world.client('10.0.0.9').ask('b');
    await world.pass(20);
    source.letGo();
    await world.pass(40);
    expect(world.server.transfers().map(({ state }) => state)).toEqual(['unproven', 'queued']);
    first.ack(1);
    await world.pass(5);
    expect(told.starts.map(({ waitedMs, queuedMs }) => [waitedMs, queuedMs])).toEqual([
      [30, 0],
      [60, 40],
    ]);
    expect(world.transfers[0]!.firstReplyMs).toBe(30);
  });

  it('each is visible with its progress', async () => {
    const source = gatedSource();
    const asks = {
      open: (request: Parameters<Source['open']>[0]) =>
        request.filename === 'slow' ? source.open(request) : bootSetSource.open(request),
    };
    const { world } = await listeningWorld({ source: asks });
    const client = world.client();
    world.client('10.0.0.8').ask('slow');
    client.ask('kernel', { blksize: 1000 });
    await world.pass(100);
    const seen = () => world.server.transfers().toSorted((one, other) => one.id - other.id);
    expect(seen()).toMatchObject([
      { id: 1, file: 'slow', origin: undefined, state: 'resolving', size: 0, bytes: 0, blksize: 0, sinceMs: 100 },
      { id: 2, file: 'compute-7/kernel', origin: 'bootSet', state: 'unproven', size: 5000, bytes: 0, blksize: 1000 },
    ]);
    client.ack(0);
    await world.pass(100);
    client.ack(1);
    await world.pass(100);
    client.ack(2);
    await world.pass(100);
    expect(seen()[1]).toMatchObject({ state: 'running', bytes: 2000, sinceMs: 400, silentMs: 100, retransmits: 0 });
    // The ACK was lost, so the client gets the third block again.
    await world.pass(1000);
    expect(seen()[1]!.retransmits).toBeGreaterThan(0);
    expect(seen()[1]).toMatchObject({ bytes: 2000, silentMs: 1100 });
    for (const block of [3, 4, 5, 6]) {
      client.ack(block);
      await world.pass(100);
    }
    expect(seen().map(({ id }) => id)).toEqual([1]);
    expect(world.transfers).toMatchObject([{ bytes: 5000, outcome: 'complete' }]);
  });

  it('a superseded one is visible until its worker has ended it', async () => {
    const { world } = await listeningWorld({ source: bootSetSource });
    const client = world.client();
    client.ask('kernel');
    await world.pass(5);
    client.ask('other');
    expect(world.server.transfers()).toHaveLength(1);
    await world.pass(1);
    expect(
      world.server
        .transfers()
        .map(({ id }) => id)
        .toSorted((one, other) => one - other),
    ).toEqual([1, 2]);
    await world.pass(20);
    expect(world.server.transfers().map(({ id }) => id)).toEqual([2]);
  });
});

describe('what workers measure', () => {
  it('includes the times of first replies and round trips', async () => {
    const { world } = await listeningWorld({ files: { f: FILE }, faults: { delayMs: 15 } });
    const client = world.client();
    client.ask('f', { blksize: 1024 });
    await world.pass(40);
    for (let block = 0; block <= 4; block++) {
      client.ack(block);
      await world.pass(40);
    }
    const { latencies } = world.server.stats();
    const seen = ({ boundsMs, counts }: LatencyCounts): unknown[] =>
      counts.flatMap((count, bucket) => (count === 0 ? [] : [[boundsMs[bucket], count]]));
    expect(seen(latencies.firstReply)).toEqual([[1, 1]]);
    // Each round trip takes 40 ms, of which 30 ms are transit. The ACK of the OACK does not measure DATA.
    expect(seen(latencies.roundTrip)).toEqual([[50, 4]]);
    expect(latencies.roundTrip.sumMs).toBe(160);
  });

  it('counts stuck transfers and booting nodes', async () => {
    const { world } = await listeningWorld({ files: { f: FILE } });
    const [one, other] = [world.client('10.0.0.8'), world.client('10.0.0.9')];
    one.ask('f');
    other.ask('f');
    world.client('10.0.0.9', 3000).ask('f', { blksize: 100 });
    await world.pass(5);
    one.ack(1);
    await world.pass(1);
    const booting = () => {
      const { transfersStuck, nodesBooting, transfersActive } = world.server.stats();
      return { transfersStuck, nodesBooting, transfersActive };
    };
    expect(booting()).toEqual({ transfersStuck: 0, nodesBooting: 2, transfersActive: 3 });
    await world.pass(4990);
    expect(booting().transfersStuck).toBe(0);
    await world.pass(100);
    expect(booting().transfersStuck).toBe(1);
    one.ack(2);
    await world.pass(100);
    expect(booting().transfersStuck).toBe(0);
  });
});

describe('of content that is given back', () => {
  /** Records for each content whether the server reported an answer on release. */
  function noted(size: number): { source: Source; answered: (boolean | undefined)[] } {
    const answered: (boolean | undefined)[] = [];
    const handle = shareBytes(seededBytes(7, size));
    const source: Source = {
      open: ({ filename }) => ({
        kind: 'content',
        handle,
        label: filename,
        release: (isAnswered) => void answered.push(isAnswered),
      }),
    };
    return { source, answered };
  }

  it("a client has answered when it has acknowledged all of it, or the last block was its port's last", async () => {
    const { source, answered } = noted(600);
    const world = await World.start({ source });
    const [one, other] = [world.client('10.0.0.8'), world.client('10.0.0.9')];
    for (const client of [one, other]) client.ask('f');
    await world.pass(5);
    for (const client of [one, other]) client.ack(1);
    await world.pass(5);
    one.ack(2);
    other.close();
    await world.pass(60_000);
    expect(answered).toEqual([true, true]);
  });

  it('a client that only sent requests has not answered, however many it sent', async () => {
    const { source, answered } = noted(100);
    const world = await World.start({ source });
    const forged = world.client('10.0.0.8');
    forged.ask('f');
    await world.pass(5);
    // This request supersedes the first one, whose only block is on its way.
    forged.ask('g');
    await world.pass(5);
    forged.error(0);
    const gone = world.client('10.0.0.9');
    gone.ask('f');
    gone.close();
    await world.pass(60_000);
    expect(answered).toEqual([false, false, false]);
  });
});
