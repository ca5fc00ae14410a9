/** Answers of the engine of shared pins are checked before its clock is believed. */
import { expect, it } from 'vitest';
import { SharedEngine } from '../../../src/boot-set/boot/shared-engine.ts';
import type { RedisLink } from '../../../src/redis/redis-link.ts';

it.each([[['soon', []]], [[null, []]], [['1e400', []]], [['1700000000000', 'x']], ['OK'], [null]])(
  'an answer of another form tells no time: %j',
  async (answer) => {
    const refused: string[] = [];
    const link = { state: 'up', batch: () => Promise.resolve([answer]) } as unknown as RedisLink;
    const engine = new SharedEngine(link, { now: () => 0 }, (reason) => refused.push(reason));
    expect(await engine.ask(['EVAL', '', 0], [], 50)).toBeUndefined();
    expect(engine.hasTime).toBe(false);
    expect(refused).toEqual(['an answer of another form']);
  },
);
