/** Selection of the half-open transfer to give up when there are too many, from addresses and networks alone. */
import { describe, expect, it } from 'vitest';
import { ClientAddresses } from '../../src/server/clients/client-addresses.ts';
import { HalfOpen, type HalfOpenLimits, type HalfOpenMember } from '../../src/server/clients/half-open.ts';
import { Jitter } from '../../src/session/jitter.ts';

const LIMITS: HalfOpenLimits = { total: 400, perPrefix: 100, perAddress: 10 };

/** An address that many nodes share. */
const SHARED = '10.0.0.1';

interface Member extends HalfOpenMember<Member> {
  answered: boolean;
}

class Flood {
  readonly alive = new Set<Member>();
  readonly addresses = new ClientAddresses<Member>();
  readonly halfOpen = new HalfOpen<Member>({
    limits: LIMITS,
    hasAnswered: ({ answered }) => answered,
    isShared: (address) => address === SHARED,
    random: new Jitter(5),
  });

  enter(address: string, now: number, { startedAt = now, isKnown = false } = {}): Member {
    const client = this.addresses.enter(address);
    const member = { startedAt, answered: false, givenUp: false, client, inAll: -1, inAddress: -1, inNetwork: -1 };
    this.halfOpen.enter(member, isKnown);
    this.alive.add(member);
    const surplus = this.halfOpen.surplus(member, now);
    if (surplus !== undefined) this.end(surplus);
    return member;
  }

  end(member: Member): void {
    this.alive.delete(member);
    this.halfOpen.leave(member);
    this.addresses.leave(member.client!);
  }
}

describe('transfers that nobody has answered', () => {
  it.each<[string, (number: number) => string]>([
    ['one network after the other', (number) => `10.0.${number >> 9}.${number & 255}`],
    ['one address after the other', (number) => `10.${number >> 5}.0.1`],
    ['all networks in turn', (number) => `10.0.${number % 200}.${number & 255}`],
  ])('are never more than twice the limit in all, with %s', (_, from) => {
    const flood = new Flood();
    for (let number = 0; number < 20_000; number++) flood.enter(from(number), 1);
    expect(flood.alive.size).toBeLessThanOrEqual(2 * LIMITS.total + 1);
  });

  it('have the same limit for known addresses, even for a shared one', () => {
    const flood = new Flood();
    for (let number = 0; number < 20_000; number++) flood.enter(`10.0.0.${number % 250}`, 1, { isKnown: true });
    expect(flood.alive.size).toBeLessThanOrEqual(2 * LIMITS.total + 1);
    const shared = new Flood();
    for (let number = 0; number < 20_000; number++) shared.enter(SHARED, 1, { isKnown: true });
    expect(shared.alive.size).toBeLessThanOrEqual(2 * LIMITS.total + 1);
  });

  it('of strangers cost known addresses nothing, and the reverse', () => {
    const flood = new Flood();
    const known = flood.enter('10.0.0.1', 1, { isKnown: true });
    for (let number = 0; number < 20_000; number++) flood.enter(`10.9.${number % 200}.1`, 5000);
    expect(flood.alive.has(known)).toBe(true);
  });

  it('are not given up while they wait for our first reply, as far as twice the limit goes', () => {
    const flood = new Flood();
    for (let number = 0; number < 190; number++) flood.enter(`10.0.0.${number}`, 5000, { startedAt: 0 });
    expect(flood.alive.size).toBe(190);
  });

  it('of a rack that boots are given up no sooner than the forged ones of many networks', () => {
    const flood = new Flood();
    for (let number = 0; number < 800; number++) flood.enter(`11.${number}.0.1`, 1);
    const rack = Array.from({ length: 90 }, (_, number) => flood.enter(`10.0.0.${number}`, 300));
    for (let number = 0; number < 200; number++) flood.enter(`12.${number}.0.1`, 700);
    const lost = rack.filter((member) => !flood.alive.has(member)).length;
    expect(lost).toBeLessThan(45);
  });

  it.each<[string, number, (number: number) => string]>([
    ['in all', 2 * LIMITS.total, (number) => `10.${number}.0.1`],
    ['of a network', 2 * LIMITS.perPrefix, (number) => `10.0.0.${number}`],
  ])('are not given up for a newcomer while their ACKs may be on their way, %s', (_, room, from) => {
    const flood = new Flood();
    const first = Array.from({ length: room }, (__, number) => flood.enter(from(number), 1));
    const newcomer = flood.enter(from(room), 249);
    expect(first.every((member) => flood.alive.has(member))).toBe(true);
    expect(flood.alive.has(newcomer)).toBe(false);
    const later = flood.enter(from(room), 251);
    expect(flood.alive.has(later)).toBe(true);
  });

  it('of known addresses make room for a newcomer at once', () => {
    const flood = new Flood();
    const enter = (number: number): Member => flood.enter(`10.${number}.0.1`, 1, { isKnown: true });
    for (let number = 0; number < 2 * LIMITS.total; number++) enter(number);
    expect(flood.alive.has(enter(2 * LIMITS.total))).toBe(true);
  });

  it('leave no list behind', () => {
    const flood = new Flood();
    for (let number = 0; number < 5000; number++) flood.enter(`10.0.${number % 50}.1`, number);
    for (const member of flood.alive) flood.end(member);
    expect(flood.addresses.transfers).toBe(0);
    expect(flood.addresses.find('10.0.1.1')).toBeUndefined();
    expect(flood.addresses.networkOf('10.0.1.1')).toBeUndefined();
  });
});
