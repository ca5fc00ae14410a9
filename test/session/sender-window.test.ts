/** The sender with a window: RFC 7440. Numbers refer to the list of conformance traps. */
import { expect, test } from 'vitest';
import { ack } from '../support/bytes.ts';
import { type Stage, dataLines, sender } from './stage.ts';

const TWENTY = 19 * 512 + 100;

function running(windowsize: number, size = TWENTY): Stage<ReturnType<typeof sender>['session']> {
  const stage = sender({ size, windowsize });
  stage.start();
  stage.receive(ack(0));
  stage.take();
  return stage;
}

test('a window is sent at once, and the next when its last block is acknowledged (RFC 7440 §4)', () => {
  const stage = sender({ size: TWENTY, windowsize: 8 });
  stage.start();
  expect(stage.receive(ack(0))).toEqual(dataLines(1, 8));
  expect(stage.receive(ack(8))).toEqual(dataLines(9, 16));
  expect(stage.receive(ack(16))).toEqual(dataLines(17, 20));
  expect(stage.receive(ack(20))).toEqual([]);
  expect(stage.session.outcome).toBe('complete');
  expect(stage.session.tally).toMatchObject({ blocks: 20, bytes: TWENTY, retransmits: 0, stale: 0 });
});

test('statement 45: a windowsize of 1 that was agreed on is lockstep to the byte (RFC 7440 §4)', () => {
  // The plans differ only in `oack`: after the opening both must be the same transfer.
  const agreed = sender({ size: TWENTY, windowsize: 1, oack: true });
  const never = sender({ size: TWENTY, windowsize: 1, oack: false });
  expect(agreed.start()).toEqual(['opening']);
  expect(agreed.receive(ack(0))).toEqual(never.start());
  for (const block of [1, 1, 2, 9, 3, 4, 3, 5, 6, 0, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]) {
    agreed.now += 3;
    never.now += 3;
    expect(agreed.receive(ack(block))).toEqual(never.receive(ack(block)));
    if (block === 5 || block === 20) continue;
    expect(agreed.next().said).toEqual(never.next().said);
  }
  expect(agreed.script.parts).toEqual(never.script.parts);
  expect([agreed.session.outcome, never.session.outcome]).toEqual(['complete', 'complete']);
});

test.each([
  ['61: an empty file', 0, 1, ['1: 0+0']],
  ['61: less than a block', 100, 1, ['1: 0+100']],
  ['61: exactly one block', 512, 2, ['1: 0+512', '2: 512+0']],
  ['61: one byte short of a window', 4 * 512 - 1, 4, ['1: 0+512', '2: 512+512', '3: 1024+512', '4: 1536+511']],
  [
    '61: exactly a window, so that the empty block is alone in the next',
    4 * 512,
    5,
    ['1: 0+512', '2: 512+512', '3: 1024+512', '4: 1536+512', '5: 2048+0'],
  ],
  [
    '61: one byte more than a window',
    4 * 512 + 1,
    5,
    ['1: 0+512', '2: 512+512', '3: 1024+512', '4: 1536+512', '5: 2048+1'],
  ],
])('statement %s, at windowsize 4 (RFC 7440 §4)', (_name, size, last, parts) => {
  const stage = running(4, size);
  for (let block = 4; block < last; block += 4) stage.receive(ack(block));
  stage.receive(ack(last));
  expect(stage.script.parts).toEqual(parts);
  expect(stage.session.outcome).toBe('complete');
  expect(stage.session.tally).toMatchObject({ blocks: last, bytes: size });
});

test('statement 70: after an ACK in mid-window a full window follows, starting with the next block (RFC 7440 §4)', () => {
  const stage = running(8);
  expect(stage.receive(ack(3))).toEqual(dataLines(4, 11));
  expect(stage.session.tally).toMatchObject({ blocks: 3, retransmits: 5 });
});

test('statement 71: EDK2 acknowledges each unexpected block: W - 1 equal ACKs restart the window once', () => {
  for (const windowsize of [4, 16, 64]) {
    const stage = running(windowsize, 1000 * 512);
    // Block 2 was lost. EDK2 acknowledges block 1 again for each block after it.
    const repeats = Array.from({ length: windowsize - 1 }, () => ack(1));
    // The loss has halved the burst, so the window leaves in two bursts.
    expect([...stage.receive(...repeats), ...stage.wait(1)]).toEqual(dataLines(2, windowsize + 1));
    expect(stage.session.tally.stale).toBe(windowsize - 2);
    const said = [...stage.receive(ack(windowsize + 1)), ...stage.wait(1)];
    expect(said).toEqual(dataLines(windowsize + 2, 2 * windowsize + 1));
  }
});

test('statement 71: late repeats in the restarted window change nothing and move no timer', () => {
  const stage = running(4);
  stage.receive(ack(1));
  const { deadline } = stage.session;
  stage.now += 30;
  expect(stage.receive(ack(1), ack(1), ack(0))).toEqual([]);
  expect(stage.session.deadline).toBe(deadline);
});

test('statement 72: a loss in the last window is retransmitted, also that of the final short block', () => {
  const stage = running(8);
  stage.receive(ack(8), ack(16));
  stage.take();
  // Blocks 17 to 20 have left; block 18 was lost.
  expect(stage.receive(ack(17))).toEqual(dataLines(18, 20));
  // Now the final block was lost. No later block can draw an ACK, so the timer resends.
  expect(stage.next().said).toEqual(['data 18']);
  expect(stage.receive(ack(19))).toEqual(['data 20']);
  expect(stage.script.parts.at(-1)).toBe('20: 9728+100');
  stage.receive(ack(20));
  expect(stage.session.outcome).toBe('complete');
});

test('statement 73: a timeout resends the first unacknowledged block and no other', () => {
  const stage = running(8);
  stage.receive(ack(8));
  for (let turn = 0; turn < 4; turn++) expect(stage.next().said).toEqual(['data 9']);
  expect(stage.receive(ack(9))).toEqual(dataLines(10, 17));
});

test('statement 73: after a timeout an ACK of the whole window starts the next window', () => {
  const stage = running(8);
  stage.next();
  expect(stage.receive(ack(8))).toEqual(dataLines(9, 16));
});

test('statement 68: an ACK past the window is ignored', () => {
  const stage = running(8);
  expect(stage.receive(ack(9), ack(16), ack(20))).toEqual([]);
  expect(stage.receive(ack(8))).toEqual(dataLines(9, 16));
});

test('an ACK of blocks that were sent before the restart counts, although they are about to be sent again', () => {
  const stage = sender({ size: 1000 * 1024, blksize: 1024, windowsize: 64 });
  stage.start();
  stage.receive(ack(0));
  // The restarted window leaves in bursts. Before its second burst, the ACK for nearly all of the old window arrives.
  expect(stage.receive(ack(2))).toEqual(dataLines(3, 34));
  expect(stage.receive(ack(60))).toEqual(dataLines(61, 76));
});

test('at most one window is in flight, whatever ACKs arrive', () => {
  for (const windowsize of [1, 2, 5, 8]) {
    const stage = running(windowsize);
    const outside: string[] = [];
    let base = 0;
    for (let turn = 0; turn < 400 && stage.session.outcome === undefined; turn++) {
      // In every third turn time passes; in the others an ACK arrives: new, old, mid-window, or of a block not yet
      // sent.
      const block = Math.max(0, base + [1, 0, -1, 3, windowsize, -2, windowsize + 1][turn % 7]!);
      const said = turn % 3 === 0 ? stage.next().said : stage.receive(ack(block));
      base = Math.max(base, stage.session.tally.blocks);
      for (const line of said) {
        const sent = Number(/^data (\d+)$/.exec(line)?.[1] ?? 0);
        if (sent > 0 && (sent <= base || sent > base + windowsize)) outside.push(`${line} with ${base} acknowledged`);
      }
    }
    expect(outside).toEqual([]);
    expect(stage.session.outcome).toBe('complete');
  }
});

test('statement 65: a window crosses the wrap, and ACKs of 65535 and 0 are exact', () => {
  const stage = sender({ size: 70_000 * 8, blksize: 8, windowsize: 4 });
  stage.start();
  stage.receive(ack(0));
  for (let block = 4; block <= 65_532; block += 4) stage.receive(ack(block));
  stage.take();
  // Blocks 65533 to 65536 have left.
  expect(stage.receive(ack(65_535))).toEqual(dataLines(65_536, 65_539));
  expect(stage.receive(ack(65_535), ack(65_534), ack(65_000))).toEqual([]);
  // Block 65536, wire number 0, and the blocks after it were already on their way when the window was restarted.
  expect(stage.receive(ack(0))).toEqual(['data 65540']);
  expect(stage.receive(ack(0), ack(65_535))).toEqual([]);
  expect(stage.receive(ack(4))).toEqual(dataLines(65_541, 65_544));
});

test('statement 65: with rollover 1 block 65536 has number 1, and only the block before the first has number 0', () => {
  const stage = sender({ size: 70_000 * 8, blksize: 8, windowsize: 4, rollover: 1 });
  stage.start();
  stage.receive(ack(0));
  for (let block = 4; block <= 65_532; block += 4) stage.receive(ack(block));
  stage.take();
  expect(stage.receive(ack(0))).toEqual([]);
  expect(stage.receive(ack(1))).toEqual(dataLines(65_537, 65_540));
  expect(stage.receive(ack(5))).toEqual(dataLines(65_541, 65_544));
});
