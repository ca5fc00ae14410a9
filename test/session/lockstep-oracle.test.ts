/** The sender at windowsize 1, compared packet for packet with the simplest possible sender. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ack } from '../support/bytes.ts';
import { sender } from './stage.ts';

/**
 * RFC 1350 in a page: one packet is in flight; its ACK draws the next one, a timeout resends it, nothing else matters.
 */
class PlainSender {
  readonly #last: number;
  readonly #blksize: number;
  readonly #size: number;
  #block: number;
  done = false;

  constructor(size: number, blksize: number, oack: boolean) {
    this.#size = size;
    this.#blksize = blksize;
    this.#last = Math.floor(size / blksize) + 1;
    this.#block = oack ? 0 : 1;
  }

  packet(): string {
    if (this.#block === 0) return 'opening';
    const offset = (this.#block - 1) * this.#blksize;
    return `${this.#block}: ${offset}+${Math.min(this.#blksize, this.#size - offset)}`;
  }

  /** @returns the packets to send now. */
  acknowledge(block: number): string[] {
    if (this.done || block !== this.#block) return [];
    this.done = this.#block === this.#last;
    this.#block++;
    return this.done ? [] : [this.packet()];
  }
}

/** Both senders side by side. */
class Pair {
  readonly #stage;
  readonly #plain;
  readonly #oack: boolean;
  /** Descriptions of events after which the two senders differed. */
  readonly differences: string[] = [];

  constructor(size: number, blksize: number, oack: boolean, seed: number) {
    this.#stage = sender({ size, blksize, oack, seed });
    this.#plain = new PlainSender(size, blksize, oack);
    this.#oack = oack;
  }

  /** Compares the sender's packets with those of the plain sender. @returns the latter. */
  #compare(event: string, lines: readonly string[], expected: readonly string[]): readonly string[] {
    // Each `data` line is replaced by the part of the file that it stands for.
    const parts = this.#stage.script.parts.splice(0);
    const said = lines.map((line) => (line.startsWith('data') ? parts.shift()! : line)).join();
    if (said !== expected.join()) this.differences.push(`after ${event}: ${said}, not ${expected.join()}`);
    if (this.done !== this.#plain.done) this.differences.push(`after ${event}: done is ${this.done}`);
    return expected;
  }

  start(): string {
    return this.#compare('the start', this.#stage.start(), [this.#plain.packet()])[0]!;
  }

  acknowledge(block: number): readonly string[] {
    this.#stage.now += 2;
    const expected = this.#plain.acknowledge(block);
    return this.#compare(`ACK ${block}`, this.#stage.receive(ack(block)), expected);
  }

  /** Lets a timeout pass. DATA 1 as the first reply is resent only when the client repeats its request. */
  timeout(): string {
    if (this.proven || this.#oack) {
      return this.#compare('a timeout', this.#stage.next().said, [this.#plain.packet()])[0]!;
    }
    this.#stage.now += 400;
    this.#stage.session.onRequestRepeated(this.#stage.now, this.#stage.script);
    return this.#compare('a request again', this.#stage.take(), [this.#plain.packet()])[0]!;
  }

  get proven(): boolean {
    return this.#stage.session.proven;
  }

  stray(): void {
    // Before the address is proven, these ACKs would end the transfer.
    if (!this.proven) return;
    this.#compare('stray ACKs', this.#stage.receive(ack(40_000), ack(65_535)), []);
  }

  get done(): boolean {
    return this.#stage.session.outcome === 'complete';
  }
}

const SIZES = [0, 1, 7, 8, 9, 16, 39, 40, 41];
const BLKSIZE = 8;

/** Block number of the ACK that a packet draws. */
function answer(packet: string): number {
  return packet === 'opening' ? 0 : Number.parseInt(packet, 10);
}

/**
 * Runs a pair on a network that loses packet number `lost` (DATA and ACKs alike, counted from 0). @returns the number
 * of packets.
 */
function runPair(size: number, oack: boolean, lost: number): number {
  const pair = new Pair(size, BLKSIZE, oack, 5);
  let count = 0;
  let packet = pair.start();
  for (let turns = 0; !pair.done; turns++) {
    if (turns > 200) throw new Error('It does not end');
    const dataArrives = count++ !== lost;
    const ackArrives = dataArrives && count++ !== lost;
    const next = ackArrives ? pair.acknowledge(answer(packet)) : [pair.timeout()];
    packet = next[0] ?? packet;
  }
  if (pair.differences.length > 0)
    throw new Error(`${size} bytes, packet ${lost} lost: ${pair.differences.join('; ')}`);
  return count;
}

test.each([true, false])(
  'loss-free and with any single packet lost, it sends what the plain sender sends (OACK: %s)',
  (oack) => {
    for (const size of SIZES) {
      const packets = runPair(size, oack, -1);
      expect(packets).toBe(2 * (Math.floor(size / BLKSIZE) + 1 + (oack ? 1 : 0)));
      for (let lost = 0; lost < packets; lost++) {
        // A lost DATA packet costs one more packet; a lost ACK costs two, the ACK and its block.
        expect(runPair(size, oack, lost) - packets).toBe(lost % 2 === 0 ? 1 : 2);
      }
    }
  },
);

test('with any ACKs and timeouts in any order, it sends what the plain sender sends', () => {
  const event = fc.oneof(
    fc.record({ kind: fc.constant('ack' as const), by: fc.integer({ min: -3, max: 3 }) }),
    fc.constant({ kind: 'timeout' as const, by: 0 }),
    fc.constant({ kind: 'stray' as const, by: 0 }),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...SIZES, 200),
      fc.boolean(),
      fc.nat(),
      fc.array(event, { maxLength: 80 }),
      (size, oack, seed, events) => {
        const pair = new Pair(size, BLKSIZE, oack, seed);
        let packet = pair.start();
        let timeouts = 0;
        for (const { kind, by } of events) {
          if (pair.done) break;
          if (kind === 'stray') pair.stray();
          // Two timeouts in a row are within all limits: three sends unproven, five of the last block, the patience.
          else if (kind === 'timeout' && timeouts++ < 2) packet = pair.timeout();
          else if (kind === 'ack') {
            const block = Math.max(0, answer(packet) + by);
            if (!pair.proven && block > answer(packet)) continue;
            const next = pair.acknowledge(block);
            if (next.length > 0) timeouts = 0;
            packet = next[0] ?? packet;
          }
        }
        expect(pair.differences).toEqual([]);
      },
    ),
    { numRuns: 1000 },
  );
});
