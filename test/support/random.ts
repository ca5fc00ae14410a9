/** Seeded random numbers for tests: of better quality than a transfer's jitter, and independent of it. */

/** mulberry32 over a mixed seed, so that neighboring seeds have nothing in common. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed ^ (seed >>> 16) ^ Math.floor(seed / 0x1_0000_0000), 0x45d9f3b) ^ 0x9e3779b9;
  }

  /** Returns a number x with 0 <= x < 1. */
  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** Returns an integer n with from <= n <= to. */
  between(from: number, to: number): number {
    return from + Math.floor(this.unit() * (to - from + 1));
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.between(0, choices.length - 1)]!;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at++) bytes[at] = this.between(0, 255);
    return bytes;
  }
}
