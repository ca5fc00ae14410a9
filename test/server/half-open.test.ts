/** Who is given up when too many have not answered, told by addresses and networks alone. */
import { describe, expect, it } from 'vitest';
import { HalfOpen, type HalfOpenLimits } from '../../src/server/half-open.ts';
import { Jitter } from '../../src/session/jitter.ts';

const LIMITS: HalfOpenLimits = { total: 400, perPrefix: 100, perAddress: 10 };

interface Member {
  readonly name: string;
  startedAt: number;
  answered: boolean;
}

class Flood {
  readonly alive = new Set<Member>();
  readonly halfOpen = new HalfOpen<Member>(LIMITS, ({ answered }) => answered, new Jitter(5));
  readonly #places = new Map<Member, ReturnType<HalfOpen<Member>['enter']>>();

  /** @param prefix undefined: the address is known. */
  enter(address: string, prefix: string | undefined, now: number, startedAt = now, isShared = false): Member {
    const member = { name: address, startedAt, answered: false };
    const place = this.halfOpen.enter(member, address, prefix);
    this.#places.set(member, place);
    this.alive.add(member);
    const surplus = this.halfOpen.surplus(place, isShared, now);
    if (surplus !== undefined) this.end(surplus);
    return member;
  }

  end(member: Member): void {
    this.alive.delete(member);
    this.halfOpen.leave(this.#places.get(member)!);
  }
}

describe('transfers that nobody has answered', () => {
  it.each<[string, (number: number) => [string, string]]>([
    ['one network after the other', (number) => [`10.0.${number >> 9}.${number & 255}`, `10.0.${number >> 9}`]],
    ['one address after the other', (number) => [`10.${number >> 5}.0.1`, `10.${number >> 5}.0`]],
    ['all networks in turn', (number) => [`10.0.${number % 200}.${number & 255}`, `10.0.${number % 200}`]],
  ])('are never more than twice the limit in all, with %s', (_, from) => {
    const flood = new Flood();
    for (let number = 0; number < 20_000; number++) flood.enter(...from(number), 1);
    expect(flood.alive.size).toBeLessThanOrEqual(2 * LIMITS.total + 1);
  });

  it('of known addresses are no more either, also of one that many nodes share', () => {
    const flood = new Flood();
    for (let number = 0; number < 20_000; number++) flood.enter(`10.0.0.${number % 250}`, undefined, 1);
    expect(flood.alive.size).toBeLessThanOrEqual(2 * LIMITS.total + 1);
    const shared = new Flood();
    for (let number = 0; number < 20_000; number++) shared.enter('10.0.0.1', undefined, 1, 1, true);
    expect(shared.alive.size).toBeLessThanOrEqual(2 * LIMITS.total + 1);
  });

  it('of strangers cost known addresses nothing, nor the other way round', () => {
    const flood = new Flood();
    const known = flood.enter('10.0.0.1', undefined, 1);
    for (let number = 0; number < 20_000; number++) flood.enter(`10.9.${number % 200}.1`, `10.9.${number % 200}`, 5000);
    expect(flood.alive.has(known)).toBe(true);
  });

  it('are not given up while they wait for our first reply, as far as twice the limit goes', () => {
    const flood = new Flood();
    for (let number = 0; number < 190; number++) flood.enter(`10.0.0.${number}`, '10.0.0', 5000, 0);
    expect(flood.alive.size).toBe(190);
  });

  it('of a rack that boots are given up no sooner than the forged ones of many networks', () => {
    const flood = new Flood();
    for (let number = 0; number < 800; number++) flood.enter(`11.${number}.0.1`, `11.${number}`, 1);
    const rack = Array.from({ length: 90 }, (_, number) => flood.enter(`10.0.0.${number}`, '10.0.0', 1));
    for (let number = 0; number < 200; number++) flood.enter(`12.${number}.0.1`, `12.${number}`, 2);
    const lost = rack.filter((member) => !flood.alive.has(member)).length;
    expect(lost).toBeLessThan(45);
  });

  it('leave no list behind', () => {
    const flood = new Flood();
    for (let number = 0; number < 5000; number++) flood.enter(`10.0.${number % 50}.1`, `10.0.${number % 50}`, number);
    for (const member of flood.alive) flood.end(member);
    expect(flood.halfOpen.countOfAddress('10.0.1.1')).toBe(0);
    expect(flood.halfOpen.countOfPrefix('10.0.1')).toBe(0);
  });
});
