/** The buffer cache against a plain model of its rules, over random histories. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BufferCache } from '../../src/content/buffer-cache.ts';
import type { HeldBytes } from '../../src/content/buffer-cache-types.ts';
import { hold } from './cached.ts';

/** The rules in their simplest form: arrays that are searched from end to end. */
class Model {
  readonly maxBytes: number;
  held: { key: string; size: number; readers: number; superseded: boolean }[] = [];
  idle: { key: string; size: number }[] = [];
  loads = 0;
  evictions = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  get heldBytes(): number {
    return this.held.reduce((sum, entry) => sum + entry.size, 0);
  }

  get idleBytes(): number {
    return this.idle.reduce((sum, entry) => sum + entry.size, 0);
  }

  acquire(key: string, bytes: number): (typeof this.held)[number] {
    const held = this.held.find((entry) => entry.key === key && !entry.superseded);
    if (held !== undefined) {
      held.readers++;
      return held;
    }
    const idle = this.idle.find((entry) => entry.key === key);
    this.idle = this.idle.filter((entry) => entry !== idle);
    if (idle === undefined) this.loads++;
    const entry = { key, size: idle?.size ?? Math.max(1, bytes), readers: 1, superseded: false };
    this.held.push(entry);
    this.#trim();
    return entry;
  }

  release(entry: (typeof this.held)[number]): void {
    entry.readers--;
    if (entry.readers > 0) return;
    this.held = this.held.filter((each) => each !== entry);
    if (!entry.superseded) this.idle.push({ key: entry.key, size: entry.size });
    // An entry that exceeds the budget alone is evicted first, not after all older entries.
    if (!entry.superseded && entry.size > this.maxBytes) {
      this.idle.pop();
      this.evictions++;
    }
    this.#trim();
  }

  supersede(key: string): void {
    this.idle = this.idle.filter((entry) => entry.key !== key);
    for (const entry of this.held) if (entry.key === key) entry.superseded = true;
  }

  #trim(): void {
    while (this.idle.length > 0 && this.heldBytes + this.idleBytes > this.maxBytes) {
      this.idle.shift();
      this.evictions++;
    }
  }
}

describe('BufferCache against a plain model', () => {
  const keys = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('acquire' as const), key: keys, bytes: fc.nat(60) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat(100) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('supersede' as const), key: keys }) },
  );

  it('accounts for every byte and evicts in the same order, whatever is asked', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(150), fc.array(step, { maxLength: 60 }), async (maxBytes, steps) => {
        const cache = new BufferCache({ maxBytes });
        const model = new Model(maxBytes);
        const open: { held: HeldBytes; entry: ReturnType<Model['acquire']> }[] = [];
        for (const next of steps) {
          if (next.do === 'acquire') {
            open.push({ held: await hold(cache, next.key, next.bytes), entry: model.acquire(next.key, next.bytes) });
          } else if (next.do === 'supersede') {
            cache.supersede(next.key);
            model.supersede(next.key);
          } else if (open.length > 0) {
            const [one] = open.splice(next.which % open.length, 1);
            one!.held.release();
            model.release(one!.entry);
          }
          const { heldBytes, idleBytes, entries, loads, evictions } = cache.stats();
          expect({ heldBytes, idleBytes, entries, loads, evictions }).toEqual({
            heldBytes: model.heldBytes,
            idleBytes: model.idleBytes,
            entries: model.held.length + model.idle.length,
            loads: model.loads,
            evictions: model.evictions,
          });
          expect(idleBytes === 0 || heldBytes + idleBytes <= maxBytes).toBe(true);
        }
        for (const one of open) one.held.release();
        expect(cache.stats().heldBytes).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
