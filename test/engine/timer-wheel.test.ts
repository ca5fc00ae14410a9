import assert from 'node:assert/strict';
import {
  type Arbitrary,
  array,
  assert as assertProperty,
  constant,
  constantFrom,
  integer,
  nat,
  oneof,
  property,
  record,
  tuple,
} from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TimerWheel } from '../../src/engine/timer-wheel.ts';

const TURN = 8192;

/**
 * A wheel next to a simple model, a map from id to due time. Every callback and every answer is checked against the
 * map.
 */
class Checked {
  readonly wheel: TimerWheel;
  readonly due = new Map<number, number>();
  /** Actions that callbacks perform, one per callback, in order. */
  readonly reactions: Action[] = [];
  now: number;
  fired = 0;

  constructor(now: number) {
    this.now = now;
    this.wheel = new TimerWheel(now);
  }

  apply(action: Action): void {
    switch (action.kind) {
      case 'schedule': {
        const at = this.now + action.after;
        this.wheel.schedule(action.id, at);
        // A deadline can't be in the past; the earliest is the next millisecond.
        this.due.set(action.id, Math.max(at, this.now + 1));
        break;
      }
      case 'cancel':
        this.wheel.cancel(action.id);
        this.due.delete(action.id);
        break;
      case 'react':
        this.reactions.push(action.with);
        break;
      case 'advance':
        this.advance(this.now + action.by);
        break;
    }
    if ('id' in action) assert.equal(this.wheel.dueAt(action.id), this.due.get(action.id) ?? Number.POSITIVE_INFINITY);
    assert.equal(this.wheel.size, this.due.size);
  }

  advance(now: number): void {
    this.now = now;
    this.wheel.advance(now, (id) => {
      const due = this.due.get(id);
      assert(due !== undefined, `${id} has no deadline and fired at ${now}`);
      assert(due <= now, `the deadline of ${id}, ${due}, fired at ${now}`);
      this.due.delete(id);
      this.fired++;
      const reaction = this.reactions.shift();
      if (reaction !== undefined) this.apply(reaction);
    });
    for (const [id, due] of this.due) assert(due > now, `the deadline of ${id}, ${due}, was forgotten at ${now}`);
  }

  checkNext(): void {
    const next = this.wheel.next();
    assert(next <= Math.min(...this.due.values()));
    assert(next > this.now);
    // next() is the time at which the first occupied slot comes round.
    const turns = [...this.due.values()].map((due) => this.now + 1 + ((due - this.now - 1) % TURN));
    assert.equal(next, Math.min(...turns));
  }

  /** Advances from one next() to the following, as a driver does, until nothing is left. */
  drain(): void {
    // Each deadline is passed over once per turn of the wheel before it is due.
    const turns = [...this.due.values()].reduce((sum, due) => sum + Math.ceil((due - this.now) / TURN) + 1, 0);
    let looks = 0;
    while (this.wheel.size > 0) {
      const next = this.wheel.next();
      const earliest = Math.min(...this.due.values());
      const before = this.fired;
      this.advance(next);
      if (next === earliest) assert(this.fired > before);
      assert(looks++ <= turns);
    }
    assert.equal(this.due.size, 0);
    assert.equal(this.wheel.next(), Number.POSITIVE_INFINITY);
  }
}

type Change = { kind: 'schedule'; id: number; after: number } | { kind: 'cancel'; id: number };
type Action = Change | { kind: 'react'; with: Change } | { kind: 'advance'; by: number };

const id = oneof({ weight: 4, arbitrary: nat(7) }, nat(300));
const after = oneof(
  integer({ min: -20, max: 100 }),
  integer({ min: 0, max: 3 * TURN }),
  // Values near whole turns of the wheel, where deadlines of different turns share a slot.
  tuple(integer({ min: 0, max: 3 }), integer({ min: -2, max: 2 })).map(([turns, off]) => turns * TURN + off),
  constantFrom(100_000, 10_000_000),
);
const change: Arbitrary<Change> = oneof(
  { weight: 4, arbitrary: record({ kind: constant('schedule' as const), id, after }) },
  { weight: 1, arbitrary: record({ kind: constant('cancel' as const), id }) },
);
const action: Arbitrary<Action> = oneof(
  { weight: 5, arbitrary: change },
  { weight: 2, arbitrary: record({ kind: constant('react' as const), with: change }) },
  {
    weight: 4,
    arbitrary: record({
      kind: constant('advance' as const),
      by: oneof(integer({ min: 0, max: 50 }), integer({ min: 0, max: 3 * TURN }), constant(500_000)),
    }),
  },
);
const start = oneof(constant(0), nat(TURN * 3), constant(2 ** 40 + 31));

describe('the timer wheel', () => {
  test('fires every deadline once it is due, never early, whatever is scheduled, moved, cancelled and slept through', () => {
    const always = property(start, array(action, { maxLength: 60 }), (now, actions) => {
      const checked = new Checked(now);
      for (const each of actions) {
        checked.apply(each);
        checked.checkNext();
      }
    });
    expect(() => assertProperty(always, { numRuns: 3000 })).not.toThrow();
  });

  test('wakes a driver that sleeps until next() exactly at each deadline, and does not keep it awake', () => {
    const always = property(start, array(change, { minLength: 1, maxLength: 40 }), (now, changes) => {
      const checked = new Checked(now);
      for (const each of changes) if (each.kind === 'cancel' || each.after < 100_000) checked.apply(each);
      checked.drain();
    });
    expect(() => assertProperty(always, { numRuns: 1000 })).not.toThrow();
  });

  test('keeps the deadlines it has when its arrays grow', () => {
    const checked = new Checked(5);
    for (let each = 0; each < 5000; each++) checked.apply({ kind: 'schedule', id: each, after: 1 + (each % 700) });
    checked.advance(5 + 350);
    expect(checked.fired).toBe(Math.floor(5000 / 700) * 350 + 100);
    checked.advance(5 + 700);
    expect(checked.fired).toBe(5000);
  });

  test('fires ten thousand deadlines of one moment in one go', () => {
    const wheel = new TimerWheel(0);
    for (let each = 0; each < 10_000; each++) wheel.schedule(each, 400);
    const fired = new Set<number>();
    wheel.advance(399, (each) => fired.add(each));
    expect(fired.size).toBe(0);
    wheel.advance(400, (each) => fired.add(each));
    expect(fired.size).toBe(10_000);
  });

  test.each([TURN - 1, TURN, TURN + 1, 5 * TURN + 77])('looks at every slot after a pause of %i ms', (pause) => {
    const wheel = new TimerWheel(1000);
    const fired = new Set<number>();
    for (let each = 0; each < TURN; each++) wheel.schedule(each, 1000 + 1 + each);
    wheel.advance(1000 + pause, (each) => fired.add(each));
    expect(fired.size).toBe(Math.min(TURN, pause));
  });

  test('lets a callback cancel every other deadline that is due with it', () => {
    const wheel = new TimerWheel(0);
    for (let each = 0; each < 100; each++) wheel.schedule(each, 1 + (each % 3));
    let fired = 0;
    wheel.advance(10, () => {
      fired++;
      for (let each = 0; each < 100; each++) wheel.cancel(each);
    });
    expect(fired).toBe(1);
    expect(wheel.size).toBe(0);
  });

  test('does not fire again in the same call what a callback schedules at once', () => {
    const wheel = new TimerWheel(0);
    wheel.schedule(3, 10);
    let fired = 0;
    wheel.advance(TURN * 2, (each) => {
      fired++;
      wheel.schedule(each, 0);
    });
    expect(fired).toBe(1);
    expect(wheel.next()).toBe(TURN * 2 + 1);
  });

  test('accepts a deadline that never comes', () => {
    const wheel = new TimerWheel(7);
    wheel.schedule(1, Number.MAX_SAFE_INTEGER);
    wheel.schedule(2, 20);
    const fired: number[] = [];
    for (let now = 7; now < 5 * TURN; now = wheel.next()) wheel.advance(now, (each) => fired.push(each));
    expect(fired).toEqual([2]);
    expect(wheel.dueAt(1)).toBe(Number.MAX_SAFE_INTEGER);
  });
});
