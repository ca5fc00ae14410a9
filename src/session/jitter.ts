/** A seeded generator of small random numbers (xorshift32): the same seed gives the same transfer again. */
export class Jitter {
  #state: number;

  /** @param seed any integer; 0 is taken as 1, where xorshift would stand still. */
  constructor(seed: number) {
    // Neighbouring seeds, as servers hand them out, far apart: xorshift's first numbers from small ones are small.
    this.#state = Math.imul(seed, 0x9e3779b1) || 1;
  }

  /** The next number, 0 <= n < bound; bound is at most 2^31. */
  next(bound: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    // Its share of the range, not a remainder: that is a division, which for numbers beyond 31 bits V8 calls a function for.
    return Math.floor((x >>> 0) * 2 ** -32 * bound);
  }
}
