/** The sender before the first valid ACK, while nothing proves that the request came from the address it names. */
import { expect, test } from 'vitest';
import { ack } from '../support/bytes.ts';
import { sender } from './stage.ts';

const FIVE = 4 * 512 + 100;

test.each([
  [true, 'opening', 3],
  [false, 'data 1', 1],
])('one request draws a fixed number of sends, then the transfer ends (OACK: %s)', (oack, first, sends) => {
  const stage = sender({ size: FIVE, oack });
  const sent = [...stage.start(), ...stage.wait(59_999)];
  expect(sent).toEqual(Array.from({ length: sends }, () => first));
  expect(stage.session.outcome).toBeUndefined();
  expect(stage.wait(1)).toEqual([]);
  expect(stage.session.outcome).toBe('timeout');
  expect(stage.now).toBe(60_000);
  expect(stage.session.tally).toMatchObject({ retransmits: sends - 1, timeouts: sends - 1, blocks: 0 });
});

test('the three sends leave 400 and 800 ms apart, each up to a quarter longer', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  const waits = [stage.next().waited, stage.next().waited];
  expect(waits[0]).toBeGreaterThanOrEqual(400);
  expect(waits[0]).toBeLessThanOrEqual(500);
  expect(waits[1]).toBeGreaterThanOrEqual(800);
  expect(waits[1]).toBeLessThanOrEqual(1000);
});

test('only DATA 1 is sent to an unproven address, also with a window', () => {
  const stage = sender({ size: 100 * 512, windowsize: 8, oack: false });
  expect([...stage.start(), ...stage.wait(60_000)]).toEqual(['data 1']);
});

test('a repeated request draws a reply once the last one is 400 ms old, and not before', () => {
  const stage = sender({ size: FIVE, seed: 3 });
  stage.start();
  const repeat = () => {
    stage.session.onRequestRepeated(stage.now, stage.script);
    return stage.take();
  };
  stage.now = 110;
  expect(repeat()).toEqual([]);
  stage.now = 399;
  expect(repeat()).toEqual([]);
  stage.now = 400;
  expect(repeat()).toEqual(['opening']);
  expect(repeat()).toEqual([]);
  stage.now = 799;
  expect(repeat()).toEqual([]);
  stage.now = 800;
  expect(repeat()).toEqual(['opening']);
});

test('statement 55: a storm of equal requests draws at most one reply per timeout', () => {
  const stage = sender({ size: FIVE });
  const sent = [...stage.start()];
  for (let turn = 0; turn < 500; turn++) {
    sent.push(...stage.wait(10));
    stage.session.onRequestRepeated(stage.now, stage.script);
    sent.push(...stage.take());
  }
  // One reply every 400 ms makes thirteen in five seconds.
  expect(sent.length).toBeLessThanOrEqual(13);
  expect(stage.session.outcome).toBeUndefined();
});

test('a repeated request draws three more sends and adds a minute', () => {
  const stage = sender({ size: FIVE });
  const sent = [...stage.start(), ...stage.wait(9000)];
  expect(sent).toHaveLength(3);
  stage.session.onRequestRepeated(stage.now, stage.script);
  const more = [...stage.take(), ...stage.wait(59_999)];
  expect(more).toEqual(['opening', 'opening', 'opening']);
  expect(stage.session.outcome).toBeUndefined();
  stage.wait(1);
  expect(stage.session.outcome).toBe('timeout');
  expect(stage.now).toBe(69_000);
});

test('a request repeated just after the last allowed send is answered when that send is 400 ms old', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  stage.next();
  stage.next();
  const last = stage.now;
  stage.now += 50;
  stage.session.onRequestRepeated(stage.now, stage.script);
  expect(stage.take()).toEqual([]);
  expect(stage.next().said).toEqual(['opening']);
  expect(stage.now).toBe(last + 400);
});

test('an OACK drawn by a repeated request counts as retransmitted', () => {
  for (const oack of [true, false]) {
    const stage = sender({ size: FIVE, oack });
    stage.start();
    stage.now = 400;
    stage.session.onRequestRepeated(stage.now, stage.script);
    expect(stage.take()).toHaveLength(1);
    // Regression: only DATA used to be counted.
    expect(stage.session.tally).toMatchObject({ retransmits: 1, timeouts: 0 });
  }
});

test('once proven, a repeated request has no effect', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  stage.receive(ack(0));
  stage.now = 5000;
  const { deadline } = stage.session;
  stage.session.onRequestRepeated(stage.now, stage.script);
  expect(stage.take()).toEqual([]);
  expect(stage.session.deadline).toBe(deadline);
});

test('old ACKs neither prove an address nor keep its transfer alive', () => {
  const stage = sender({ size: FIVE, oack: false });
  stage.start();
  for (let turn = 0; turn < 600; turn++) {
    stage.wait(100);
    stage.receive(ack(0));
  }
  expect(stage.session.proven).toBe(false);
  expect(stage.session.outcome).toBe('timeout');
});

test('an address that never answered gets no ERROR', () => {
  const ended = sender({ size: FIVE });
  ended.start();
  expect(ended.wait(20_000).filter((line) => line.startsWith('error'))).toEqual([]);
  const aborted = sender({ size: FIVE });
  aborted.start();
  aborted.session.abort(aborted.script);
  expect(aborted.take()).toEqual([]);
  expect(aborted.session.outcome).toBe('aborted');
});
