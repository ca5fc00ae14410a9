/** Changes of shared pins are written together, wait within a bound, and are not repeated at once when refused. */
import { describe, expect, it } from 'vitest';
import { SharedWrites } from '../../../src/boot-set/boot/shared-writes.ts';
import { VirtualClock } from '../../../src/engine/virtual-clock.ts';

function writes(most?: number) {
  const clock = new VirtualClock();
  const engine = { isUp: true, isWritable: true, delayMs: 0 };
  const written: (readonly string[])[] = [];
  const waiting = new SharedWrites({
    clock: { now: () => clock.now(), wake: (at, fn) => clock.wake(at, fn) },
    isUp: () => engine.isUp,
    write: (nodes) => {
      written.push(nodes);
      const { isWritable, delayMs } = engine;
      return new Promise((resolve) => clock.wake(clock.now() + delayMs, () => resolve(isWritable)));
    },
    ...(most === undefined ? {} : { most }),
  });
  const pass = (ms: number): Promise<void> => clock.runAsync(clock.now() + ms);
  return { engine, written, waiting, pass };
}

describe('changes of shared pins', () => {
  it('are written together, at most 100 in one command', async () => {
    const { written, waiting, pass } = writes();
    for (let node = 0; node < 150; node++) waiting.add(`ip:${node}`);
    waiting.add('ip:0');
    expect(written).toEqual([]);
    await pass(20);
    expect(written.map(({ length }) => length)).toEqual([100, 50]);
    expect(waiting.waiting).toBe(0);
  });

  it('wait within a bound while nothing can be written, however many nodes are made up', async () => {
    const { engine, written, waiting, pass } = writes(50);
    engine.isUp = false;
    for (let node = 0; node < 1000; node++) waiting.add(`ip:${node}`);
    await pass(1000);
    expect(waiting.waiting).toBe(50);
    engine.isUp = true;
    waiting.add('ip:1');
    await pass(20);
    expect(written.flat()).toHaveLength(50);
    expect(written.flat()).toContain('ip:1');
  });

  it('keep a server that stops for a second at most, however slowly they are taken', async () => {
    const { engine, written, waiting, pass } = writes();
    engine.delayMs = 45;
    for (let node = 0; node < 10_000; node++) waiting.add(`ip:${node}`);
    let isClosed = false;
    void waiting.close().then(() => {
      isClosed = true;
    });
    await pass(1100);
    expect(isClosed).toBe(true);
    expect(written.length).toBeGreaterThan(20);
  });

  it('that were refused are tried again by one command in a second', async () => {
    const { engine, written, waiting, pass } = writes();
    engine.isWritable = false;
    for (let node = 0; node < 1000; node++) waiting.add(`ip:${node}`);
    for (let at = 0; at < 100; at++) {
      waiting.add(`ip:${at}`);
      // oxlint-disable-next-line no-await-in-loop -- virtual time passes.
      await pass(50);
    }
    expect(written.length).toBeGreaterThan(3);
    expect(written.length).toBeLessThan(8);
    engine.isWritable = true;
    waiting.add('ip:0');
    await pass(1100);
    expect(waiting.waiting).toBe(0);
    expect(new Set(written.slice(-10).flat()).size).toBe(1000);
  });
});
