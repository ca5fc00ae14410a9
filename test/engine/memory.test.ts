import { beforeEach, describe, expect, test } from 'vitest';
import { type Fate, type Faults, MemoryNetwork } from '../../src/engine/memory.ts';
import type { Address } from '../../src/engine/types.ts';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import { Inbox } from '../support/datagrams.ts';

const HERE: Address = { address: 'here', port: 1 };
const THERE: Address = { address: 'there', port: 2 };
const SENDS = 20_000;

describe('the network in memory', () => {
  let clock: VirtualClock;
  let inbox: Inbox;
  let fates: Record<Fate, number>;
  let arrivedAt: number[];

  beforeEach(() => {
    clock = new VirtualClock();
    inbox = new Inbox();
    fates = { sent: 0, lost: 0, corrupted: 0, delivered: 0, nobody: 0 };
    arrivedAt = [];
  });

  /** Sends numbered datagrams, all at time 0, and lets them arrive. */
  function send(faults: Partial<Faults>, count = SENDS): void {
    const network = new MemoryNetwork(clock, 4, faults);
    network.tap = (fate) => fates[fate]++;
    network.bind(THERE, {
      receive: (bytes) => {
        arrivedAt.push(clock.now());
        inbox.put(bytes, bytes.length);
      },
      unreachable: () => {},
    });
    for (let sent = 0; sent < count; sent++) network.send(Uint8Array.of(sent >> 8, sent & 0xff), HERE, THERE);
    clock.run();
  }

  const numbers = (): number[] => inbox.contents.map(([high = 0, low = 0]) => (high << 8) | low);

  test('without faults brings every datagram at once and in order', () => {
    send({});
    expect(numbers()).toEqual(Array.from({ length: SENDS }, (_, n) => n));
    expect(clock.now()).toBe(0);
  });

  test.each([0.01, 0.1, 0.5])('loses about the configured share: %f', (loss) => {
    send({ loss });
    expect(fates.lost / SENDS).toBeCloseTo(loss, 1);
    expect(fates.lost).toBeGreaterThan((SENDS * loss) / 2);
    expect(fates.delivered + fates.lost).toBe(SENDS);
  });

  test('duplicates about the configured share, and loses copies one by one', () => {
    send({ duplicate: 0.3, loss: 0.1 });
    expect(fates.sent).toBe(SENDS);
    expect((fates.delivered + fates.lost) / SENDS).toBeCloseTo(1.3, 1);
    expect(fates.lost / (fates.delivered + fates.lost)).toBeCloseTo(0.1, 1);
  });

  test('delivers a reordered datagram up to reorderMs later, after datagrams that were sent after it', () => {
    send({ reorder: 0.2, reorderMs: 10, delayMs: 3 });
    expect(Math.min(...arrivedAt)).toBe(3);
    expect(Math.max(...arrivedAt)).toBe(13);
    expect(arrivedAt.filter((at) => at > 3).length / SENDS).toBeCloseTo(0.2, 1);
    expect(numbers()).not.toEqual(numbers().toSorted((a, b) => a - b));
  });

  test('delays by delayMs and up to jitterMs more', () => {
    send({ delayMs: 5, jitterMs: 4 });
    expect(new Set(arrivedAt)).toEqual(new Set([5, 6, 7, 8, 9]));
  });

  test('corrupted datagrams are lost where there is a checksum', () => {
    send({ corrupt: 0.2 });
    expect(fates.corrupted / SENDS).toBeCloseTo(0.2, 1);
    expect(fates.delivered).toBe(SENDS - fates.corrupted);
    expect(new Set(numbers()).size).toBe(fates.delivered);
  });

  test('without a checksum they arrive with one bit flipped, and the other copy of each is unharmed', () => {
    send({ corrupt: 0.5, checksum: false, duplicate: 1 }, 2000);
    expect(fates.delivered).toBe(4000);
    // The two copies of number n arrive as numbers 2n and 2n + 1.
    const flips = numbers().map((number, index) => countBits(number ^ (index >> 1)));
    expect(new Set(flips)).toEqual(new Set([0, 1]));
    expect(flips.filter((bits) => bits === 1).length).toBe(fates.corrupted);
    // Each copy is corrupted independently: in half of the pairs exactly one copy is flipped.
    const unlike = flips.filter((bits, index) => index % 2 === 0 && bits !== flips[index + 1]);
    expect(unlike.length / 2000).toBeCloseTo(0.5, 1);
  });

  test('reports a closed port to the sender, unless this is turned off', () => {
    for (const unreachable of [true, false]) {
      const network = new MemoryNetwork(clock, 1, { unreachable });
      const reported: Address[] = [];
      network.bind(HERE, { receive: () => {}, unreachable: (from) => reported.push(from) });
      network.send(Uint8Array.of(1), HERE, THERE);
      clock.run();
      expect(reported).toEqual(unreachable ? [THERE] : []);
    }
  });
});

function countBits(number: number): number {
  let count = 0;
  for (let rest = number; rest !== 0; rest &= rest - 1) count++;
  return count;
}
