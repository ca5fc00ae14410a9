/** A seeded generator of small random numbers (xorshift32): the same seed reproduces the same transfer. */
export class Jitter {
  #state: number;

  /** @param seed any integer; 0 is taken as 1, because xorshift never leaves 0. */
  constructor(seed: number) {
    // Spreads neighboring seeds, which servers hand out: xorshift's first numbers from small seeds are small.
    this.#state = Math.imul(seed, 0x9e3779b1) || 1;
  }

  /** Returns the next number, 0 <= n < bound; bound is at most 2^31. */
  next(bound: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    // Scales instead of taking a remainder: V8 calls a function to divide numbers beyond 31 bits.
    return Math.floor((x >>> 0) * 2 ** -32 * bound);
  }
}
