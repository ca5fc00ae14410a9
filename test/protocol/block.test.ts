import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Rollover, blockCount, fromWire, toWire } from '../../src/protocol/block.ts';

/** Wire numbers found by counting, as a peer does: 65535 is followed by `rollover`. */
function counted(upTo: number, rollover: Rollover): number[] {
  const numbers = [0];
  for (let block = 1, wire = 0; block <= upTo; block++) {
    wire = wire === 65_535 ? rollover : wire + 1;
    numbers.push(wire);
  }
  return numbers;
}

const ROLLOVERS = [0, 1] as const;

test.each(ROLLOVERS)(
  'statements 63 and 64: four wraps with rollover %i count as a peer counts (RFC 1350 §2)',
  (rollover) => {
    const wire = counted(4 * 65_536 + 100, rollover);
    expect(wire.findIndex((number, block) => number !== toWire(block, rollover))).toBe(-1);
  },
);

test('statement 63: 65535 is followed by 0, with rollover 1 by 1', () => {
  expect([65_534, 65_535, 65_536, 65_537].map((block) => toWire(block, 0))).toEqual([65_534, 65_535, 0, 1]);
  expect([65_534, 65_535, 65_536, 65_537].map((block) => toWire(block, 1))).toEqual([65_534, 65_535, 1, 2]);
  expect([131_069, 131_070, 131_071].map((block) => toWire(block, 1))).toEqual([65_534, 65_535, 1]);
});

/** Block numbers at which errors are likely: around the first wraps, around 2^31 and 2^32, and far beyond. */
const near = fc.oneof(
  fc.tuple(fc.nat({ max: 5 }), fc.integer({ min: -70, max: 70 })).map(([wrap, by]) => Math.max(0, wrap * 65_536 + by)),
  fc.tuple(fc.nat({ max: 5 }), fc.integer({ min: -70, max: 70 })).map(([wrap, by]) => Math.max(0, wrap * 65_535 + by)),
  fc.integer({ min: -70_000, max: 70_000 }).map((by) => 2 ** 31 + by),
  fc.integer({ min: -70_000, max: 70_000 }).map((by) => 2 ** 32 + by),
  fc.integer({ min: 0, max: 2 ** 50 }),
);
const by = fc.oneof(
  fc.constantFrom(-32_767, -32_766, -65, -64, -1, 0, 1, 64, 65, 32_766, 32_767),
  fc.integer({ min: -32_767, max: 32_767 }),
);

test.each(ROLLOVERS)(
  'statement 65: a number from the wire gives the block that it stands for, rollover %i',
  (rollover) => {
    fc.assert(
      fc.property(near, by, (base, distance) => {
        const block = base + distance;
        // No block lies below the first one. Block 0 occurs only near the start.
        fc.pre(block >= 1 || (block === 0 && rollover === 0));
        expect(fromWire(toWire(block, rollover), base, rollover)).toBe(block);
      }),
      { numRuns: 4000 },
    );
  },
);

test.each(ROLLOVERS)(
  'statement 65: around each wrap all distances of a window are read right, rollover %i',
  (rollover) => {
    const wrong: string[] = [];
    const wire = counted(3 * 65_536 + 200, rollover);
    for (const wrap of [65_535, 65_536, 131_070, 131_072, 196_605, 196_608]) {
      for (let base = wrap - 66; base <= wrap + 66; base++) {
        for (let distance = -64; distance <= 64; distance++) {
          const block = base + distance;
          if (fromWire(wire[block]!, base, rollover) !== block) wrong.push(`block ${block} near ${base}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(wire[65_536]).toBe(rollover);
  },
);

test('statement 65: an ACK from before the wrap is old, not new (RFC 1350 §2)', () => {
  expect(fromWire(65_535, 65_540, 0)).toBe(65_535);
  expect(fromWire(0, 65_540, 0)).toBe(65_536);
  expect(fromWire(65_530, 131_080, 0)).toBe(131_066);
  expect(fromWire(65_535, 65_540, 1)).toBe(65_535);
});

test('with rollover 1 the number 0 stands only for the block before the first', () => {
  for (const base of [0, 1, 65_535, 65_536, 200_000]) expect(fromWire(0, base, 1)).toBe(0);
});

test('any number from the wire gives a block within half a round of the expected one, rollover 0', () => {
  fc.assert(
    fc.property(fc.nat({ max: 65_535 }), near, (wire, base) => {
      const block = fromWire(wire, base, 0);
      expect(Math.abs(block - base)).toBeLessThanOrEqual(32_768);
      expect((((block - wire) % 65_536) + 65_536) % 65_536).toBe(0);
    }),
  );
});

test.each([
  [0, 512, 1],
  [1, 512, 1],
  [511, 512, 1],
  [512, 512, 2],
  [513, 512, 2],
  [33_553_919, 512, 65_535],
  [33_553_920, 512, 65_536],
  [33_554_432, 512, 65_537],
  [2 ** 32, 1468, 2_925_728],
  [2 ** 53 - 1, 8, 2 ** 50],
  [2 ** 53 - 8, 8, 2 ** 50],
  [2 ** 53 - 9, 8, 2 ** 50 - 1],
])('a file of %i bytes in blocks of %i takes %i DATA packets (RFC 1350 §6)', (size, blksize, blocks) => {
  expect(blockCount(size, blksize)).toBe(blocks);
});

test('the last DATA packet is always shorter than blksize and never missing (RFC 1350 §6)', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.integer({ min: 8, max: 65_464 }), (size, blksize) => {
      const last = BigInt(size) - BigInt(blockCount(size, blksize) - 1) * BigInt(blksize);
      expect(last >= 0n && last < BigInt(blksize)).toBe(true);
    }),
  );
});
