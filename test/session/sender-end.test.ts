/** The ends of a sender's transfer, and their outcomes. */
import { expect, test } from 'vitest';
import { ack, error, hex } from '../support/bytes.ts';
import { sender } from './stage.ts';

const FIVE = 4 * 512 + 100;

function proven(plan: Partial<Parameters<typeof sender>[0]> = {}) {
  const stage = sender({ size: FIVE, ...plan });
  stage.start();
  stage.receive(ack(0));
  return stage;
}

test.each([
  ['0 after the OACK (GRUB, iPXE, PXELINUX)', 0, 'closed', 'probe'],
  ['8 after the OACK (EDK2)', 8, 'User aborted the transfer', 'probe'],
  ['4 after the OACK (EDK2, an OACK it cannot use)', 4, 'Malformatted OACK packet', 'clientError'],
  ['3 after the OACK (EDK2, a file that grew)', 3, 'too small', 'clientError'],
])('statement 52: ERROR %s ends the transfer without a reply (RFC 1350 §7)', (_name, code, message, outcome) => {
  const stage = sender({ size: FIVE });
  stage.start();
  expect(stage.receive(error(code, message))).toEqual([]);
  expect(stage.session.outcome).toBe(outcome);
  expect(stage.session.tally).toMatchObject({ errorCode: code, errorText: message });
  expect(stage.wait(60_000)).toEqual([]);
});

test.each([0, 8])('ERROR %i after DATA 1 ends a probe, with or without an OACK', (code) => {
  const without = sender({ size: FIVE, oack: false });
  without.start();
  without.receive(error(code));
  expect(without.session.outcome).toBe('probe');
  const withOack = proven();
  withOack.receive(error(code));
  expect(withOack.session.outcome).toBe('probe');
});

test('ERROR 0 after an acknowledged block is not a probe', () => {
  const stage = proven();
  stage.receive(ack(1), error(0, 'TFTP Aborted'));
  expect(stage.session.outcome).toBe('clientError');
  expect(stage.session.tally).toMatchObject({ blocks: 1, bytes: 512, errorCode: 0, errorText: 'TFTP Aborted' });
});

test('statement 79: an ERROR is not answered, acknowledged or repeated, even one of two bytes (RFC 1350 §7)', () => {
  for (const datagram of [error(3, 'Disk full'), hex('0005'), hex('000500'), hex('0005 ffff')]) {
    const stage = proven();
    stage.receive(ack(1));
    expect(stage.receive(datagram)).toEqual([]);
    expect(stage.session.outcome).toBe('clientError');
    expect(stage.wait(100_000)).toEqual([]);
  }
});

test('statement 76: a client that is silent for 60 s in mid-file gets one ERROR, and the outcome is timeout', () => {
  const stage = proven();
  stage.receive(ack(1));
  expect(stage.wait(59_999).filter((line) => line !== 'data 2')).toEqual([]);
  expect(stage.session.outcome).toBeUndefined();
  expect(stage.wait(1)).toEqual(['error 0 Timed out']);
  expect(stage.session.outcome).toBe('timeout');
});

test('statement 76: within its patience a sender resends a bounded number of times, with growing gaps', () => {
  const stage = proven();
  stage.receive(ack(1));
  stage.wait(60_000);
  // The timeout starts at 400 ms, or at 50 ms because the round trip was 0 ms, and doubles up to 4 s: at most 7
  // timeouts to get there, then 15.
  expect(stage.session.tally.timeouts).toBeLessThanOrEqual(22);
  expect(stage.session.tally.timeouts).toBeGreaterThanOrEqual(14);
});

test('an ACK that advances renews the patience, a stale one does not', () => {
  const stage = proven();
  stage.wait(50_000);
  stage.receive(ack(1));
  stage.wait(50_000);
  expect(stage.session.outcome).toBeUndefined();
  for (let turn = 0; turn < 99; turn++) {
    stage.receive(ack(1), ack(0), ack(77));
    stage.wait(100);
  }
  expect(stage.session.outcome).toBeUndefined();
  stage.wait(100);
  expect(stage.session.outcome).toBe('timeout');
  expect(stage.now).toBe(110_000);
});

test('stale packets delay neither the resends nor the end', () => {
  const times = (bombarded: boolean) => {
    const stage = proven({ windowsize: 4 });
    stage.receive(ack(2));
    const sent: string[] = [];
    for (let ms = 0; ms < 70_000 && stage.session.outcome === undefined; ms++) {
      const said = stage.wait(1);
      if (said.length > 0) sent.push(`${stage.now}: ${said.join()}`);
      // The last ACK is not among these packets: repeated, it would show that the client is still asking.
      if (bombarded && ms % 3 === 0) stage.receive(ack(1), ack(60_000), error(0).with(1, 3));
    }
    return [...sent, `${stage.now}: ${stage.session.outcome}`];
  };
  expect(times(true)).toEqual(times(false));
});

test('a client that repeats its last ACK does not count as having the last block', () => {
  const stage = proven({ windowsize: 4 });
  stage.receive(ack(2));
  for (let second = 0; second < 20; second++) {
    stage.wait(1000);
    stage.receive(ack(2));
  }
  expect(stage.session.outcome).toBeUndefined();
  stage.wait(10_001);
  expect(stage.session.outcome).toBe('completeUnconfirmed');
});

test('a transfer over a slow path goes on for days while it makes progress: 20 MiB at one block in 20 s', () => {
  const stage = sender({ size: 20 * 2 ** 20, blksize: 1024, windowsize: 1 }, 5000);
  stage.start();
  stage.receive(ack(0));
  for (let block = 1; block <= 20 * 1024; block++) {
    stage.wait(20_000);
    stage.receive(ack(block));
  }
  expect(stage.session.outcome).toBeUndefined();
  stage.receive(ack(20 * 1024 + 1));
  expect(stage.session.outcome).toBe('complete');
});

test('a transfer ends after 24 days even if its client goes on', () => {
  const stage = sender({ size: 2 ** 30, blksize: 512, windowsize: 1 }, 5000);
  stage.start();
  stage.receive(ack(0));
  const day = 24 * 3_600_000;
  stage.now += 24 * day;
  stage.receive(ack(1));
  expect(stage.session.outcome).toBeUndefined();
  stage.now += day;
  stage.session.onDeadline(stage.now, stage.script);
  expect(stage.take()).toEqual(['error 0 Timed out']);
  expect(stage.session.outcome).toBe('timeout');
});

test('the first ACK may come 12 s after the OACK, as from firmware that shows a menu first', () => {
  const stage = sender({ size: 1024 });
  stage.start();
  stage.wait(12_000);
  expect(stage.receive(ack(0))).toEqual(['data 1']);
});

test('statement 77: without the final ACK, the last block counts as arrived after five sends and ten seconds', () => {
  const stage = proven();
  for (let block = 1; block <= 4; block++) {
    stage.now += 1;
    stage.receive(ack(block));
  }
  const sentAt = stage.now;
  const said = stage.wait(9999);
  expect(new Set(said)).toEqual(new Set(['data 5']));
  expect(said.length).toBeGreaterThanOrEqual(4);
  expect(stage.session.outcome).toBeUndefined();
  expect(stage.wait(1)).toEqual([]);
  expect(stage.session.outcome).toBe('completeUnconfirmed');
  expect(stage.now).toBe(sentAt + 10_000);
});

test('statement 77: with slow timers the last block must have been sent five times, which takes longer than ten seconds', () => {
  const stage = proven({ timeoutMs: 4000 });
  stage.receive(ack(1), ack(2), ack(3), ack(4));
  const said = stage.wait(15_999);
  expect(said).toEqual(['data 5', 'data 5', 'data 5']);
  expect(stage.session.outcome).toBeUndefined();
  stage.wait(1);
  expect(stage.session.outcome).toBe('completeUnconfirmed');
});

test('statement 77: a late ACK within the ten seconds makes the transfer complete', () => {
  const stage = proven();
  stage.receive(ack(1), ack(2), ack(3), ack(4));
  stage.wait(9000);
  stage.receive(ack(5));
  expect(stage.session.outcome).toBe('complete');
});

test('statement 77: an ACK inside the last window restarts the count of sends', () => {
  const stage = proven({ windowsize: 4, size: 7 * 512 + 1 });
  stage.receive(ack(4));
  stage.wait(9000);
  expect(stage.receive(ack(6))).toEqual(['data 7', 'data 8']);
  stage.wait(9999);
  expect(stage.session.outcome).toBeUndefined();
  stage.wait(1);
  expect(stage.session.outcome).toBe('completeUnconfirmed');
});

test('statement 77: if the patience ends before five sends, the last block still counts as arrived', () => {
  const stage = proven({ timeoutMs: 255_000 });
  stage.receive(ack(1), ack(2), ack(3), ack(4));
  expect(stage.wait(60_000)).toEqual([]);
  expect(stage.session.outcome).toBe('completeUnconfirmed');
});

test('silence before the last block has left is a timeout, not a success', () => {
  const stage = proven();
  stage.receive(ack(1), ack(2), ack(3));
  stage.wait(60_000);
  expect(stage.session.outcome).toBe('timeout');
});

test('statement 78: a closed port is a failure before the last block, and a success after it', () => {
  const early = proven();
  early.receive(ack(1));
  early.session.onUnreachable(early.now);
  // A forged report must not end the transfer at once.
  expect(early.session.outcome).toBeUndefined();
  early.wait(60);
  expect(early.session.outcome).toBe('unreachable');
  const late = proven();
  late.receive(ack(1), ack(2), ack(3), ack(4));
  late.session.onUnreachable(late.now);
  late.wait(60);
  expect(late.session.outcome).toBe('completeUnconfirmed');
  const unproven = sender({ size: 0, oack: false });
  unproven.start();
  unproven.session.onUnreachable(0);
  unproven.wait(400);
  expect(unproven.session.outcome).toBe('unreachable');
});

test('a report of a closed port has no effect once the peer sends again', () => {
  const stage = proven();
  stage.session.onUnreachable(stage.now);
  expect(stage.receive(ack(1))).toEqual(['data 2']);
  stage.wait(500);
  expect(stage.session.outcome).toBeUndefined();
});

test('aborting sends one ERROR to a proven client', () => {
  const stage = proven();
  stage.session.abort(stage.script);
  stage.session.abort(stage.script);
  expect(stage.take()).toEqual(['error 0 Server is stopping']);
  expect(stage.session.outcome).toBe('aborted');
});

test('a superseded transfer ends without a packet', () => {
  const early = proven();
  early.take();
  early.session.supersede();
  expect([early.session.outcome, early.take()]).toEqual(['aborted', []]);
  const late = proven();
  late.receive(ack(1), ack(2), ack(3), ack(4));
  late.session.supersede();
  expect([late.session.outcome, late.take()]).toEqual(['completeUnconfirmed', []]);
});

test('onDeadline called early and often does nothing', () => {
  const stage = proven({ windowsize: 4 });
  const { deadline } = stage.session;
  for (let now = 0; now < Math.min(deadline, 49); now++) stage.session.onDeadline(now, stage.script);
  expect(stage.take()).toEqual([]);
  expect(stage.session.deadline).toBe(deadline);
});
