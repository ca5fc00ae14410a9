import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import { Random } from '../support/random.ts';

describe('virtual time', () => {
  test('runs events in the order of their times, and events of one time in the order in which they were set', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = new Random(seed);
      const clock = new VirtualClock();
      const set: { at: number; order: number }[] = [];
      const ran: { at: number; order: number }[] = [];
      const cancelled = new Set<number>();
      const cancels: (() => void)[] = [];
      const add = (): void => {
        const event = { at: clock.now() + random.between(0, 20), order: set.length };
        set.push(event);
        cancels.push(
          clock.wake(event.at, () => {
            expect(clock.now()).toBe(event.at);
            ran.push(event);
            if (set.length < 400) add();
            if (random.chance(0.3)) {
              const victim = random.between(0, set.length - 1);
              if (!ran.includes(set[victim]!)) cancelled.add(victim);
              cancels[victim]!();
            }
          }),
        );
      };
      for (let each = 0; each < 100; each++) add();
      clock.run();
      const expected = set
        .filter(({ order }) => !cancelled.has(order))
        .toSorted((a, b) => a.at - b.at || a.order - b.order);
      expect({ seed, ran }).toEqual({ seed, ran: expected });
    }
  });

  test('stops at the requested time, and keeps later events', () => {
    const clock = new VirtualClock();
    const ran: number[] = [];
    for (const at of [5, 10, 11]) clock.wake(at, () => ran.push(at));
    clock.run(10);
    expect([ran, clock.now()]).toEqual([[5, 10], 10]);
    clock.run(10);
    clock.run(30);
    expect([ran, clock.now()]).toEqual([[5, 10, 11], 30]);
  });

  test('never goes back: an event set for the past runs now', () => {
    const clock = new VirtualClock();
    clock.run(100);
    const ran: number[] = [];
    clock.wake(3, () => ran.push(clock.now()));
    clock.run();
    expect(ran).toEqual([100]);
  });

  test('reports a simulation that never ends', async () => {
    const clock = new VirtualClock();
    const again = (): void => {
      clock.wake(clock.now() + 1, again);
    };
    again();
    expect(() => clock.run(Number.POSITIVE_INFINITY, 1000)).toThrow(/at most 1000 events/);
    await expect(clock.runAsync(Number.POSITIVE_INFINITY, 1000)).rejects.toThrow(/at most 1000 events/);
  });

  test('waits for promises of any depth between one event and the next', async () => {
    const clock = new VirtualClock();
    const ran: string[] = [];
    clock.wake(1, () => {
      void (async () => {
        for (let depth = 0; depth < 50; depth++) await Promise.resolve();
        ran.push('promised at 1');
      })();
    });
    clock.wake(2, () => ran.push('event at 2'));
    await clock.runAsync();
    expect(ran).toEqual(['promised at 1', 'event at 2']);
  });
});
