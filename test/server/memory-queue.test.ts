import { describe, expect, it } from 'vitest';
import { MemoryQueue } from '../../src/server/memory-queue.ts';
import { Jitter } from '../../src/session/jitter.ts';

interface One {
  readonly name: string;
  readonly known: boolean;
  lastRequestAt: number;
}

const isKnown = ({ known }: One): boolean => known;

function stranger(number: number, lastRequestAt = 0): One {
  return { name: `stranger ${number}`, known: false, lastRequestAt };
}

describe('MemoryQueue', () => {
  it('gives memory to known nodes first, mostly', () => {
    const queue = new MemoryQueue<One>(new Jitter(1));
    for (let number = 0; number < 200; number++) queue.add(stranger(number), isKnown);
    for (let number = 0; number < 50; number++) queue.add({ name: 'node', known: true, lastRequestAt: 0 }, isKnown);
    const taken = Array.from({ length: 40 }, () => queue.take(isKnown)!.name);
    expect(taken.filter((name) => name === 'node').length).toBeGreaterThan(20);
  });

  it('that is full drops a stranger for the newest node, and never a known node', () => {
    const queue = new MemoryQueue<One>(new Jitter(1));
    for (let number = 0; number < 16; number++) queue.add({ name: 'node', known: true, lastRequestAt: 0 }, isKnown);
    const gone: One[] = [];
    for (let number = 0; number < 5000; number++)
      gone.push(...[queue.add(stranger(number), isKnown)].filter((one) => one !== undefined));
    expect(queue.size).toBe(256);
    expect(gone).toHaveLength(5000 - 240);
    expect(gone.filter(isKnown)).toEqual([]);
  });

  it('that is full of known nodes turns a stranger away', () => {
    const queue = new MemoryQueue<One>(new Jitter(1));
    for (let number = 0; number < 256; number++) queue.add({ name: 'node', known: true, lastRequestAt: 0 }, isKnown);
    const last = stranger(1);
    expect(queue.add(last, isKnown)).toBe(last);
    expect(queue.size).toBe(256);
  });

  it('leaves the first strangers no more of a chance than the last', () => {
    const queue = new MemoryQueue<One>(new Jitter(3));
    for (let number = 0; number < 256; number++) queue.add(stranger(number), isKnown);
    const taken = Array.from({ length: 128 }, () => queue.take(isKnown)!.name);
    const late = taken.filter((name) => Number(name.split(' ')[1]) >= 128);
    expect(late.length).toBeGreaterThan(40);
    expect(late.length).toBeLessThan(88);
  });

  it('forgets clients that have gone silent', () => {
    const queue = new MemoryQueue<One>(new Jitter(1));
    for (let number = 0; number < 10; number++) queue.add(stranger(number, number), isKnown);
    expect(queue.takeSilent(4)).toHaveLength(4);
    expect(queue.size).toBe(6);
  });
});
