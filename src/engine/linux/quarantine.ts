/** Peers that are not to be heard for a while, oldest first: integers in a ring, because there are thousands. */
import { SOCKADDR_ROOM } from './libc.ts';

const SOCKADDR_WORDS = SOCKADDR_ROOM >> 2;
/** A sockaddr, and until when. */
const ROW = SOCKADDR_WORDS + 1;

export class Quarantine {
  readonly #most: number;
  #rows: Int32Array<ArrayBuffer>;
  #first = 0;
  #count = 0;

  /** @param most peers at once, a power of two. */
  constructor(most: number) {
    this.#most = most;
    this.#rows = new Int32Array(Math.min(most, 64) * ROW);
  }

  get full(): boolean {
    return this.#count === this.#most;
  }

  /** Takes in the peer whose sockaddr is at words[at]. Not when full. @param until not before any other's. */
  push(words: Int32Array, at: number, until: number): void {
    if (this.#count * ROW === this.#rows.length) this.#grow();
    const row = this.#row(this.#count++);
    for (let word = 0; word < SOCKADDR_WORDS; word++) this.#rows[row + word] = words[at + word]!;
    this.#rows[row + SOCKADDR_WORDS] = until | 0;
  }

  /** Whether the oldest one's time is over. */
  isOver(now: number): boolean {
    return this.#count > 0 && ((this.#rows[this.#row(0) + SOCKADDR_WORDS]! - (now | 0)) | 0) <= 0;
  }

  /** Lets go of the oldest. @param onShift given where its sockaddr is, until the next push. */
  shift(onShift: (words: Int32Array, at: number) => void): void {
    const row = this.#row(0);
    this.#first = (this.#first + 1) & (this.#rows.length / ROW - 1);
    this.#count--;
    onShift(this.#rows, row);
  }

  #row(index: number): number {
    return ((this.#first + index) & (this.#rows.length / ROW - 1)) * ROW;
  }

  #grow(): void {
    const rows = new Int32Array(this.#rows.length * 2);
    const behind = this.#rows.subarray(this.#first * ROW);
    rows.set(behind);
    rows.set(this.#rows.subarray(0, this.#first * ROW), behind.length);
    this.#rows = rows;
    this.#first = 0;
  }
}
