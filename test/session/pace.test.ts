import { expect, test } from 'vitest';
import { Pace } from '../../src/session/pace.ts';
import { ack } from '../support/bytes.ts';
import { dataLines, sender } from './stage.ts';

test('a transfer starts with bursts of 64 KiB, never more than the window and never less than a block', () => {
  expect(new Pace(64, 1468).burst).toBe(44);
  expect(new Pace(64, 1024).burst).toBe(64);
  expect(new Pace(64, 512).burst).toBe(64);
  expect(new Pace(4, 1468).burst).toBe(4);
  expect(new Pace(64, 65_464).burst).toBe(1);
  expect(new Pace(1, 8).burst).toBe(1);
});

test('loss halves the burst, down to 16 KiB', () => {
  const pace = new Pace(64, 1024);
  const bursts = [pace.burst];
  for (let turn = 0; turn < 4; turn++) {
    pace.shrink();
    bursts.push(pace.burst);
  }
  expect(bursts).toEqual([64, 32, 16, 16, 16]);
});

test('loss never stops a transfer: a burst is at least one block', () => {
  for (const [windowsize, blksize] of [
    [1, 65_464],
    [64, 65_464],
    [64, 17_000],
    [4, 1468],
    [2, 8],
  ] as const) {
    const pace = new Pace(windowsize, blksize);
    for (let turn = 0; turn < 10; turn++) pace.shrink();
    expect(pace.burst).toBeGreaterThanOrEqual(1);
    expect(pace.burst).toBeLessThanOrEqual(windowsize);
  }
  // A window of less than 16 KiB always leaves at once.
  const small = new Pace(4, 1468);
  small.shrink();
  expect(small.burst).toBe(4);
});

test('the burst grows back with each window that arrives whole, up to the window', () => {
  const pace = new Pace(64, 1024);
  for (let turn = 0; turn < 3; turn++) pace.shrink();
  const bursts = [];
  for (let turn = 0; turn < 7; turn++) {
    pace.grow();
    bursts.push(pace.burst);
  }
  expect(bursts).toEqual([25, 34, 43, 52, 61, 64, 64]);
});

test('a window leaves in bursts a millisecond apart', () => {
  const stage = sender({ size: 1468 * 300, blksize: 1468, windowsize: 64 });
  stage.start();
  expect(stage.receive(ack(0))).toEqual(dataLines(1, 44));
  expect(stage.session.deadline).toBe(1);
  expect(stage.wait(0)).toEqual([]);
  expect(stage.next()).toEqual({ waited: 1, said: dataLines(45, 64) });
  expect(stage.wait(10)).toEqual([]);
});

test('the ACK of an OACK does not count as a window: the first burst is 64 KiB', () => {
  const stage = sender({ size: 1024 * 500, blksize: 1024, windowsize: 128 });
  stage.start();
  // 64 KiB are 64 blocks. Regression: this ACK used to count as a whole window, and 81 blocks left at once.
  expect(stage.receive(ack(0))).toEqual(dataLines(1, 64));
});

test('loss halves the burst, and windows that arrive whole let it grow again', () => {
  const stage = sender({ size: 1024 * 2000, blksize: 1024, windowsize: 64 });
  stage.start();
  stage.receive(ack(0));
  // Block 11 was lost.
  expect(stage.receive(ack(10))).toEqual(dataLines(11, 42));
  expect(stage.wait(1)).toEqual(dataLines(43, 74));
  // This window was restarted, so its arrival proves nothing about the burst.
  expect(stage.receive(ack(74))).toEqual(dataLines(75, 106));
  stage.wait(1);
  expect(stage.receive(ack(138))).toEqual(dataLines(139, 179));
});

test('a window that continued after a needless restart does not change the burst', () => {
  const stage = sender({ size: 1024 * 2000, blksize: 1024, windowsize: 64 });
  stage.start();
  stage.receive(ack(0), ack(10));
  stage.wait(1);
  stage.take();
  // The whole first window had arrived: blocks 65 to 74 and their ACK are on their way.
  expect(stage.receive(ack(64))).toEqual(dataLines(75, 90));
  stage.wait(10);
  expect(stage.receive(ack(128))).toEqual(dataLines(129, 144));
});

test('a timeout halves the burst as well', () => {
  const stage = sender({ size: 1024 * 2000, blksize: 1024, windowsize: 64 });
  stage.start();
  stage.receive(ack(0));
  expect(stage.next().said).toEqual(['data 1']);
  expect(stage.receive(ack(64))).toEqual(dataLines(65, 96));
});

test('an ACK between two bursts moves the window at once', () => {
  const stage = sender({ size: 1468 * 300, blksize: 1468, windowsize: 64 });
  stage.start();
  stage.receive(ack(0));
  expect(stage.receive(ack(20))).toEqual(dataLines(21, 42));
  expect(stage.wait(1)).toEqual(dataLines(43, 64));
  expect(stage.wait(1)).toEqual(dataLines(65, 84));
  expect(stage.wait(10)).toEqual([]);
});

test('after a late timer in the middle of a window the rest is sent, and it does not count as loss', () => {
  const stage = sender({ size: 1468 * 300, blksize: 1468, windowsize: 64 });
  stage.start();
  stage.receive(ack(0));
  // The thread stalled for longer than the retransmission timeout. Regression: the rest of the window used to be
  // dropped.
  stage.now = 700;
  stage.session.onDeadline(stage.now, stage.script);
  expect(stage.take()).toEqual(dataLines(45, 64));
  expect(stage.session.tally).toMatchObject({ timeouts: 0, retransmits: 0 });
});
