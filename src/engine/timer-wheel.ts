/**
 * Deadlines for thousands of transfers, without an object or a native timer for each: a ring of one-millisecond slots,
 * each the head of a doubly linked list kept in integer arrays. Scheduling, moving and cancelling cost O(1).
 *
 * A deadline beyond the ring's span waits in its slot and is checked once per turn of the ring. Knows no clock: `now`
 * is an argument, in whole milliseconds.
 */

/** The span of the ring in milliseconds; a power of two beyond the longest retransmission timeout. */
const SLOTS = 8192;
const WORDS = SLOTS / 32;
const NONE = -1;

export class TimerWheel {
  readonly #heads = new Int32Array(SLOTS).fill(NONE);
  /** One bit per slot that is not empty, so that the next deadline is found without walking the ring. */
  readonly #occupied = new Int32Array(WORDS);
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  #slot = new Int32Array(0);
  #due = new Float64Array(0);
  #cursor: number;
  #size = 0;

  constructor(now: number) {
    this.#cursor = now;
  }

  /** Number of pending deadlines. */
  get size(): number {
    return this.#size;
  }

  /** Returns when `id` is due, or Infinity when it has no deadline. */
  dueAt(id: number): number {
    return id < this.#slot.length && this.#slot[id] !== NONE ? this.#due[id]! : Number.POSITIVE_INFINITY;
  }

  /** Sets or moves the deadline of `id`, a small integer: the arrays grow to the largest ever used. */
  schedule(id: number, at: number): void {
    if (id >= this.#slot.length) this.#grow(id + 1);
    if (this.#slot[id] !== NONE) this.#unlink(id);
    const due = Math.max(at, this.#cursor + 1);
    const slot = due % SLOTS;
    const head = this.#heads[slot]!;
    this.#due[id] = due;
    this.#slot[id] = slot;
    this.#next[id] = head;
    this.#previous[id] = NONE;
    if (head !== NONE) this.#previous[head] = id;
    this.#heads[slot] = id;
    this.#occupied[slot >> 5]! |= 1 << (slot & 31);
    this.#size++;
  }

  /** Cancels the deadline of `id`, if it has one. */
  cancel(id: number): void {
    if (id < this.#slot.length && this.#slot[id] !== NONE) this.#unlink(id);
  }

  /** Calls `onDue(id)` for every deadline up to and including `now`, each removed before its call. */
  advance(now: number, onDue: (id: number) => void): void {
    if (now <= this.#cursor) return;
    // After a long pause every slot is visited once, not once per millisecond missed.
    const first = Math.max(this.#cursor + 1, now - SLOTS + 1);
    this.#cursor = now;
    for (let tick = first; tick <= now && this.#size > 0; tick++) {
      const slot = tick % SLOTS;
      if ((this.#occupied[slot >> 5]! & (1 << (slot & 31))) === 0) continue;
      // onDue may schedule and cancel: new deadlines lie after `now`, and so never in this list's due part.
      for (let id = this.#heads[slot]!; id !== NONE; ) {
        if (this.#due[id]! > now) {
          id = this.#next[id]!;
          continue;
        }
        this.#unlink(id);
        onDue(id);
        id = this.#heads[slot]!;
      }
    }
  }

  /**
   * Returns a time before which nothing is due: the next deadline, or an earlier turn of the ring past it. Infinity
   * when empty.
   */
  next(): number {
    if (this.#size === 0) return Number.POSITIVE_INFINITY;
    const start = (this.#cursor + 1) % SLOTS;
    let word = start >> 5;
    // The first word counts from the cursor's bit on; after a full turn its lower bits count too.
    let bits = this.#occupied[word]! & (-1 << (start & 31));
    for (let turn = 0; turn <= WORDS; turn++) {
      if (bits !== 0) {
        const slot = (word << 5) + (31 - Math.clz32(bits & -bits));
        return this.#cursor + 1 + ((slot - start + SLOTS) % SLOTS);
      }
      word = (word + 1) % WORDS;
      bits = this.#occupied[word]!;
    }
    return Number.POSITIVE_INFINITY;
  }

  #unlink(id: number): void {
    const slot = this.#slot[id]!;
    const next = this.#next[id]!;
    const previous = this.#previous[id]!;
    if (next !== NONE) this.#previous[next] = previous;
    if (previous !== NONE) this.#next[previous] = next;
    else {
      this.#heads[slot] = next;
      if (next === NONE) this.#occupied[slot >> 5]! &= ~(1 << (slot & 31));
    }
    this.#slot[id] = NONE;
    this.#size--;
  }

  #grow(atLeast: number): void {
    const length = Math.max(64, atLeast, this.#slot.length * 2);
    const copy = (from: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> => {
      const to = new Int32Array(length).fill(NONE);
      to.set(from);
      return to;
    };
    this.#next = copy(this.#next);
    this.#previous = copy(this.#previous);
    this.#slot = copy(this.#slot);
    const due = new Float64Array(length);
    due.set(this.#due);
    this.#due = due;
  }
}
