/** A server that runs all transfers at the port that was asked, on virtual time. */
import { describe, expect, it } from 'vitest';
import { StateCells, TRANSFER_STATE, type TransferState } from '../../src/pool/state-cells.ts';
import { allocateTable } from '../../src/pool/table-region.ts';
import { JustEnded } from '../../src/server/clients/just-ended.ts';
import { Gate } from '../../src/server/gate.ts';
import { seededBytes } from '../support/content.ts';
import { gatedSource, type RawClient, SERVER, World } from './world.ts';

const FILES = { small: seededBytes(1, 300), big: seededBytes(1, 100_000), other: seededBytes(2, 100_000) };

interface Started {
  readonly world: World;
  readonly client: RawClient;
}

async function start(): Promise<Started> {
  const world = await World.start({ files: FILES, singlePort: true });
  return { world, client: world.client() };
}

/** Sends each ACK in turn. @returns what has come after the last one. */
async function acknowledge(world: World, client: RawClient, ...blocks: readonly number[]): Promise<string[]> {
  let before = 0;
  for (const block of blocks) {
    before = client.received.length;
    client.ack(block, SERVER);
    // oxlint-disable-next-line no-await-in-loop -- lockstep.
    await world.pass(1);
  }
  return client.received.slice(before).map(({ text }) => text);
}

describe('a transfer at the port that was asked', () => {
  it('comes from there, to its end', async () => {
    const { world, client } = await start();
    client.ask('big');
    await world.pass(1);
    await acknowledge(world, client, ...Array.from({ length: 196 }, (_, index) => index + 1));
    expect(client.received.map(({ from }) => from)).toEqual(Array(196).fill(SERVER));
    expect(world.transfers).toMatchObject([{ file: 'big', outcome: 'complete', retransmits: 0 }]);
    expect(world.held).toBe(0);
    // Its last ACK may come once more.
    expect(await acknowledge(world, client, 196)).toEqual([]);
  });

  it('is ended by the next request from its port, and its late ACKs count for nothing', async () => {
    const { world, client } = await start();
    client.ask('big');
    await world.pass(1);
    expect(await acknowledge(world, client, 1, 2)).toEqual(['DATA 3 +512']);
    client.ask('other', { blksize: 1024 });
    await world.pass(11);
    expect(client.last.text).toBe('OACK blksize=1024');
    expect(await acknowledge(world, client, 3, 2, 1, 4, 40_000)).toEqual([]);
    // Nothing of the former file comes any more, by no timer.
    const { length } = client.received;
    await world.pass(30_000);
    expect(new Set(client.received.slice(length).map(({ text }) => text))).toEqual(new Set(['OACK blksize=1024']));
    expect(await acknowledge(world, client, 0)).toEqual(['DATA 1 +1024']);
    expect(client.last.bytes.subarray(4)).toEqual(new Uint8Array(FILES.other.subarray(0, 1024)));
    expect(world.transfers).toMatchObject([{ file: 'big', outcome: 'aborted' }]);
    expect(world.held).toBe(1);
  });

  it.each([
    ['a file', 'other', 'OACK blksize=1024'],
    ['a refusal', 'none', 'ERROR 1 File not found'],
  ])('has ended for its worker before its client gets %s', async (_name, next, answer) => {
    const events: string[] = [];
    const world = await World.start({
      files: FILES,
      singlePort: true,
      observer: { onTransfer: ({ file, outcome }) => events.push(`${file} ${outcome}`) },
    });
    const client = world.client();
    client.onReceived = (text): void => void events.push(text);
    client.ask('big');
    await world.pass(1);
    // The middle request is superseded while it waits itself.
    client.ask('small');
    client.ask(next, { blksize: 1024 });
    await world.pass(20);
    expect(events).toEqual(['DATA 1 +512', 'big aborted', answer]);
    expect(world.held).toBe(next === 'none' ? 0 : 1);
  });

  it('ends with a server that stops, and the next request of its client is not answered', async () => {
    const { world, client } = await start();
    client.ask('big');
    await world.pass(1);
    client.ask('other');
    await world.pass(1);
    const stopped = world.server.stop(1000);
    await world.pass(100);
    await stopped;
    expect(client.received.map(({ text }) => text)).toEqual(['DATA 1 +512']);
    expect(world.held).toBe(0);
  });

  it('takes its own request, sent again, for no ACK', async () => {
    const { world, client } = await start();
    client.ask('big');
    await world.pass(1);
    await acknowledge(world, client, 1);
    const { length } = client.received;
    client.ask('big');
    await world.pass(10);
    expect(client.received.length).toBe(length);
    expect(await acknowledge(world, client, 2)).toEqual(['DATA 3 +512']);
    expect(world.server.stats()).toMatchObject({ ignoredTotal: { repeated: 1 } });
  });

  it('has windows of at most 4 blocks, until its address has completed a transfer within the last hour', async () => {
    const { world, client } = await start();
    const granted = async (from: RawClient): Promise<string> => {
      from.ask('big', { windowsize: 16 });
      await world.pass(1);
      const { text } = from.last;
      from.error(0, SERVER);
      await world.pass(20);
      return text;
    };
    expect(await granted(client)).toBe('OACK windowsize=4');
    client.ask('small');
    await world.pass(1);
    await acknowledge(world, client, 1);
    expect(world.transfers.at(-1)).toMatchObject({ file: 'small', outcome: 'complete' });
    expect(await granted(client)).toBe('OACK windowsize=16');
    expect(await granted(world.client('10.0.0.10'))).toBe('OACK windowsize=4');
    await world.pass(3_500_000);
    expect(await granted(world.client('10.0.0.9', 2001))).toBe('OACK windowsize=16');
    await world.pass(100_000);
    expect(await granted(client)).toBe('OACK windowsize=4');
  });

  it('ends after silence when its client reports a closed port', async () => {
    const { world, client } = await start();
    client.ask('big');
    await world.pass(1);
    await acknowledge(world, client, 1);
    client.close();
    world.network.faults = { ...world.network.faults, unreachable: true };
    await world.pass(5000);
    expect(world.transfers).toMatchObject([{ file: 'big', outcome: 'unreachable' }]);
  });
});

describe('a copy of a request, read later than it arrived', () => {
  /** The server reads at `now` a request that arrived at `arrivedAt`. @returns what it has sent since. */
  async function readLate(world: World, client: RawClient, name: string, arrivedAt: number): Promise<string[]> {
    const { length } = client.received;
    world.requestsWaitMs = world.clock.now() - arrivedAt;
    client.ask(name, { blksize: 1024 });
    await world.pass(50);
    return client.received.slice(length).map(({ text }) => text);
  }

  /** At 300 ms a slow client answers the first reply, which it has had since the start. */
  async function startSlowly(name: string, options?: Parameters<typeof World.start>[0]): Promise<Started> {
    const world = await World.start({ files: FILES, singlePort: true, ...options });
    const client = world.client();
    client.ask(name, { blksize: 1024 });
    await world.pass(300);
    return { world, client };
  }

  it('is not answered, if its client has acknowledged the last block since', async () => {
    const { world, client } = await startSlowly('small');
    expect(await acknowledge(world, client, 0, 1)).toEqual([]);
    expect(await readLate(world, client, 'small', 150)).toEqual([]);
    expect(world.transfers).toMatchObject([{ file: 'small', outcome: 'complete' }]);
    // One that has arrived since is answered.
    expect(await readLate(world, client, 'small', world.clock.now() - 1)).toEqual(['OACK blksize=1024']);
  });

  it('is not answered, if its client has left the file since', async () => {
    const { world, client } = await startSlowly('big');
    client.error(0, SERVER);
    await world.pass(1);
    expect(await readLate(world, client, 'big', 150)).toEqual([]);
    expect(world.transfers).toMatchObject([{ file: 'big', outcome: 'probe' }]);
  });

  it('is not answered, if it has been refused since', async () => {
    const source = gatedSource({ kind: 'missing' });
    const { world, client } = await startSlowly('none', { source });
    source.letGo();
    await world.pass(1);
    expect(client.last.text).toBe('ERROR 1 File not found');
    expect(await readLate(world, client, 'none', 150)).toEqual([]);
    expect(source.asked).toBe(1);
  });

  it('does not end its transfer, if the client was slow to acknowledge the options', async () => {
    const { world, client } = await startSlowly('big');
    await world.pass(1500);
    expect(await acknowledge(world, client, 0)).toEqual(['DATA 1 +1024']);
    expect(await readLate(world, client, 'big', 1500)).toEqual([]);
    expect(await acknowledge(world, client, 1)).toEqual(['DATA 2 +1024']);
    expect(world.transfers).toEqual([]);
  });
});

describe('a request at the port that was asked, read later than it arrived', () => {
  const guarded = { key: 'a client', slot: 3, requestText: 'loader' };

  function gateAt(state: TransferState, progressAt: number): Gate<typeof guarded> {
    const cells = new StateCells(allocateTable(8));
    const gate = new Gate<typeof guarded>(cells, new JustEnded());
    cells.reset(guarded.slot, state, progressAt);
    gate.enter(guarded);
    return gate;
  }

  it('is a copy where the client has been heard since', () => {
    expect(gateAt(TRANSFER_STATE.unproven, 1000).judge('a client', 'loader', 999)).toBe('refresh');
    expect(gateAt(TRANSFER_STATE.unproven, 1000).judge('a client', 'loader', 1000)).toBe('repeat');
    // A stalled transfer is not replaced for a request that its client sent before its last ACK.
    expect(gateAt(TRANSFER_STATE.running, 1000).judge('a client', 'loader', 500)).toBe('ignore');
    expect(gateAt(TRANSFER_STATE.running, 1000).judge('a client', 'loader', 2000)).toBe('replace');
    expect(gateAt(TRANSFER_STATE.ended, 1000).judge('a client', 'loader', 1005)).toBe('ignore');
    expect(gateAt(TRANSFER_STATE.ended, 1000).judge('a client', 'loader', 1006)).toBe('replace');
  });

  it('is a copy where its transfer has ended since, also when another one runs', () => {
    const gate = gateAt(TRANSFER_STATE.ended, 1000);
    gate.end(guarded, 1200);
    const judged = (): string[] => [1000, 1100].map((arrivedAt) => gate.judge('a client', 'loader', arrivedAt));
    expect(judged()).toEqual(['ignore', 'new']);
    expect(gate.judge('another client', 'loader', 1000)).toBe('new');
    expect(gate.judge('a client', 'kernel', 1000)).toBe('new');
    gate.enter({ ...guarded, slot: 4, requestText: 'kernel' });
    expect(judged()).toEqual(['ignore', 'replace']);
  });

  it('counts as new ten seconds later, and when there are too many to remember', () => {
    const ended = new JustEnded();
    ended.note('old', 'loader', 1000, 1000);
    ended.note('new', 'loader', 11_000, 11_000);
    expect([ended.covers('old', 'loader', 900), ended.covers('new', 'loader', 900)]).toEqual([false, true]);
    for (let count = 0; count < 65_536; count++) ended.note(`client ${count}`, 'loader', 11_000, 11_000);
    expect([ended.covers('new', 'loader', 900), ended.covers('client 0', 'loader', 900)]).toEqual([false, true]);
  });
});
