/**
 * A sender whose content is still being read: the blocks it sends, the bytes it waits for, and events that never make
 * it resend.
 */
import { describe, expect, it } from 'vitest';
import { blockCount } from '../../src/protocol/block.ts';
import { Jitter } from '../../src/session/jitter.ts';
import type { Receiver } from '../../src/session/receiver.ts';
import type { Sender } from '../../src/session/sender.ts';
import { ack, data, oack } from '../support/bytes.ts';
import { dataLines, receiver, sender, type Stage } from './stage.ts';

const arrive = (stage: Stage<Sender>, block: number, size?: number): string[] => {
  stage.session.onArrival(block, size, stage.now, stage.script);
  return stage.take();
};

describe('a sender whose file is still being read', () => {
  it('sends the OACK before any block has arrived, and each block once it has arrived', () => {
    const stage = sender({ size: 2048, arrived: 0 });
    expect(stage.start()).toEqual(['opening']);
    expect(stage.receive(ack(0))).toEqual([]);
    expect(stage.session.waiting).toBe(true);
    stage.wait(3000);
    expect(arrive(stage, 1)).toEqual(['data 1']);
    expect(stage.session.waiting).toBe(false);
    expect(stage.receive(ack(1))).toEqual([]);
    expect(arrive(stage, 5)).toEqual(['data 2']);
    for (const block of [2, 3, 4]) expect(stage.receive(ack(block))).toEqual([`data ${block + 1}`]);
    stage.receive(ack(5));
    expect(stage.session.outcome).toBe('complete');
    expect(stage.session.tally).toMatchObject({ retransmits: 0, timeouts: 0, bytes: 2048 });
  });

  it('retransmits nothing because the disk is slow, whatever the client repeats', () => {
    const stage = sender({ size: 5120, arrived: 2 });
    stage.start();
    stage.receive(ack(0));
    stage.receive(ack(1));
    expect(stage.receive(ack(2))).toEqual([]);
    for (let asked = 0; asked < 5; asked++) {
      expect(stage.wait(4000)).toEqual([]);
      expect(stage.receive(ack(2))).toEqual([]);
    }
    expect(arrive(stage, 3)).toEqual(['data 3']);
    expect(stage.session.tally).toMatchObject({ retransmits: 0, timeouts: 0, stale: 5 });
  });

  it('retransmits an unacknowledged block, also while a later one is being read', () => {
    const stage = sender({ size: 5120, arrived: 1 });
    stage.start();
    stage.receive(ack(0));
    expect(stage.wait(600)).toEqual(['data 1']);
    expect(stage.session.waiting).toBe(false);
  });

  it('sends a window when all of it has arrived', () => {
    const stage = sender({ size: 512 * 20, windowsize: 8, arrived: 3 });
    stage.start();
    expect(stage.receive(ack(0))).toEqual([]);
    expect(arrive(stage, 7)).toEqual([]);
    stage.wait(5000);
    expect(stage.receive(ack(0))).toEqual([]);
    expect(arrive(stage, 10)).toEqual(dataLines(1, 8));
    expect(stage.receive(ack(8))).toEqual([]);
    expect(arrive(stage, 16)).toEqual(dataLines(9, 16));
    expect(stage.session.tally.retransmits).toBe(0);
  });

  it('retransmits the lost blocks of a window at once, although the next window is still being read', () => {
    const stage = sender({ size: 512 * 20, windowsize: 8, arrived: 8 });
    stage.start();
    stage.receive(ack(0));
    expect(stage.receive(ack(5))).toEqual(dataLines(6, 8));
    expect(arrive(stage, 13)).toEqual(dataLines(9, 13));
  });

  it('does not give up a client that waits for the disk while content keeps arriving', () => {
    const stage = sender({ size: 512 * 20, arrived: 0, patienceMs: 60_000 });
    stage.start();
    stage.receive(ack(0));
    for (let block = 1; block <= 5; block++) {
      stage.wait(59_000);
      expect(arrive(stage, block)).toEqual([`data ${block}`]);
      expect(stage.receive(ack(block))).toEqual([]);
    }
    expect(stage.toEnd()).toBe(60_000);
    expect(stage.session.outcome).toBe('timeout');
  });

  it('gives up a client that acknowledges nothing, however much content arrives', () => {
    const stage = sender({ size: 512 * 200, arrived: 1, patienceMs: 10_000 });
    stage.start();
    stage.receive(ack(0));
    for (let block = 2; block < 200 && stage.session.outcome === undefined; block++) {
      arrive(stage, block);
      stage.wait(1000);
    }
    expect(stage.session.outcome).toBe('timeout');
    expect(stage.now).toBe(10_000);
  });

  it.each([
    [0, 1],
    [511, 1],
    [512, 2],
    [1300, 3],
  ])('learns at its end that it has %i bytes, in %i blocks', (size, blocks) => {
    const stage = sender({ size: 4096, arrived: 0 });
    stage.start();
    stage.receive(ack(0));
    const whole = Math.floor(size / 512);
    if (whole > 0) arrive(stage, whole);
    for (let block = 1; block <= whole; block++) stage.receive(ack(block));
    stage.script.parts = [];
    expect(arrive(stage, blocks, size)).toEqual([`data ${blocks}`]);
    expect(stage.script.parts).toEqual([`${blocks}: ${whole * 512}+${size - whole * 512}`]);
    stage.receive(ack(blocks));
    expect(stage.session.outcome).toBe('complete');
    expect(stage.session.tally).toMatchObject({ blocks, bytes: size });
  });
});

interface Told {
  readonly seed: number;
  readonly wrong: readonly string[];
  /** Number of blocks sent again although nothing was lost. */
  readonly needless: number;
  readonly outcome: string | undefined;
  readonly kept: number;
}

/** A download over a network that loses and delays packets, from a file that is read at varying speed. */
function simulate(seed: number): Told & { readonly size: number } {
  const random = new Jitter(seed);
  const windowsize = 1 + random.next(9);
  const loss = random.next(2) === 0 ? 0 : random.next(15);
  const pause = [5, 50, 700, 3000][random.next(4)]!;
  const size = random.next(30_000);
  const blocks = blockCount(size, 512);
  const plan = { size: random.next(2) === 0 ? size : 2 * size + 700, windowsize, arrived: 0, seed };
  const server = sender(plan);
  const client = receiver({ wish: { windowsize }, seed, patienceMs: 600_000 });
  const due: { at: number; run: () => void }[] = [];
  const wrong: string[] = [];
  const sent = new Set<number>();
  let [now, arrived, needless, kept, lastAt] = [0, 0, 0, 0, 0];
  const carry = (to: Stage<Sender> | Stage<Receiver>, bytes: Uint8Array): void => {
    if (random.next(100) < loss) return;
    lastAt = Math.max(lastAt, now + 1 + random.next(3));
    due.push({ at: lastAt, run: () => said(to, to.receive(bytes)) });
  };
  const said = (from: Stage<Sender> | Stage<Receiver>, lines: readonly string[]): void => {
    const { parts } = from.script;
    from.script.parts = [];
    for (const line of lines) {
      const [what, number] = line.split(' ');
      if (from === client) {
        if (what === 'ack') carry(server, ack(Number(number)));
        if (what === 'keep' && Number(number) !== kept++ * 512) wrong.push(line);
      } else if (what === 'opening') carry(client, oack({ windowsize: String(windowsize) }));
      else if (what === 'data') {
        const [block, at, length] = parts.shift()!.split(/: |\+/).map(Number) as [number, number, number];
        if (block > arrived || at !== (block - 1) * 512 || length !== Math.min(512, size - at)) wrong.push(line);
        if (sent.has(block) && loss === 0) needless++;
        sent.add(block);
        carry(client, data(block, new Uint8Array(length)));
      }
    }
  };
  const read = (): void => {
    arrived = Math.min(blocks, arrived + 1 + random.next(12));
    server.session.onArrival(arrived, arrived === blocks ? size : undefined, now, server.script);
    said(server, server.take());
    if (arrived < blocks) due.push({ at: now + 1 + random.next(pause), run: read });
  };
  client.start();
  said(server, server.start());
  due.push({ at: 1 + random.next(pause), run: read });
  while (now < 3_600_000 && server.session.outcome === undefined) {
    const wakes = [server, client].filter(({ session }) => session.outcome === undefined);
    now = Math.max(now, Math.min(...due.map(({ at }) => at), ...wakes.map(({ session }) => session.deadline)));
    server.now = client.now = now;
    for (const event of due.filter(({ at }) => at <= now)) {
      due.splice(due.indexOf(event), 1);
      event.run();
    }
    for (const stage of [server, client]) {
      if (stage.session.outcome !== undefined || stage.session.deadline > now) continue;
      stage.session.onDeadline(now, stage.script);
      said(stage, stage.take());
    }
  }
  return { seed, size, wrong, needless, kept, outcome: server.session.outcome };
}

it('with any arrivals and any losses, the client gets each block, and none twice because the disk was slow', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const { size, ...told } = simulate(seed);
    const whole: Told = { seed, wrong: [], needless: 0, kept: blockCount(size, 512), outcome: 'complete' };
    expect({ ...told, outcome: told.outcome?.slice(0, 8) }).toEqual(whole);
  }
});
