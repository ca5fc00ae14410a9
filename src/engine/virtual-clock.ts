/** Time that passes only on request: events run in the order of their times, those of one time in the order set. */
import type { Clock } from './types.ts';

interface Event {
  readonly at: number;
  readonly order: number;
  fn: (() => void) | undefined;
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

export class VirtualClock implements Clock {
  #now = 0;
  #order = 0;
  /** A binary heap, earliest first. Cancelled events stay until their turn, without their function. */
  readonly #heap: Event[] = [];

  now(): number {
    return this.#now;
  }

  wake(at: number, fn: () => void): () => void {
    const event: Event = { at: Math.max(this.#now, Math.ceil(at)), order: this.#order++, fn };
    this.#push(event);
    return () => {
      event.fn = undefined;
    };
  }

  /** Runs the next event, if there is one at or before `until`. @returns whether there was one. */
  step(until = Number.POSITIVE_INFINITY): boolean {
    for (;;) {
      const event = this.#heap[0];
      if (event === undefined || event.at > until) return false;
      this.#pop();
      if (event.fn === undefined) continue;
      this.#now = event.at;
      event.fn();
      return true;
    }
  }

  /**
   * Runs events until none is left or `until` is reached. @throws Error when more than `most` run: something in the
   * simulation never comes to rest.
   */
  run(until = Number.POSITIVE_INFINITY, most = 10_000_000): void {
    for (let steps = 0; this.step(until); steps++) {
      if (steps >= most) throw new Error(`Expected at most ${most} events by ${this.#now} ms of virtual time`);
    }
    if (Number.isFinite(until)) this.#now = Math.max(this.#now, until);
  }

  /** Like run(), for code that awaits: after each event all pending promises are settled first. */
  async runAsync(until = Number.POSITIVE_INFINITY, most = 10_000_000): Promise<void> {
    const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    await settle();
    for (let steps = 0; this.step(until); steps++) {
      if (steps >= most) throw new Error(`Expected at most ${most} events by ${this.#now} ms of virtual time`);
      // eslint-disable-next-line no-await-in-loop -- events run one after the other by design.
      await settle();
    }
    if (Number.isFinite(until)) this.#now = Math.max(this.#now, until);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}
