/**
 * Which link a datagram belongs to: an open-addressed table from a peer's sockaddr to a small number, without an
 * allocation per look-up. Six words make a key: family and port, address, scope.
 */
import { AF_INET } from './libc.ts';
import type { Family } from './socket-address.ts';

const WORDS = 6;
const EMPTY = -1;

export class PeerTable {
  readonly #family: Family;
  #keys = new Int32Array(64 * WORDS);
  #values = new Int32Array(64).fill(EMPTY);
  #size = 0;

  constructor(family: Family) {
    this.#family = family;
  }

  get size(): number {
    return this.#size;
  }

  /** What was set for the peer whose sockaddr is at words[at], or -1. */
  find(words: Int32Array, at: number): number {
    return this.#values[this.#slot(words, at)]!;
  }

  /** @param value anything but -1. */
  set(words: Int32Array, at: number, value: number): void {
    if ((this.#size + 1) * 2 > this.#values.length) this.#grow();
    const slot = this.#slot(words, at);
    if (this.#values[slot] === EMPTY) this.#size++;
    this.#write(slot, words, at, value);
  }

  delete(words: Int32Array, at: number): void {
    let hole = this.#slot(words, at);
    if (this.#values[hole] === EMPTY) return;
    this.#size--;
    // Entries behind the hole move up, unless they are where they belong: no tombstones, so look-ups stay short.
    const mask = this.#values.length - 1;
    for (let slot = (hole + 1) & mask; this.#values[slot] !== EMPTY; slot = (slot + 1) & mask) {
      const home = this.#hashAt(slot) & mask;
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      this.#keys.copyWithin(hole * WORDS, slot * WORDS, (slot + 1) * WORDS);
      this.#values[hole] = this.#values[slot]!;
      hole = slot;
    }
    this.#values[hole] = EMPTY;
  }

  /** Where the key is, or would be put. */
  #slot(words: Int32Array, at: number): number {
    const mask = this.#values.length - 1;
    const keys = this.#keys;
    const portWord = words[at]!;
    if (this.#family === AF_INET) {
      const address = words[at + 1]!;
      let slot = hash(portWord, address) & mask;
      for (; this.#values[slot] !== EMPTY; slot = (slot + 1) & mask) {
        if (keys[slot * WORDS] === portWord && keys[slot * WORDS + 1] === address) return slot;
      }
      return slot;
    }
    // sockaddr_in6: port, flow label (not part of the key), four words of address, scope.
    let slot = hash(portWord, words[at + 2]! ^ words[at + 3]! ^ words[at + 4]! ^ words[at + 5]!) & mask;
    for (; this.#values[slot] !== EMPTY; slot = (slot + 1) & mask) {
      const key = slot * WORDS;
      if (
        keys[key] === portWord &&
        keys[key + 1] === words[at + 2] &&
        keys[key + 2] === words[at + 3] &&
        keys[key + 3] === words[at + 4] &&
        keys[key + 4] === words[at + 5] &&
        keys[key + 5] === words[at + 6]
      ) {
        return slot;
      }
    }
    return slot;
  }

  #write(slot: number, words: Int32Array, at: number, value: number): void {
    const key = slot * WORDS;
    this.#keys[key] = words[at]!;
    if (this.#family === AF_INET) this.#keys[key + 1] = words[at + 1]!;
    else for (let word = 1; word < WORDS; word++) this.#keys[key + word] = words[at + 1 + word]!;
    this.#values[slot] = value;
  }

  #hashAt(slot: number): number {
    const key = slot * WORDS;
    const keys = this.#keys;
    return this.#family === AF_INET
      ? hash(keys[key]!, keys[key + 1]!)
      : hash(keys[key]!, keys[key + 1]! ^ keys[key + 2]! ^ keys[key + 3]! ^ keys[key + 4]!);
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = new Int32Array(keys.length * 2);
    this.#values = new Int32Array(values.length * 2).fill(EMPTY);
    const mask = this.#values.length - 1;
    for (let old = 0; old < values.length; old++) {
      if (values[old] === EMPTY) continue;
      const key = keys.subarray(old * WORDS, (old + 1) * WORDS);
      const home =
        this.#family === AF_INET ? hash(key[0]!, key[1]!) : hash(key[0]!, key[1]! ^ key[2]! ^ key[3]! ^ key[4]!);
      let slot = home & mask;
      while (this.#values[slot] !== EMPTY) slot = (slot + 1) & mask;
      this.#keys.set(key, slot * WORDS);
      this.#values[slot] = values[old]!;
    }
  }
}

function hash(port: number, address: number): number {
  let h = Math.imul(port, 0x9e3779b1) ^ Math.imul(address, 0x85ebca6b);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return h ^ (h >>> 13);
}
