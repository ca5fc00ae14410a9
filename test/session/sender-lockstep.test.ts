/** The sender block by block: RFC 1350 and RFC 1123 §4.2.3.1. Numbers refer to the list of conformance traps. */
import { expect, test } from 'vitest';
import { ack, bytes, data, error, oack, rrq } from '../support/bytes.ts';
import { dataLines, sender } from './stage.ts';

const FIVE = 4 * 512 + 100;

test('statement 49: after the OACK no DATA leaves before ACK 0 (RFC 2347)', () => {
  const stage = sender({ size: FIVE });
  expect(stage.start()).toEqual(['opening']);
  expect(stage.wait(5000).filter((line) => line !== 'opening')).toEqual([]);
  expect(stage.receive(ack(0))).toEqual(['data 1']);
});

test('statement 50: a lost OACK is sent again, 400 ms later at the earliest (RFC 2347)', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  const { waited, said } = stage.next();
  expect(said).toEqual(['opening']);
  expect(waited).toBeGreaterThanOrEqual(400);
  expect(waited).toBeLessThanOrEqual(500);
  expect(stage.receive(ack(0))).toEqual(['data 1']);
  expect(stage.session.tally).toMatchObject({ retransmits: 1, timeouts: 1 });
});

test('statement 51: a repeated ACK 0 after DATA 1 draws nothing (RFC 1123 §4.2.3.1)', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  stage.receive(ack(0));
  const { deadline } = stage.session;
  stage.now = 20;
  expect(stage.receive(ack(0), ack(0), ack(0))).toEqual([]);
  expect(stage.session.deadline).toBe(deadline);
  expect(stage.session.tally.stale).toBe(3);
});

test.each([1, 2, 5, 32_768, 65_535])('statement 53: before ACK 0, ACK %i draws nothing', (block) => {
  const stage = sender({ size: FIVE });
  stage.start();
  stage.now = 20;
  expect(stage.receive(ack(block))).toEqual([]);
  // A client that has seen the OACK never sends this ACK: the transfer ends, and the ACK is counted.
  expect(stage.session.outcome).toBe('aborted');
  expect(stage.session.tally.impossible).toBe(1);
  expect(stage.receive(ack(0))).toEqual([]);
});

test.each([
  ['with an OACK', true, [1, 2, 40_000, 65_535], ['data 1']],
  ['without options', false, [0, 2, 40_000, 65_535], ['data 2']],
])('where the client may have had the port before, its old ACKs count for nothing: %s', (_, agreed, old, next) => {
  const stage = sender({ size: FIVE, oack: agreed, mayMeetOldAcks: true });
  stage.start();
  stage.now = 20;
  for (const block of old) expect(stage.receive(ack(block))).toEqual([]);
  expect(stage.session.outcome).toBeUndefined();
  expect(stage.session.proven).toBe(false);
  // Then that of what has been sent counts, and no other.
  expect(stage.receive(ack(agreed ? 0 : 1))).toEqual(next);
});

test('an ACK for a block that was never sent has no effect on a proven transfer', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  stage.receive(ack(0));
  expect(stage.receive(ack(2), ack(5), ack(40_000))).toEqual([]);
  expect(stage.session.tally).toMatchObject({ impossible: 0, stale: 3 });
  expect(stage.receive(ack(1))).toEqual(['data 2']);
});

test('statement 54: after a lost ACK 0, the retransmitted OACK draws another (RFC 2347)', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  expect(stage.next().said).toEqual(['opening']);
  expect(stage.receive(ack(0), ack(0))).toEqual(['data 1']);
});

test('without an OACK the transfer starts with DATA 1 (RFC 1350 §4)', () => {
  const stage = sender({ size: FIVE, oack: false });
  expect(stage.start()).toEqual(['data 1']);
  expect(stage.receive(ack(0))).toEqual([]);
  expect(stage.receive(ack(1))).toEqual(['data 2']);
});

test.each([
  ['58: of no bytes', 0, ['1: 0+0']],
  ['60: shorter than a block', 1, ['1: 0+1']],
  ['60: one byte short of a block', 511, ['1: 0+511']],
  ['59: of exactly one block', 512, ['1: 0+512', '2: 512+0']],
  ['59: one byte longer than a block', 513, ['1: 0+512', '2: 512+1']],
  ['59: of exactly three blocks', 1536, ['1: 0+512', '2: 512+512', '3: 1024+512', '4: 1536+0']],
  ['59: one byte short of three blocks', 1535, ['1: 0+512', '2: 512+512', '3: 1024+511']],
])('statement %s: a file ends with a block that is not full (RFC 1350 §6)', (_name, size, parts) => {
  for (const withOack of [true, false]) {
    const stage = sender({ size, oack: withOack });
    stage.start();
    if (withOack) stage.receive(ack(0));
    for (let block = 1; stage.session.outcome === undefined; block++) stage.receive(ack(block));
    expect(stage.script.parts).toEqual(parts);
    expect(stage.session.outcome).toBe('complete');
    expect(stage.session.tally).toMatchObject({ blocks: parts.length, bytes: size, retransmits: 0, stale: 0 });
  }
});

test('statement 67: a duplicate ACK sends nothing and moves no timer (RFC 1123 §4.2.3.1)', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  const sent = [...stage.receive(ack(0))];
  for (let block = 1; block <= 4; block++) {
    sent.push(...stage.receive(ack(block)));
    const { deadline } = stage.session;
    stage.now += 10;
    sent.push(...stage.receive(ack(block), ack(block)));
    expect(stage.session.deadline).toBe(deadline);
  }
  stage.receive(ack(5));
  expect(sent).toEqual(dataLines(1, 5));
  expect(stage.session.outcome).toBe('complete');
  expect(stage.session.tally).toMatchObject({ stale: 8, retransmits: 0 });
});

test('statement 68: an ACK of a block that was not sent yet is ignored (RFC 1350 §2)', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  stage.receive(ack(0), ack(1));
  const { deadline } = stage.session;
  for (const block of [3, 4, 5, 6, 1000, 32_769]) expect(stage.receive(ack(block))).toEqual([]);
  expect(stage.session.deadline).toBe(deadline);
  expect(stage.receive(ack(2))).toEqual(['data 3']);
});

test('statement 69: an old ACK is ignored (RFC 1123 §4.2.3.1)', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  stage.receive(ack(0), ack(1), ack(2), ack(3));
  const { deadline } = stage.session;
  for (const block of [0, 1, 2, 65_535, 40_000]) expect(stage.receive(ack(block))).toEqual([]);
  expect(stage.session.deadline).toBe(deadline);
  expect(stage.session.tally).toMatchObject({ blocks: 3, stale: 5 });
});

test('a lost block or a lost ACK costs one block sent again (RFC 1350 §2)', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  stage.receive(ack(0), ack(1));
  expect(stage.next().said).toEqual(['data 2']);
  expect(stage.receive(ack(2))).toEqual(['data 3']);
  expect(stage.script.parts).toEqual(['1: 0+512', '2: 512+512', '2: 512+512', '3: 1024+512']);
  expect(stage.session.tally).toMatchObject({ retransmits: 1, timeouts: 1, stale: 0 });
});

test('the timer doubles with each timeout, and an ACK that advances resets it (RFC 6298 §5)', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  stage.receive(ack(0));
  stage.now += 100;
  stage.receive(ack(1));
  // After one round trip of 100 ms the timeout is 300 ms, then doubles; each delay is up to a quarter longer.
  for (const ms of [300, 600, 1200, 2400, 4000, 4000]) {
    const { waited, said } = stage.next();
    expect(said).toEqual(['data 2']);
    expect(waited).toBeGreaterThanOrEqual(ms);
    expect(waited).toBeLessThanOrEqual(ms * 1.25);
  }
  stage.receive(ack(2));
  expect(stage.next().waited).toBeLessThanOrEqual(375);
});

test('a round trip is not measured on a block that was sent twice (Karn)', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  stage.receive(ack(0));
  stage.now += 10;
  stage.receive(ack(1));
  // After a round trip of 10 ms the timeout is at its minimum of 50 ms.
  expect(stage.next().said).toEqual(['data 2']);
  stage.now += 45;
  stage.receive(ack(2));
  expect(stage.next().waited).toBeLessThanOrEqual(62);
});

test('a peer that has become slow does not get every block twice until the end of the file', () => {
  // Regression: after the round trip had grown from 1 to 200 ms, every block was resent (2.7 packets per block), so
  // that by Karn's rule no round trip could be measured any more.
  const stage = sender({ size: 100 * 512 });
  stage.start();
  stage.receive(ack(0));
  for (let block = 1; block <= 20; block++) {
    stage.now += 1;
    stage.receive(ack(block));
  }
  const before = stage.session.tally.retransmits;
  for (let block = 21; block <= 100; block++) {
    // The peer handles packets in order: it sends an ACK for each copy, 200 ms after that copy left.
    const copies = 1 + stage.wait(200).length;
    for (let copy = 0; copy < copies; copy++) stage.receive(ack(block));
  }
  expect(before).toBe(0);
  expect(stage.session.tally.retransmits).toBeLessThan(8);
});

test('the sender keeps to an interval agreed by the timeout option (RFC 2349)', () => {
  const stage = sender({ size: FIVE, timeoutMs: 1000 });
  stage.start();
  expect(stage.next()).toEqual({ waited: 1000, said: ['opening'] });
  stage.receive(ack(0));
  stage.now += 3;
  stage.receive(ack(1));
  for (let turn = 0; turn < 4; turn++) expect(stage.next()).toEqual({ waited: 1000, said: ['data 2'] });
});

test('statement 81: DATA, OACK and requests at the port of a transfer are counted and change nothing (RFC 1350 §4)', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  stage.receive(ack(0));
  const { deadline } = stage.session;
  stage.now += 5;
  expect(stage.receive(data(1, 'x'), oack({ blksize: '8' }), rrq('other'))).toEqual([]);
  expect(stage.session.outcome).toBeUndefined();
  expect(stage.session.deadline).toBe(deadline);
  expect(stage.session.tally.stale).toBe(3);
});

test('statement 82: bytes after the block number of an ACK make no difference (msftwindow)', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  stage.receive(ack(0));
  expect(stage.receive(bytes(ack(1), [8]))).toEqual(['data 2']);
});

test('statement 83: a client that pauses for ten seconds gets the rest of the file afterwards', () => {
  const stage = sender({ size: FIVE });
  stage.start();
  stage.receive(ack(0), ack(1));
  expect(new Set(stage.wait(10_000))).toEqual(new Set(['data 2']));
  expect(stage.receive(ack(2))).toEqual(['data 3']);
  stage.receive(ack(3), ack(4), ack(5));
  expect(stage.session.outcome).toBe('complete');
});

test('a finished session sends nothing, whatever arrives', () => {
  const stage = sender({ size: 0 });
  stage.start();
  stage.receive(ack(0), ack(1));
  expect(stage.session.outcome).toBe('complete');
  const tally = { ...stage.session.tally };
  expect(stage.receive(ack(0), ack(1), error(0, 'late'), data(1, ''))).toEqual([]);
  stage.session.onDeadline(10_000_000, stage.script);
  stage.session.onUnreachable(0);
  stage.session.onRequestRepeated(0, stage.script);
  stage.session.abort(stage.script);
  stage.session.supersede();
  expect(stage.take()).toEqual([]);
  expect(stage.session.outcome).toBe('complete');
  expect(stage.session.tally).toEqual(tally);
});
