import { describe, expect, it } from 'vitest';
import type { Source } from '../../src/content/types.ts';
import { seededBytes } from '../support/content.ts';
import { SERVER, World, gatedSource } from './world.ts';

const FILES = { small: seededBytes(1, 300), exact: seededBytes(1, 1024), big: seededBytes(1, 100_000) };

describe('a request', () => {
  it('is answered from a new port, with DATA 1 (RFC 1350 §4)', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('small');
    await world.pass(1);
    expect(client.texts).toEqual(['DATA 1 +300']);
    expect(client.last.from.address).toBe(SERVER.address);
    expect(client.last.from.port).not.toBe(69);
    client.ack(1);
    await world.pass(1);
    expect(world.transfers).toMatchObject([{ outcome: 'complete', file: 'small', bytes: 300, blocks: 1 }]);
    expect(world.held).toBe(0);
  });

  it('with options is answered with an OACK that names the real size (RFC 2347, 2349)', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('big', { tsize: 0, blksize: 1468, windowsize: 4, timeout: 5, nonsense: 1 });
    await world.pass(1);
    expect(client.texts).toEqual(['OACK tsize=100000 blksize=1468 windowsize=4']);
  });

  it('is granted no blksize that its interface would fragment (RFC 2348)', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('big', { blksize: 65464 });
    await world.pass(1);
    expect(client.texts).toEqual(['OACK blksize=1468']);
  });

  it.each<[string, string, string, 'read' | 'write', string]>([
    ['a missing file', 'nope', 'octet', 'read', 'ERROR 1 File not found'],
    ['a name that leads out of the root', '../secret', 'octet', 'read', 'ERROR 2 Access violation'],
    ['a write request', 'small', 'octet', 'write', 'ERROR 2 Read-only server'],
    ['mode mail (RFC 1123 §4.2.2.1)', 'small', 'mail', 'read', 'ERROR 4 Unknown transfer mode'],
    ['an unknown mode', 'small', 'binary', 'read', 'ERROR 4 Unknown transfer mode'],
  ])('for %s is refused once, at once, from the listening port', async (_what, name, mode, operation, answer) => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask(name, {}, mode, operation);
    await world.pass(30_000);
    expect(client.texts).toEqual([answer]);
    expect(client.last.from).toEqual(SERVER);
    expect(client.last.at).toBe(0);
    expect(world.refusals).toHaveLength(1);
    expect(world.transfers).toHaveLength(0);
  });

  it('whose content cannot be read now gets silence', async () => {
    const source: Source = { open: async () => ({ kind: 'busy', reason: 'disk' }) };
    const world = await World.start({ source });
    const client = world.client();
    client.ask('small\x1b[2J');
    await world.pass(30_000);
    expect(client.received).toEqual([]);
    expect(world.warnings).toEqual(['content unavailable']);
    // As in other records: who asked, and the name as it came.
    expect(world.warningDetails).toEqual([{ client: '10.0.0.9:2000', file: 'small\x1b[2J', reason: 'disk' }]);
    expect(world.server.stats().ignoredTotal['busy']).toBe(1);
  });

  it('to a source that throws gets silence, and the next request is served', async () => {
    let broken = true;
    const source: Source = {
      open: async () => {
        if (broken) throw new Error('broken');
        return { kind: 'notMine' };
      },
    };
    const world = await World.start({ source, files: FILES });
    const client = world.client();
    client.ask('small');
    await world.pass(1);
    broken = false;
    client.ask('small');
    await world.pass(1);
    expect(client.texts).toEqual(['DATA 1 +300']);
  });

  it('from port 0 is not answered', async () => {
    const world = await World.start({ files: FILES });
    world.client('10.0.0.9', 0).ask('small');
    await world.pass(1000);
    expect(world.server.stats().ignoredTotal['source']).toBe(1);
    expect(world.transfers).toEqual([]);
  });
});

describe('a datagram at the listening port that is not a request', () => {
  it.each([
    ['nothing at all', []],
    ['one byte', [0]],
    ['opcode 0', [0, 0]],
    ['an unknown opcode', [0, 7, 1, 2]],
    ['DATA', [0, 3, 0, 1, 1, 2, 3]],
    ['ACK', [0, 4, 0, 1]],
    ['ERROR (CVE-2024-2169)', [0, 5, 0, 1, 65, 0]],
    ['OACK', [0, 6, 65, 0, 66, 0]],
    ['RRQ without the end of its name', [0, 1, 65, 66]],
    ['RRQ without the end of its mode', [0, 1, 65, 0, 111, 99]],
  ])('%s is counted and never answered', async (_what, bytes) => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.send(SERVER, bytes);
    await world.pass(30_000);
    expect(client.received).toEqual([]);
    const { malformedTotal, requestsTotal } = world.server.stats();
    expect(Object.values(malformedTotal).reduce((sum, count) => sum + count)).toBe(1);
    expect(requestsTotal).toBe(0);
  });
});

describe('a repeated request', () => {
  it('while the content is being looked for opens no second transfer', async () => {
    const source = gatedSource();
    const world = await World.start({ source });
    const client = world.client();
    for (let time = 0; time < 5; time++) {
      client.ask('small');
      await world.pass(110);
    }
    expect(source.asked).toBe(1);
    source.letGo();
    await world.pass(1);
    expect(client.texts).toEqual(['DATA 1 +300']);
  });

  it('before the first ACK draws the first reply again, at most once per timeout, from the same port', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('big', { blksize: 1468 });
    await world.pass(100);
    client.ask('big', { blksize: 1468 });
    await world.pass(100);
    expect(client.received).toHaveLength(1);
    // The reply's own timer may resend, and so may a request after that timer has run out for good.
    await world.pass(5000);
    expect(client.received.length).toBeLessThanOrEqual(6);
    expect(new Set(client.received.map(({ from }) => from.port)).size).toBe(1);
  });

  it('keeps an address that never answers from more than three packets each', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('big', { blksize: 1468 });
    await world.pass(60_000);
    expect(client.received).toHaveLength(3);
    expect(world.transfers).toMatchObject([{ outcome: 'timeout' }]);
    expect(world.held).toBe(0);
  });

  it('in mid-transfer is an old copy, and ignored', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('big');
    await world.pass(1);
    client.ack(1);
    await world.pass(1);
    client.ask('big');
    await world.pass(20);
    expect(client.texts).toEqual(['DATA 1 +512', 'DATA 2 +512']);
  });

  it('is an old copy also when a small file is all under way in one window', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('exact', { blksize: 256, windowsize: 16 });
    await world.pass(1);
    client.ack(0);
    await world.pass(1);
    expect(client.last.text).toBe('DATA 5 +0');
    const { port } = client.last.from;
    client.ask('exact', { blksize: 256, windowsize: 16 });
    await world.pass(20);
    expect(client.last.from.port).toBe(port);
    client.ack(5);
    await world.pass(1);
    expect(world.transfers).toMatchObject([{ outcome: 'complete' }]);
  });

  it('after a second of silence comes from a node that was reset: a new transfer, and no ERROR from the old', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('big');
    await world.pass(1);
    client.ack(1);
    await world.pass(1200);
    const old = client.last.from.port;
    client.ask('big');
    await world.pass(30);
    expect(client.last.text).toBe('DATA 1 +512');
    expect(client.last.from.port).not.toBe(old);
    expect(client.texts.filter((text) => text.startsWith('ERROR'))).toEqual([]);
    expect(world.transfers).toMatchObject([{ outcome: 'aborted', fault: 'The client sent another request' }]);
  });

  it('for another file ends the old transfer and starts a new one on another port', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('big');
    await world.pass(1);
    const old = client.last.from.port;
    client.ask('small');
    await world.pass(30);
    expect(client.texts).toEqual(['DATA 1 +512', 'DATA 1 +300']);
    expect(client.last.from.port).not.toBe(old);
  });

  it('for the next file counts the one before as delivered when its last block was out', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('exact', { blksize: 1024 });
    await world.pass(1);
    client.ack(0);
    await world.pass(1);
    client.ack(1);
    await world.pass(1);
    expect(client.last.text).toBe('DATA 2 +0');
    client.ask('small');
    await world.pass(30);
    expect(client.last.text).toBe('DATA 1 +300');
    client.ack(1);
    await world.pass(50);
    expect(world.transfers).toMatchObject([
      { outcome: 'complete', file: 'small' },
      { outcome: 'completeUnconfirmed', file: 'exact' },
    ]);
  });

  it('while the same file is resolved for another client is a transfer of its own', async () => {
    const world = await World.start({ files: FILES });
    const one = world.client('10.0.0.9', 2000);
    const two = world.client('10.0.0.9', 2001);
    one.ask('small');
    two.ask('small');
    await world.pass(1);
    expect(one.texts).toEqual(['DATA 1 +300']);
    expect(two.texts).toEqual(['DATA 1 +300']);
  });
});
