/**
 * Who waits for memory: files that do not fit beside what is being read. Where there are too many, and when there is
 * memory again, chance decides among strangers, so that none who forges requests can be before all others.
 */
import type { Jitter } from '../session/jitter.ts';
import type { Waiting } from './lanes.ts';

const MAX_WAITING = 256;

export class MemoryQueue<T extends Pick<Waiting, 'lastRequestAt'>> {
  readonly #random: Jitter;
  /** In no order. */
  readonly #waiting: T[] = [];

  constructor(random: Jitter) {
    this.#random = random;
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** @returns one that has to go for it: strangers first, at random. */
  add(waiting: T, isKnown: (waiting: T) => boolean): T | undefined {
    const isFull = this.#waiting.length >= MAX_WAITING;
    if (isFull && !isKnown(waiting) && this.#waiting.every(isKnown)) return waiting;
    const surplus = isFull ? this.#takeRandom((one) => !isKnown(one)) : undefined;
    this.#waiting.push(waiting);
    return surplus;
  }

  /** @returns whether it waited. */
  delete(waiting: T): boolean {
    const at = this.#waiting.indexOf(waiting);
    if (at < 0) return false;
    this.#waiting.splice(at, 1);
    return true;
  }

  /** Takes one out at random: three times out of four of the known ones, whose files may not fit for long. */
  take(isKnown: (waiting: T) => boolean): T | undefined {
    return this.#takeRandom(this.#random.next(4) > 0 ? isKnown : () => true);
  }

  /** Takes out everyone who has not asked since `before`. */
  takeSilent(before: number): T[] {
    const silent = this.#waiting.filter(({ lastRequestAt }) => lastRequestAt < before);
    for (const waiting of silent) this.delete(waiting);
    return silent;
  }

  #takeRandom(preferred: (waiting: T) => boolean): T | undefined {
    const some = this.#waiting.filter(preferred);
    const among = some.length > 0 ? some : this.#waiting;
    const one = among[this.#random.next(among.length)];
    if (one !== undefined) this.delete(one);
    return one;
  }
}
