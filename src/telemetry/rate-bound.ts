/** A token bucket: how often something may be said. Knows no log and no timers; time is an argument. */

export class RateBound {
  readonly #burst: number;
  readonly #perSecond: number;
  #tokens: number;
  #filledAt: number;

  /**
   * @param burst how many may come at once, at least 1.
   * @param perSecond how many may come per second for ever.
   * @param now milliseconds of the clock that `take` will be asked with.
   */
  constructor(burst: number, perSecond: number, now: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#tokens = burst;
    this.#filledAt = now;
  }

  /** @returns false when it is one too many. */
  take(now: number): boolean {
    const earned = (Math.max(0, now - this.#filledAt) / 1000) * this.#perSecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + earned);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
