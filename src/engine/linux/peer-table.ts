/**
 * Finds a datagram's link: an open-addressed table from a peer's sockaddr to a small number, without an allocation per
 * look-up. A row holds a key of six words (family and port, address, scope) and its value: with thousands of peers each
 * row is a cache miss, so a look-up reads one.
 */
import { AF_INET } from './libc.ts';
import type { Family } from './socket-address.ts';

const KEY_WORDS = 6;
const ROW = 8;
const VALUE = 6;
const EMPTY = -1;

export class PeerTable {
  readonly #family: Family;
  #rows = emptyRows(64);
  #mask = 63;
  #size = 0;

  constructor(family: Family) {
    this.#family = family;
  }

  get size(): number {
    return this.#size;
  }

  /** Returns the value set for the peer whose sockaddr is at words[at], or -1. */
  find(words: Int32Array, at: number): number {
    return this.#rows[this.#slot(words, at) * ROW + VALUE]!;
  }

  /** Sets a peer's value. @param value any number but -1. */
  set(words: Int32Array, at: number, value: number): void {
    if ((this.#size + 1) * 2 > this.#mask) this.#grow();
    const slot = this.#slot(words, at);
    if (this.#valueAt(slot) === EMPTY) this.#size++;
    this.#write(slot, words, at, value);
  }

  delete(words: Int32Array, at: number): void {
    let hole = this.#slot(words, at);
    if (this.#valueAt(hole) === EMPTY) return;
    this.#size--;
    // Entries behind the hole move up, unless they are in their home slot: without tombstones, look-ups stay short.
    const mask = this.#mask;
    for (let slot = (hole + 1) & mask; this.#valueAt(slot) !== EMPTY; slot = (slot + 1) & mask) {
      const home = this.#hashOf(this.#rows, slot) & mask;
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      this.#rows.copyWithin(hole * ROW, slot * ROW, (slot + 1) * ROW);
      hole = slot;
    }
    this.#rows[hole * ROW + VALUE] = EMPTY;
  }

  #valueAt(slot: number): number {
    return this.#rows[slot * ROW + VALUE]!;
  }

  /** Returns the slot of the key, or the free slot it would get. */
  #slot(words: Int32Array, at: number): number {
    const mask = this.#mask;
    const rows = this.#rows;
    const portWord = words[at]!;
    if (this.#family === AF_INET) {
      const address = words[at + 1]!;
      let slot = hash(portWord, address) & mask;
      for (; rows[slot * ROW + VALUE] !== EMPTY; slot = (slot + 1) & mask) {
        if (rows[slot * ROW] === portWord && rows[slot * ROW + 1] === address) return slot;
      }
      return slot;
    }
    // sockaddr_in6: port, flow label (not part of the key), four words of address, scope.
    let slot = hash(portWord, words[at + 2]! ^ words[at + 3]! ^ words[at + 4]! ^ words[at + 5]!) & mask;
    for (; rows[slot * ROW + VALUE] !== EMPTY; slot = (slot + 1) & mask) {
      const key = slot * ROW;
      if (
        rows[key] === portWord &&
        rows[key + 1] === words[at + 2] &&
        rows[key + 2] === words[at + 3] &&
        rows[key + 3] === words[at + 4] &&
        rows[key + 4] === words[at + 5] &&
        rows[key + 5] === words[at + 6]
      ) {
        return slot;
      }
    }
    return slot;
  }

  #write(slot: number, words: Int32Array, at: number, value: number): void {
    const row = slot * ROW;
    this.#rows[row] = words[at]!;
    if (this.#family === AF_INET) this.#rows[row + 1] = words[at + 1]!;
    else for (let word = 1; word < KEY_WORDS; word++) this.#rows[row + word] = words[at + 1 + word]!;
    this.#rows[row + VALUE] = value;
  }

  #hashOf(rows: Int32Array, slot: number): number {
    const row = slot * ROW;
    return this.#family === AF_INET
      ? hash(rows[row]!, rows[row + 1]!)
      : hash(rows[row]!, rows[row + 1]! ^ rows[row + 2]! ^ rows[row + 3]! ^ rows[row + 4]!);
  }

  #grow(): void {
    const old = this.#rows;
    const slots = old.length / ROW;
    this.#rows = emptyRows(slots * 2);
    this.#mask = slots * 2 - 1;
    for (let from = 0; from < slots; from++) {
      if (old[from * ROW + VALUE] === EMPTY) continue;
      let slot = this.#hashOf(old, from) & this.#mask;
      while (this.#valueAt(slot) !== EMPTY) slot = (slot + 1) & this.#mask;
      this.#rows.set(old.subarray(from * ROW, (from + 1) * ROW), slot * ROW);
    }
  }
}

/** @param slots a power of two. */
function emptyRows(slots: number): Int32Array<ArrayBuffer> {
  const rows = new Int32Array(slots * ROW);
  for (let slot = 0; slot < slots; slot++) rows[slot * ROW + VALUE] = EMPTY;
  return rows;
}

function hash(port: number, address: number): number {
  let h = Math.imul(port, 0x9e3779b1) ^ Math.imul(address, 0x85ebca6b);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return h ^ (h >>> 13);
}
