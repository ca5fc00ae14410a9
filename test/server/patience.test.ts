/** How long a transfer may stand still or crawl: without limit while it is alone, briefly while others wait. */
import { describe, expect, it } from 'vitest';
import { seededBytes } from '../support/content.ts';
import { type RawClient, World } from './world.ts';

const FILES = { small: seededBytes(1, 300), big: seededBytes(1, 100_000) };

/** Acknowledges one block every `everyMs`, `blocks` times. */
async function crawl(world: World, client: RawClient, blocks: number, everyMs: number): Promise<void> {
  for (let block = 1; block <= blocks; block++) {
    client.ack(block);
    // oxlint-disable-next-line no-await-in-loop -- one block after the other.
    await world.pass(everyMs);
  }
}

describe('a transfer over a slow path', () => {
  it('of 100 KB at one block in 50 s is not ended for its age', async () => {
    const world = await World.start({ files: FILES });
    const client = world.client();
    client.ask('big');
    await world.pass(1);
    await crawl(world, client, 194, 50_000);
    client.ack(195);
    await world.pass(1000);
    client.ack(196);
    await world.pass(1);
    expect(world.transfers).toMatchObject([{ outcome: 'complete', blocks: 196 }]);
  });

  it('ends when others wait and the server has a minimum rate, not before', async () => {
    const world = await World.start({ files: FILES, limits: { sessions: 1, minRate: 1000 } });
    const slow = world.client('10.0.1.1');
    slow.ask('big');
    await world.pass(1);
    await crawl(world, slow, 30, 1000);
    expect(world.transfers).toEqual([]);
    const other = world.client('10.0.1.2');
    other.ask('small');
    await world.pass(2000);
    expect(world.transfers).toMatchObject([{ outcome: 'aborted', blocks: 30 }]);
    expect(other.texts).toEqual(['DATA 1 +300']);
  });

  it('continues while others wait if there is no minimum rate', async () => {
    const world = await World.start({ files: FILES, limits: { sessions: 1 } });
    const slow = world.client('10.0.1.1');
    slow.ask('big');
    await world.pass(1);
    const other = world.client('10.0.1.2');
    for (let block = 1; block <= 30; block++) {
      slow.ack(block);
      other.ask('small');
      // oxlint-disable-next-line no-await-in-loop -- one block after the other.
      await world.pass(1000);
    }
    expect(world.transfers).toEqual([]);
    expect(slow.last.text).toBe('DATA 31 +512');
  });
});

describe('a first ACK that comes 12 s after the OACK', () => {
  async function late(others: number): Promise<RawClient> {
    const world = await World.start({
      files: FILES,
      limits: { halfOpen: { total: 40, perPrefix: 40, perAddress: 4 } },
    });
    for (let number = 0; number < others; number++) world.client(`10.0.2.${number}`).ask('big');
    const client = world.client();
    client.ask('big', { blksize: 1024 });
    await world.pass(12_000);
    client.ack(0);
    await world.pass(10);
    return client;
  }

  it('finds its transfer', async () => {
    expect((await late(0)).last.text).toBe('DATA 1 +1024');
  });

  it('finds its transfer while less than half of the half-open limit is used', async () => {
    expect((await late(19)).last.text).toBe('DATA 1 +1024');
  });

  it('does not find its transfer beyond that', async () => {
    expect((await late(20)).last.text).toBe('OACK blksize=1024');
  });
});

describe('a device that writes to flash between two blocks', () => {
  /** Stays silent for 75 s, then for two and a half minutes. */
  async function flash(patienceMs?: number): Promise<string[]> {
    const source = {
      open: ({ filename }: { filename: string }) =>
        patienceMs === undefined
          ? ({ kind: 'notMine' } as const)
          : ({ kind: 'renamed', filename, patienceMs } as const),
    };
    const world = await World.start({ files: FILES, source });
    const client = world.client();
    client.ask('big');
    await world.pass(1);
    client.ack(1);
    await world.pass(75_000);
    client.ack(2);
    await world.pass(150_000);
    client.ack(3);
    await world.pass(10);
    return client.texts;
  }

  it('may take 75 s, and has 90 s by default', async () => {
    const texts = await flash();
    expect(texts).toContain('DATA 3 +512');
    expect(texts).not.toContain('DATA 4 +512');
    expect(texts.at(-1)).toBe('ERROR 0 Timed out');
  });

  it('may take as long as its route says', async () => {
    const texts = await flash(300_000);
    expect(texts.at(-1)).toBe('DATA 4 +512');
  });
});

describe('a first reply that was answered just before its place is needed', () => {
  it('keeps its transfer, whether its answer has been read or not', async () => {
    const world = await World.start({ files: FILES, limits: { sessions: 1 } });
    const first = world.client('10.0.1.1');
    first.ask('big', { tsize: 0 });
    await world.pass(2500);
    const other = world.client('10.0.1.2');
    other.ask('small');
    // From here on the server checks each second which transfers hold sessions. At the next check the first reply is
    // over 3 s old.
    await world.pass(999);
    first.ack(0);
    await world.pass(50);
    expect(first.last.text).toBe('DATA 1 +512');
    expect(world.transfers).toEqual([]);
    expect(world.server.stats().ignoredTotal['unanswered']).toBe(0);
  });

  it('keeps no transfer that was not answered, and that is counted', async () => {
    const world = await World.start({ files: FILES, limits: { sessions: 1 } });
    world.client('10.0.1.1').ask('big', { tsize: 0 });
    await world.pass(2500);
    const other = world.client('10.0.1.2');
    other.ask('small');
    await world.pass(1100);
    expect(other.texts).toEqual(['DATA 1 +300']);
    expect(world.server.stats().ignoredTotal['unanswered']).toBe(1);
  });
});
