import { expect, test } from 'vitest';
import { COUNTER, PACKET_COUNTERS, allocateCounters, counterRow, sumCounters } from '../../src/engine/counters.ts';

test('every counter has its own cell in each row, and sums are over all rows', () => {
  const buffer = allocateCounters(3);
  expect(sumCounters(buffer)).toEqual(Object.fromEntries(PACKET_COUNTERS.map((name) => [name, 0])));
  for (let row = 0; row < 3; row++) {
    for (const name of PACKET_COUNTERS) counterRow(buffer, row)[COUNTER[name]]! += 10 ** row * (1 + COUNTER[name]);
  }
  expect(sumCounters(buffer)).toEqual(
    Object.fromEntries(PACKET_COUNTERS.map((name) => [name, 111 * (1 + COUNTER[name])])),
  );
});

test('counts are exact past 32 bits', () => {
  const buffer = allocateCounters(2);
  counterRow(buffer, 0)[COUNTER.dataBytesSent] = 2 ** 52;
  counterRow(buffer, 1)[COUNTER.dataBytesSent]! += 1;
  expect(sumCounters(buffer).dataBytesSent).toBe(2 ** 52 + 1);
});
