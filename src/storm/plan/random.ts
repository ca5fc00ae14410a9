/**
 * Seeded random numbers for storms: the same seed gives the same storm. Each node, link and law draws from its own
 * fork, which depends only on the seed and the label, never on what others have drawn: nodes can be spread over threads
 * in any way and behave the same.
 */

/** A bijection of 32 bits whose output bits depend on all input bits (Wellons' lowbias32). */
export function scramble(word: number): number {
  let x = word;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

const TWO_32 = 0x1_0000_0000;
/** Seeds keep 21 bits of their upper word, which is all that a double holds exactly. */
const UPPER_MASK = 0x1f_ffff;

/** The sfc32 generator (Doty-Humphrey), its state filled from the seed. */
export class Random {
  /** Seed that recreates this generator, for instance in another thread. */
  readonly seed: number;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed a whole number, 0 <= seed < 2^53. */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError(`Expected a seed 0 to 2^53 - 1, got ${seed}`);
    this.seed = seed;
    this.#a = scramble(seed >>> 0);
    this.#b = scramble(Math.floor(seed / TWO_32) ^ 0x9e3779b9);
    this.#c = scramble(this.#a ^ this.#b ^ 0x85ebca6b);
    for (let round = 0; round < 12; round++) this.word();
  }

  /** @returns an independent generator for what `label` names. */
  fork(label: string | number): Random {
    const text = typeof label === 'number' ? `#${label}` : `"${label}`;
    let low = scramble(this.seed >>> 0);
    let high = scramble(Math.floor(this.seed / TWO_32) ^ 0x5bd1e995);
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      low = scramble(low ^ code);
      high = scramble(high + Math.imul(code, 0x9e3779b1));
    }
    return new Random(((high ^ low) & UPPER_MASK) * TWO_32 + low);
  }

  /** @returns 32 random bits, 0 <= word < 2^32. */
  word(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** @returns a number 0 <= x < 1. */
  next(): number {
    return this.word() / TWO_32;
  }

  /** @returns a whole number, from <= n <= to. */
  between(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  /** Draws even where the answer is certain, so that a changed probability affects no other draw. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** @returns a gap between random events that are `mean` apart on average. */
  exponential(mean: number): number {
    return -Math.log(1 - this.next()) * mean;
  }
}
