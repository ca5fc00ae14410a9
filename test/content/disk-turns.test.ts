import { describe, expect, it } from 'vitest';
import { Turns } from '../../src/content/disk-turns.ts';

describe('turns to read from a disk', () => {
  /** Reads that end when the test says so. */
  class Reads {
    readonly turns = new Turns<number>(2);
    readonly begun: string[] = [];
    readonly #ends = new Map<string, (error?: Error) => void>();

    start(disk: number, name: string): Promise<string> {
      return this.turns.run(disk, () => {
        this.begun.push(name);
        return new Promise((resolve, reject) => {
          this.#ends.set(name, (error) => (error === undefined ? resolve(name) : reject(error)));
        });
      });
    }

    end(name: string, error?: Error): void {
      this.#ends.get(name)!(error);
    }
  }

  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('are given to two at once, in the order of arrival, even after a failed one', async () => {
    const reads = new Reads();
    const all = ['a', 'b', 'c', 'd', 'e'].map((name) => reads.start(1, name));
    await settle();
    expect(reads.begun).toEqual(['a', 'b']);
    reads.end('b', new Error('EIO'));
    await expect(all[1]).rejects.toThrow('EIO');
    await settle();
    expect(reads.begun).toEqual(['a', 'b', 'c']);
    for (const name of ['c', 'a', 'd', 'e']) {
      reads.end(name);
      // oxlint-disable-next-line no-await-in-loop -- the next read begins when this one has ended.
      await settle();
    }
    expect(reads.begun).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(await Promise.all(all.filter((_, index) => index !== 1))).toEqual(['a', 'c', 'd', 'e']);
  });

  it('of a disk that hangs do not block another disk', async () => {
    const reads = new Reads();
    for (const name of ['stuck 1', 'stuck 2', 'stuck 3', 'stuck 4', 'stuck 5']) void reads.start(1, name);
    const sound = reads.start(2, 'sound');
    await settle();
    expect(reads.begun).toEqual(['stuck 1', 'stuck 2', 'sound']);
    reads.end('sound');
    expect(await sound).toBe('sound');
  });
});
