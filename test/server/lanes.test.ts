import { expect, it } from 'vitest';
import { Lanes, type Waiting } from '../../src/server/lanes.ts';

const anywhere = (): boolean => true;

function waiting(id: number, quick: boolean, local = '10.0.0.1'): Waiting {
  return { id, local, lastRequestAt: 0, quick };
}

it('a flood of quick transfers does not block the others: one of them starts after every eight', () => {
  const lanes = new Lanes<Waiting>();
  for (const id of [1, 2]) lanes.add(waiting(id, false));
  for (let id = 3; id < 40; id++) lanes.add(waiting(id, true));
  const order: number[] = [];
  for (let count = 0; count < 20; count++) {
    const next = lanes.next(anywhere)!;
    lanes.delete(next);
    order.push(next.id);
  }
  expect(order.indexOf(1)).toBe(8);
  expect(order.indexOf(2)).toBe(17);
});

it('where one lane is empty the other goes on', () => {
  const lanes = new Lanes<Waiting>();
  for (let id = 1; id < 30; id++) lanes.add(waiting(id, true));
  for (let id = 1; id < 30; id++) {
    const next = lanes.next(anywhere)!;
    expect(next.id).toBe(id);
    lanes.delete(next);
  }
  expect(lanes.next(anywhere)).toBe(undefined);
});
