/** Transfers past 4 GiB and past three wraps. No byte is moved: a session only names blocks and offsets. */
import { expect, test } from 'vitest';
import type { Rollover } from '../../src/protocol/block.ts';
import { createPacket } from '../../src/protocol/packet.ts';
import { Sender } from '../../src/session/sender.ts';
import type { Steps } from '../../src/session/session.ts';

/** Checks each block as it leaves, against counters that only ever increase by one. */
class Ledger implements Steps {
  readonly #blksize: number;
  next = 1;
  sent = 0;
  end = 0;
  fault = '';

  constructor(blksize: number) {
    this.#blksize = blksize;
  }

  data(block: number, offset: number, length: number): void {
    this.sent++;
    if (block > this.next || offset !== (block - 1) * this.#blksize) this.fault ||= `block ${block} at ${offset}`;
    if (block < this.next) return;
    this.next++;
    this.end += length;
    if (offset + length !== this.end) this.fault ||= `block ${block} of ${length} bytes at ${offset}`;
  }

  opening(): void {}

  ack(): void {
    this.fault ||= 'an ACK from a sender';
  }

  acknowledged(block: number): void {
    if (block >= this.next) this.fault ||= `an ACK for block ${block}, which was not sent`;
  }

  error(): void {
    this.fault ||= 'an ERROR';
  }

  keep(): void {
    this.fault ||= 'a payload kept';
  }
}

const WRAPS = 3;
const CASES = [
  { rollover: 0, blksize: 32_768, windowsize: 64 },
  { rollover: 1, blksize: 32_768, windowsize: 64 },
  { rollover: 0, blksize: 65_464, windowsize: 7 },
  { rollover: 1, blksize: 65_464, windowsize: 7 },
  { rollover: 0, blksize: 65_464, windowsize: 1 },
] as const satisfies readonly { rollover: Rollover; blksize: number; windowsize: number }[];

test.each(CASES)(
  'statements 63 to 66: past 4 GiB and three wraps, $rollover after 65535, blksize $blksize, windowsize $windowsize',
  ({ rollover, blksize, windowsize }) => {
    const blocks = WRAPS * 65_536 + 1000;
    const size = blocks * blksize - 1;
    expect(size).toBeGreaterThan(2 ** 32);
    const ledger = new Ledger(blksize);
    const sender = new Sender({
      size,
      blksize,
      windowsize,
      rollover,
      timeoutMs: 0,
      oack: true,
      seed: 1,
      patienceMs: 60_000,
    });
    const packet = createPacket();
    packet.opcode = 4;
    let now = 0;
    const acknowledge = (wire: number) => {
      packet.block = wire;
      sender.onPacket(packet, now, ledger);
      // The rest of a window leaves in bursts.
      while (sender.outcome === undefined && sender.deadline <= now + 2) {
        now = sender.deadline;
        sender.onDeadline(now, ledger);
      }
    };
    sender.start(now, ledger);
    acknowledge(0);
    // The client counts wire numbers up to 65535, then continues with `rollover`.
    let wire = 0;
    let before = 0;
    let wrong = '';
    for (let block = 1; block <= blocks && wrong === ''; block++) {
      wire = wire === 65_535 ? rollover : wire + 1;
      // The client acknowledges window ends, the last block, and every block near each wrap, including 65535, 0 and 1.
      const nearWrap = block % 65_536 < 3 || block % 65_536 > 65_533;
      if (block % windowsize !== 0 && block !== blocks && !nearWrap) continue;
      acknowledge(wire);
      if (sender.tally.blocks !== block) wrong = `block ${block}, number ${wire}: ${sender.tally.blocks}`;
      // An old ACK arrives again.
      if (block !== blocks) acknowledge(before);
      if (sender.tally.blocks !== block) wrong ||= `old ACK ${before} at block ${block}: ${sender.tally.blocks}`;
      before = wire;
    }
    expect(wrong).toBe('');
    expect(ledger.fault).toBe('');
    expect(sender.outcome).toBe('complete');
    expect(sender.tally).toMatchObject({ blocks, bytes: size, timeouts: 0 });
    expect(ledger.end).toBe(size);
    // Only restarts near the wraps resend blocks.
    expect(ledger.sent - blocks).toBeLessThanOrEqual(WRAPS * 10 * windowsize);
  },
);
