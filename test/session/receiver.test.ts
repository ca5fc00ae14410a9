/** The receiving end: RFC 1350, 2347, 7440. */
import { expect, test } from 'vitest';
import { ack, data, error, oack, rrq } from '../support/bytes.ts';
import { type Stage, receiver } from './stage.ts';

const FULL = 'x'.repeat(512);
const WISH = { blksize: 512, windowsize: 4, tsize: true };

/** A receiver that has got an OACK for windows of four blocks. */
function windowed(): Stage<ReturnType<typeof receiver>['session']> {
  const stage = receiver({ wish: WISH });
  stage.start();
  stage.receive(oack({ blksize: '512', windowsize: '4', tsize: '9000' }));
  return stage;
}

test('a file without options: a request, an ACK for each block, the end at a short one (RFC 1350 §4, §6)', () => {
  const stage = receiver();
  expect(stage.start()).toEqual(['opening']);
  expect(stage.receive(data(1, FULL))).toEqual(['keep 0', 'ack 1']);
  expect(stage.receive(data(2, FULL))).toEqual(['keep 512', 'ack 2']);
  expect(stage.receive(data(3, 'end'))).toEqual(['keep 1024', 'ack 3']);
  expect(stage.session.outcome).toBeUndefined();
  expect(stage.wait(1000)).toEqual([]);
  expect(stage.session.outcome).toBe('complete');
  expect(stage.session.tally).toMatchObject({ blocks: 3, bytes: 1027, retransmits: 0, stale: 0 });
});

test.each([0, 1, 511])('a file of %i bytes is one block (RFC 1350 §6)', (size) => {
  const stage = receiver({ lingerMs: 0 });
  stage.start();
  expect(stage.receive(data(1, 'x'.repeat(size)))).toEqual(['keep 0', 'ack 1']);
  expect(stage.session.outcome).toBe('complete');
  expect(stage.session.tally.bytes).toBe(size);
});

test('a file of exactly one block ends with an empty one (RFC 1350 §6)', () => {
  const stage = receiver({ lingerMs: 0 });
  stage.start();
  stage.receive(data(1, FULL));
  expect(stage.session.outcome).toBeUndefined();
  expect(stage.receive(data(2))).toEqual(['keep 512', 'ack 2']);
  expect(stage.session.outcome).toBe('complete');
});

test('an OACK is answered with ACK 0, and its values apply (RFC 2347)', () => {
  const stage = receiver({ wish: WISH });
  stage.start();
  expect(stage.receive(oack({ tsize: '9000', blksize: '500', windowsize: '2' }))).toEqual(['ack 0']);
  expect(stage.session.settled).toMatchObject({ blksize: 500, windowsize: 2 });
  expect(stage.session.tsize).toBe(9000);
  expect(stage.receive(data(1, 'x'.repeat(500)))).toEqual(['keep 0']);
  expect(stage.receive(data(2, 'x'.repeat(500)))).toEqual(['keep 500', 'ack 2']);
});

test('a server that answers with DATA 1 has ignored the options, which RFC 2347 allows', () => {
  const stage = receiver({ wish: { blksize: 1468, windowsize: 4 } });
  stage.start();
  expect(stage.receive(data(1, FULL))).toEqual(['keep 0', 'ack 1']);
  expect(stage.session.settled).toMatchObject({ blksize: 512, windowsize: 1 });
  expect(stage.receive(oack({ blksize: '1468' }))).toEqual([]);
  expect(stage.receive(data(2, 'x'))).toEqual(['keep 512', 'ack 2']);
});

test('an unanswered request is sent again with growing gaps until the patience ends', () => {
  const stage = receiver({ patienceMs: 10_000 });
  stage.start();
  for (const ms of [400, 800, 1600, 3200]) {
    const { waited, said } = stage.next();
    expect(said).toEqual(['opening']);
    expect(waited).toBeGreaterThanOrEqual(ms);
    expect(waited).toBeLessThanOrEqual(ms * 1.25);
  }
  stage.toEnd();
  expect(stage.session.outcome).toBe('timeout');
  expect(stage.now).toBe(10_000);
});

test('a window is acknowledged at its end, and only there (RFC 7440 §4)', () => {
  const stage = windowed();
  expect(stage.receive(data(1, FULL), data(2, FULL), data(3, FULL))).toEqual(['keep 0', 'keep 512', 'keep 1024']);
  expect(stage.receive(data(4, FULL))).toEqual(['keep 1536', 'ack 4']);
  expect(stage.receive(data(5, FULL), data(6, 'end'))).toEqual(['keep 2048', 'keep 2560', 'ack 6']);
});

test('statement 70: a gap is reported once, with the last block before it (RFC 7440 §4)', () => {
  const stage = windowed();
  stage.receive(data(1, FULL), data(2, FULL));
  expect(stage.receive(data(4, FULL))).toEqual(['ack 2']);
  expect(stage.receive(data(5, FULL), data(6, FULL), data(4, FULL))).toEqual([]);
  // The window starts again after the acknowledged block.
  expect(stage.receive(data(3, FULL), data(4, FULL), data(5, FULL))).toEqual(['keep 1024', 'keep 1536', 'keep 2048']);
  expect(stage.receive(data(6, FULL))).toEqual(['keep 2560', 'ack 6']);
  expect(stage.session.tally).toMatchObject({ blocks: 6, stale: 4 });
});

test('a second gap is reported at once', () => {
  const stage = windowed();
  stage.receive(data(1, FULL));
  expect(stage.receive(data(3, FULL))).toEqual(['ack 1']);
  stage.receive(data(2, FULL), data(3, FULL));
  expect(stage.receive(data(5, FULL))).toEqual(['ack 3']);
});

test('a second copy of an old block draws no ACK in mid-window, which would restart the sender there', () => {
  const stage = windowed();
  stage.now = 5;
  // Regression: this used to draw ACK 2. The sender restarted its window and sent two blocks twice, whose copies drew
  // the next early ACK, and so on to the end of the file.
  expect(stage.receive(data(1, FULL), data(2, FULL), data(2, FULL))).toEqual(['keep 0', 'keep 512']);
  expect(stage.receive(data(3, FULL), data(4, FULL))).toEqual(['keep 1024', 'keep 1536', 'ack 4']);
});

test('an old block that arrives late enough to be a resend draws an ACK, because ours was lost', () => {
  const stage = windowed();
  stage.receive(data(1, FULL), data(2, FULL), data(3, FULL), data(4, FULL));
  stage.now += 19;
  expect(stage.receive(data(1, FULL))).toEqual([]);
  stage.now += 1;
  expect(stage.receive(data(1, FULL), data(1, FULL))).toEqual(['ack 4']);
  expect(stage.session.tally).toMatchObject({ retransmits: 1, stale: 3 });
});

test('a late old block in mid-window draws an ACK of the blocks that have arrived, because the rest was lost', () => {
  const stage = windowed();
  stage.receive(data(1, FULL), data(2, FULL));
  stage.now += 45;
  expect(stage.receive(data(1, FULL))).toEqual(['ack 2']);
});

test('silence in mid-window draws an ACK of the blocks that have arrived', () => {
  const stage = windowed();
  stage.receive(data(1, FULL), data(2, FULL));
  const { waited, said } = stage.next();
  expect(said).toEqual(['ack 2']);
  expect(waited).toBeGreaterThanOrEqual(50);
});

test('statement 54: a repeated OACK, whose ACK 0 was lost, is acknowledged again (RFC 2347)', () => {
  const stage = windowed();
  stage.now += 30;
  expect(stage.receive(oack({ blksize: '512', windowsize: '4' }))).toEqual(['ack 0']);
  stage.receive(data(1, FULL));
  stage.now += 30;
  expect(stage.receive(oack({ blksize: '512' }))).toEqual([]);
  expect(stage.session.settled).toMatchObject({ windowsize: 4 });
});

test('a repeated last block, whose ACK was lost, is acknowledged again while the receiver lingers (RFC 1350 §6)', () => {
  const stage = receiver({ lingerMs: 1000 });
  stage.start();
  stage.receive(data(1, 'end'));
  stage.now += 400;
  expect(stage.receive(data(1, 'end'))).toEqual(['ack 1']);
  expect(stage.toEnd()).toBe(600);
  expect(stage.session.outcome).toBe('complete');
  expect(stage.session.tally).toMatchObject({ blocks: 1, bytes: 3 });
});

test('no block after the last one is kept, whatever its number', () => {
  const stage = receiver({ lingerMs: 1000 });
  stage.start();
  stage.receive(data(1, 'end'));
  expect(stage.receive(data(2, 'more'), data(0, 'more'), data(3, FULL))).toEqual([]);
  expect(stage.session.tally).toMatchObject({ blocks: 1, bytes: 3 });
});

test('blocks before the first, far ahead or from before a wrap are not kept', () => {
  const stage = receiver();
  stage.start();
  expect(stage.receive(data(0, FULL), data(2, FULL), data(65_535, FULL), data(32_769, FULL))).toEqual([]);
  stage.receive(data(1, FULL));
  expect(stage.receive(data(0, FULL), data(3, FULL), data(65_535, FULL))).toEqual([]);
  expect(stage.session.tally).toMatchObject({ blocks: 1, stale: 7 });
});

test('statement 64: a receiver counts on past the second and the third wrap', () => {
  const stage = receiver({ wish: { blksize: 8, windowsize: 64 }, lingerMs: 0 });
  stage.start();
  stage.receive(oack({ blksize: '8', windowsize: '64' }));
  const last = 3 * 65_536 + 10;
  for (let block = 1, wire = 1; block <= last; block++, wire = wire === 65_535 ? 0 : wire + 1) {
    stage.receive(data(wire, block === last ? '' : '8 octets'));
  }
  expect(stage.session.outcome).toBe('complete');
  expect(stage.session.tally).toMatchObject({ blocks: last, bytes: 8 * (last - 1), stale: 0 });
});

test('a block larger than agreed ends it with ERROR 4, and is not kept (RFC 2348)', () => {
  for (const stage of [receiver(), windowed()]) {
    if (stage.session.settled === undefined) stage.start();
    expect(stage.receive(data(1, `${FULL}x`))).toEqual(['error 4 Block larger than agreed']);
    expect(stage.session.outcome).toBe('refused');
    expect(stage.session.violation).toBe('DATA of 513 bytes where blksize is 512');
  }
});

test('an OACK with an option that was not asked for ends it with ERROR 8 (RFC 2347)', () => {
  const stage = receiver({ wish: { blksize: 512 } });
  stage.start();
  expect(stage.receive(oack({ tsize: '1' }))).toEqual(['error 8 Bad option acknowledgement']);
  expect(stage.session.outcome).toBe('refused');
  expect(stage.session.violation).toBe('tsize was acknowledged but not asked for');
  expect(stage.receive(oack({ blksize: '512' }), data(1, 'x'))).toEqual([]);
});

test.each([
  ['before the first answer it is a refusal', [], 'refused'],
  ['in mid-file it is an error of the server', [data(1, FULL)], 'clientError'],
  ['after the last block it is too late to matter', [data(1, 'end')], 'complete'],
])('an ERROR from the server is not answered: %s (RFC 1350 §7)', (_name, before, outcome) => {
  const stage = receiver();
  stage.start();
  stage.receive(...before);
  expect(stage.receive(error(1, 'File not found'))).toEqual([]);
  expect(stage.session.outcome).toBe(outcome);
  expect(stage.session.tally).toMatchObject({ errorCode: 1, errorText: 'File not found' });
});

test('the receiver gives up a server that falls silent or sends nothing new', () => {
  const stage = windowed();
  stage.receive(data(1, FULL));
  for (let turn = 0; turn < 70 && stage.session.outcome === undefined; turn++) {
    stage.wait(1000);
    stage.receive(data(1, FULL), data(9, FULL), ack(4), rrq('x'));
  }
  expect(stage.session.outcome).toBe('timeout');
  expect(stage.session.tally.blocks).toBe(1);
  expect(stage.now).toBe(60_000);
});

test('patience is renewed by each new block', () => {
  const stage = windowed();
  for (const block of [1, 2, 3]) {
    stage.wait(50_000);
    stage.receive(data(block, FULL));
  }
  expect(stage.session.outcome).toBeUndefined();
  expect(stage.toEnd()).toBe(60_000);
  expect(stage.session.outcome).toBe('timeout');
});

test('a closed server port is a failure before the last block, and makes no difference after it', () => {
  const early = windowed();
  early.session.onUnreachable(0);
  expect(early.session.outcome).toBe('unreachable');
  const late = windowed();
  late.receive(data(1, 'end'));
  late.session.onUnreachable(0);
  expect(late.session.outcome).toBe('complete');
});

test('aborting sends an ERROR, unless the file is complete', () => {
  const early = windowed();
  early.session.abort(early.script);
  expect([early.take(), early.session.outcome]).toEqual([['error 0 Client is stopping'], 'aborted']);
  const late = windowed();
  late.receive(data(1, 'end'));
  late.session.abort(late.script);
  expect([late.take(), late.session.outcome]).toEqual([[], 'complete']);
});
