/**
 * A receiver with the manners of firmware: fixed schedules, its own reactions to unexpected blocks, deliberate ends.
 */
import { expect, test } from 'vitest';
import { type Manners, patienceOf, type Schedule, waitAfter } from '../../src/session/manners.ts';
import type { ReceiverPlan } from '../../src/session/receiver.ts';
import { ack, data, error, oack } from '../support/bytes.ts';
import { receiver } from './stage.ts';

const FULL = 'x'.repeat(512);
const DOUBLING: Schedule = { firstMs: 250, factor: 2, addMs: 0, ceilingMs: 8000, sends: 6 };
const MANNERS: Manners = {
  request: DOUBLING,
  data: { firstMs: 1000, factor: 1, addMs: 100, ceilingMs: 10_000, sends: 3 },
  repeatsAck: true,
  unexpected: 'once',
  needsOack: false,
};

function firmware(manners: Partial<Manners> = {}, plan: Partial<ReceiverPlan> = {}) {
  return receiver({ lingerMs: 0, manners: { ...MANNERS, ...manners }, ...plan });
}

test('a schedule doubles and adds up to its ceiling, and its waits sum up to the patience', () => {
  expect([1, 2, 3, 4, 5, 6].map((send) => waitAfter(DOUBLING, send))).toEqual([250, 500, 1000, 2000, 4000, 8000]);
  expect(patienceOf(DOUBLING)).toBe(15_750);
  expect([1, 2, 3].map((send) => waitAfter(MANNERS.data, send))).toEqual([1000, 1100, 1200]);
  const capped = { ...DOUBLING, ceilingMs: 700 };
  expect([1, 2, 3, 4].map((send) => waitAfter(capped, send))).toEqual([250, 500, 700, 700]);
});

test('a client repeats its request by its schedule, and gives up after the last wait', () => {
  const stage = firmware();
  expect(stage.start()).toEqual(['opening']);
  const sends: number[] = [];
  for (let ms = 1; ms <= 20_000 && stage.session.outcome === undefined; ms++) {
    if (stage.wait(1).length > 0) sends.push(stage.now);
  }
  expect(sends).toEqual([250, 750, 1750, 3750, 7750]);
  expect(stage.session.outcome).toBe('timeout');
  expect(stage.now).toBe(15_750);
  expect(stage.session.answered).toBe(false);
});

test('in mid-file a client repeats its ACK by the data schedule, which each new block restarts', () => {
  const stage = firmware();
  stage.start();
  stage.receive(data(1, FULL));
  expect(stage.wait(999)).toEqual([]);
  expect(stage.wait(1)).toEqual(['ack 1']);
  stage.receive(data(2, FULL));
  expect(stage.wait(1000)).toEqual(['ack 2']);
  expect(stage.wait(1100)).toEqual(['ack 2']);
  expect(stage.wait(1200)).toEqual([]);
  expect(stage.session.outcome).toBe('timeout');
  expect(stage.session.answered).toBe(true);
});

test('a client that never repeats an ACK waits in silence for the server (GRUB)', () => {
  const stage = firmware({ repeatsAck: false });
  stage.start();
  stage.receive(data(1, FULL));
  expect(stage.wait(3299)).toEqual([]);
  expect(stage.session.outcome).toBeUndefined();
  stage.receive(data(2, FULL));
  expect(stage.wait(3300)).toEqual([]);
  expect(stage.session.outcome).toBe('timeout');
});

test('a client gives up a file that takes longer than its limit, although blocks arrive (Raspberry Pi)', () => {
  const stage = firmware({ fileMs: 2500 });
  stage.start();
  for (let block = 1; stage.session.outcome === undefined; block++) {
    stage.receive(data(block, FULL));
    stage.wait(500);
  }
  expect(stage.now).toBe(2500);
  expect(stage.session.outcome).toBe('timeout');
});

test.each([
  ['once', [], ['ack 2'], ['ack 2']],
  ['always', ['ack 2'], ['ack 2'], ['ack 2']],
  ['old', ['ack 2'], [], ['ack 2']],
  ['ignore', [], [], []],
] as const)('unexpected: %s', (unexpected, again, gap, lateCopy) => {
  const stage = firmware({ unexpected });
  stage.start();
  stage.receive(oack({}));
  stage.receive(data(1, FULL), data(2, FULL));
  expect(stage.receive(data(2, FULL)), 'a copy at once').toEqual(again);
  stage.wait(30);
  expect(stage.receive(data(4, FULL)), 'a gap').toEqual(gap);
  stage.wait(30);
  expect(stage.receive(data(1, FULL)), 'an old block').toEqual(lateCopy);
  expect(stage.session.copies).toBe(2);
  expect(stage.receive(data(3, 'end'))).toEqual(['keep 1024', 'ack 3']);
});

test('a Raspberry Pi sends nothing more after an old block, until it gives up', () => {
  const stage = firmware({ unexpected: 'hang', fileMs: 30_000 });
  stage.start();
  stage.receive(data(1, FULL), data(1, FULL));
  expect(stage.wait(3300)).toEqual([]);
  expect(stage.session.outcome).toBe('timeout');
});

test('a client that needs an OACK ignores DATA (GRUB, the probe of EDK2)', () => {
  const stage = firmware({ needsOack: true }, { wish: { blksize: 1024 } });
  stage.start();
  expect(stage.receive(data(1, FULL))).toEqual([]);
  expect(stage.session.outcome).toBe('refused');
  expect(stage.session.violation).toContain('needs an OACK');
});

test('a probe ends with its ERROR right after the OACK, and is no failure', () => {
  const stop = { afterBlocks: 0, code: 8, message: 'User aborted the transfer' } as const;
  const stage = firmware({}, { wish: { tsize: true }, stop });
  stage.start();
  expect(stage.receive(oack({ tsize: '9000' }))).toEqual(['error 8 User aborted the transfer']);
  expect(stage.session).toMatchObject({ outcome: 'probe', tsize: 9000 });
});

test('a client closes a file early, with an ERROR or without; a file that ends before is complete', () => {
  const closing = firmware({}, { stop: { afterBlocks: 2, code: 0, message: 'closed' } });
  closing.start();
  closing.receive(data(1, FULL));
  expect(closing.receive(data(2, FULL))).toEqual(['keep 512', 'error 0 closed']);
  expect(closing.session.outcome).toBe('probe');
  const dying = firmware({}, { stop: { afterBlocks: 1, code: 0 } });
  dying.start();
  expect(dying.receive(data(1, FULL))).toEqual(['keep 0']);
  expect(dying.session.outcome).toBe('probe');
  const short = firmware({}, { stop: { afterBlocks: 2, code: 0, message: 'closed' } });
  short.start();
  expect(short.receive(data(1, 'end'))).toEqual(['keep 0', 'ack 1']);
  expect(short.session.outcome).toBe('complete');
});

test('a crawling client waits before each ACK', () => {
  const stage = firmware({}, { ackDelayMs: 100 });
  stage.start();
  expect(stage.receive(data(1, FULL))).toEqual(['keep 0']);
  expect(stage.wait(99)).toEqual([]);
  expect(stage.wait(1)).toEqual(['ack 1']);
  stage.receive(data(2, FULL));
  expect(stage.wait(100)).toEqual(['ack 2']);
  // The last ACK is not delayed, because the session ends with it.
  expect(stage.receive(data(3, 'end'))).toEqual(['keep 1024', 'ack 3']);
});

test('a doubled ACK shows whether the server acts on the second (RFC 1123 §4.2.3.1)', () => {
  const right = firmware({}, { doubledAck: 1 });
  right.start();
  expect(right.receive(data(1, FULL))).toEqual(['keep 0', 'ack 1', 'ack 1']);
  right.receive(data(2, FULL));
  right.wait(500);
  // A block this late is a resend by the server's timer.
  right.receive(data(2, FULL), data(3, 'end'));
  expect([...right.session.breaches]).toEqual([]);
  const wrong = firmware({}, { doubledAck: 1 });
  wrong.start();
  wrong.receive(data(1, FULL), data(2, FULL), data(2, FULL), data(3, 'end'));
  expect([...wrong.session.breaches]).toEqual(['acts-on-duplicate-ack']);
});

test('with windows the first ACK from that block on is doubled, and every copy in the next window counts', () => {
  const stage = firmware({}, { wish: { windowsize: 4 }, doubledAck: 3 });
  stage.start();
  stage.receive(oack({ windowsize: '4' }));
  expect(stage.receive(data(1, FULL), data(2, FULL), data(3, FULL))).toEqual(['keep 0', 'keep 512', 'keep 1024']);
  expect(stage.receive(data(4, FULL))).toEqual(['keep 1536', 'ack 4', 'ack 4']);
  stage.receive(data(5, FULL), data(6, FULL), data(6, FULL));
  expect([...stage.session.breaches]).toEqual(['acts-on-duplicate-ack']);
});

test('copies that follow a gap are not blamed on the duplicate ACK (RFC 7440 §4)', () => {
  const stage = firmware({ unexpected: 'always' }, { wish: { windowsize: 4 }, doubledAck: 3 });
  stage.start();
  stage.receive(oack({ windowsize: '4' }));
  const blocks = [1, 2, 3, 4].map((block) => data(block, FULL));
  expect(stage.receive(...blocks).slice(-2)).toEqual(['ack 4', 'ack 4']);
  // Block 7 has overtaken block 6. The ACK of block 5 makes the server restart after it, so block 6 arrives twice.
  expect(stage.receive(data(5, FULL), data(7, FULL))).toEqual(['keep 2048', 'ack 5']);
  stage.receive(data(6, FULL), data(6, FULL), data(7, FULL));
  expect([...stage.session.breaches]).toEqual([]);
});

test('no ACK is doubled after a block out of order, because copies would prove nothing', () => {
  const stage = firmware({}, { wish: { windowsize: 2 }, doubledAck: 3 });
  stage.start();
  stage.receive(oack({ windowsize: '2' }));
  expect(stage.receive(data(2, FULL), data(1, FULL), data(2, FULL))).toEqual(['keep 0', 'keep 512', 'ack 2']);
  expect(stage.receive(data(3, FULL), data(4, FULL))).toEqual(['keep 1024', 'keep 1536', 'ack 4']);
});

test('a client that reads late takes a copy beside the original for a resend by a timer', () => {
  const stage = firmware({}, { doubledAck: 1 });
  stage.start();
  stage.receive(data(1, FULL));
  stage.wait(60);
  stage.receive(data(2, FULL), data(2, FULL), data(3, 'end'));
  expect([...stage.session.breaches]).toEqual([]);
});

test('blocks beyond the window and a false tsize are noticed (RFC 7440 §4, RFC 2349)', () => {
  const stage = firmware({}, { wish: { windowsize: 2, tsize: true } });
  stage.start();
  stage.receive(oack({ windowsize: '2', tsize: '9999' }));
  stage.receive(data(1, FULL), data(3, FULL));
  expect([...stage.session.breaches]).toEqual(['window-exceeded']);
  stage.receive(data(2, FULL), data(3, 'end'));
  expect([...stage.session.breaches]).toEqual(['window-exceeded', 'tsize-wrong']);
});

test('a client accepts the timeout that it asked for, and no other (RFC 2349)', () => {
  const granted = firmware({}, { wish: { timeout: 5 } });
  granted.start();
  expect(granted.receive(oack({ timeout: '5' }))).toEqual(['ack 0']);
  expect(granted.session.settled).toMatchObject({ timeoutMs: 5000 });
  const other = firmware({}, { wish: { timeout: 5 } });
  other.start();
  expect(other.receive(oack({ timeout: '4' }))).toEqual(['error 8 Bad option acknowledgement']);
  expect(other.session.violation).toBe('timeout 5 was asked for, 4 acknowledged');
});

test('an ERROR answers a request, an ACK does not', () => {
  const stage = firmware();
  stage.start();
  expect(stage.receive(ack(1))).toEqual([]);
  expect(stage.receive(error(1, 'File not found'))).toEqual([]);
  expect(stage.session.outcome).toBe('refused');
});
