/** Limits on connections to the admin address: which connections are let in, and which are closed for them. */
import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { ConnectionRoom } from '../../src/admin/connection-room.ts';
import { Random } from '../support/random.ts';

class Caller extends EventEmitter {
  readonly remoteAddress: string;
  isOpen = true;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }

  destroy(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.emit('close');
  }
}

function crowd(room: ConnectionRoom<Caller>, address: string, count: number, busy = false): Caller[] {
  return Array.from({ length: count }, () => {
    const caller = new Caller(address);
    room.admit(caller);
    if (busy) room.begins(caller);
    return caller;
  });
}

function open(callers: readonly Caller[]): number {
  return callers.filter(({ isOpen }) => isOpen).length;
}

describe('a newcomer', () => {
  it('takes the place of the longest idle connection of the address with most connections', () => {
    const room = new ConnectionRoom<Caller>();
    const [scraper] = crowd(room, 'scraper', 1);
    const greedy = crowd(room, 'greedy', 64);
    const others = crowd(room, 'others', 63);
    room.begins(greedy[0]!);
    const [probe] = crowd(room, 'probe', 1);
    expect([scraper!.isOpen, probe!.isOpen, open(others)]).toEqual([true, true, 63]);
    // The first connection is being answered, so the second one goes.
    expect(greedy.findIndex(({ isOpen }) => !isOpen)).toBe(1);
    // The connection that has just been answered is the last to go.
    room.ends(greedy[0]!);
    crowd(room, 'probe', 3);
    expect(greedy[0]!.isOpen).toBe(true);
  });

  it('takes the place of a connection in use if none is idle', () => {
    const room = new ConnectionRoom<Caller>();
    const few = crowd(room, 'few', 60, true);
    const many = crowd(room, 'many', 64, true);
    crowd(room, 'one', 4, true);
    const [probe] = crowd(room, 'probe', 1);
    expect([probe!.isOpen, open(few), open(many)]).toEqual([true, 60, 63]);
  });

  it('costs its own address a place if that address has reached its limit', () => {
    const room = new ConnectionRoom<Caller>();
    const own = crowd(room, 'own', 70);
    const others = crowd(room, 'others', 10);
    expect([open(own), open(others), room.size]).toEqual([64, 10, 74]);
    expect(own.slice(0, 6).some(({ isOpen }) => isOpen)).toBe(false);
  });
});

it('never exceeds its bounds, and forgets closed connections', () => {
  const seed = 20_261_130;
  const random = new Random(seed);
  const room = new ConnectionRoom<Caller>();
  const all: Caller[] = [];
  for (let times = 0; times < 5000; times++) {
    const addresses = ['a', 'b', 'c', 'd', `e-${random.between(0, 200)}`];
    const [caller] = crowd(room, random.pick(addresses), 1, random.chance(0.3));
    expect({ seed, times, isOpen: caller!.isOpen }).toEqual({ seed, times, isOpen: true });
    all.push(caller!);
    if (random.chance(0.2)) random.pick(all).destroy();
    if (random.chance(0.2)) room.ends(random.pick(all));
    const living = all.filter(({ isOpen }) => isOpen);
    const most = Math.max(
      ...addresses.map((one) => living.filter(({ remoteAddress }) => remoteAddress === one).length),
    );
    expect({ seed, size: room.size, isBounded: room.size <= 128 && most <= 64 }).toEqual({
      seed,
      size: living.length,
      isBounded: true,
    });
  }
  for (const caller of all) caller.destroy();
  expect(room.size).toBe(0);
});
