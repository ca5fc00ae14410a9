/**
 * Transfers that wait for memory because their files do not fit beside the contents being read. When the queue is full,
 * and when memory becomes free, strangers are chosen at random, so that forged requests can't all get ahead.
 */
import type { Jitter } from '../session/jitter.ts';
import type { Waiting } from './lanes.ts';

/** @limit Transfers that wait for memory. Shows: `reveille_requests_ignored_total{reason="busy"}`. */
const MAX_WAITING = 256;

export class MemoryQueue<T extends Pick<Waiting, 'lastRequestAt'>> {
  readonly #random: Jitter;
  /** Waiting transfers in no order. */
  readonly #waiting: T[] = [];

  constructor(random: Jitter) {
    this.#random = random;
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** Adds a transfer. @returns a transfer to drop for it, if the queue is full: strangers first, at random. */
  add(waiting: T, isKnown: (waiting: T) => boolean): T | undefined {
    const isFull = this.#waiting.length >= MAX_WAITING;
    if (isFull && !isKnown(waiting) && this.#waiting.every(isKnown)) return waiting;
    const surplus = isFull ? this.#takeRandom((one) => !isKnown(one)) : undefined;
    this.#waiting.push(waiting);
    return surplus;
  }

  /** @returns true if it was waiting. */
  delete(waiting: T): boolean {
    const at = this.#waiting.indexOf(waiting);
    if (at < 0) return false;
    this.#waiting.splice(at, 1);
    return true;
  }

  /**
   * Takes a random transfer: three times out of four one of a known client, otherwise any, since the files of known
   * clients may not fit for a long time.
   */
  take(isKnown: (waiting: T) => boolean): T | undefined {
    return this.#takeRandom(this.#random.next(4) > 0 ? isKnown : () => true);
  }

  /** Removes and returns all whose last request came before `before`. */
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
