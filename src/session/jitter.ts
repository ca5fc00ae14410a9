/** A seeded generator of small random numbers (xorshift32): the same seed gives the same transfer again. */
export class Jitter {
  #state: number;

  /** @param seed any integer; 0 is taken as 1, where xorshift would stand still. */
  constructor(seed: number) {
    this.#state = seed | 0 || 1;
  }

  /** The next number, 0 <= n < bound; bound is at most 2^31. */
  next(bound: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) % bound;
  }
}
