/** Who waits for memory: files that do not fit beside what is being read. Whoever has waited longest is first. */
import type { Waiting } from './lanes.ts';

/** More are told nothing, and ask again. */
const MAX_WAITING = 256;

export class MemoryQueue<T extends Pick<Waiting, 'lastRequestAt'>> {
  readonly #waiting = new Set<T>();

  get size(): number {
    return this.#waiting.size;
  }

  get isFull(): boolean {
    return this.#waiting.size >= MAX_WAITING;
  }

  add(waiting: T): void {
    this.#waiting.add(waiting);
  }

  /** @returns whether it waited. */
  delete(waiting: T): boolean {
    return this.#waiting.delete(waiting);
  }

  /** Takes out the first. */
  take(): T | undefined {
    const [first] = this.#waiting;
    if (first !== undefined) this.#waiting.delete(first);
    return first;
  }

  /** Takes out everyone who has not asked since `before`. */
  takeSilent(before: number): T[] {
    const silent = [...this.#waiting].filter(({ lastRequestAt }) => lastRequestAt < before);
    for (const waiting of silent) this.#waiting.delete(waiting);
    return silent;
  }
}
