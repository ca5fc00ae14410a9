/** A token bucket, which limits the rate of events. Knows no log and no timers; time is an argument. */

export class RateBound {
  readonly #burst: number;
  readonly #perSecond: number;
  #tokens: number;
  #filledAt: number;

  /**
   * @param burst maximum number of events at once, at least 1.
   * @param perSecond sustained number of events per second.
   * @param now milliseconds of the clock that is later passed to `take`.
   */
  constructor(burst: number, perSecond: number, now: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#tokens = burst;
    this.#filledAt = now;
  }

  /** Takes a token. @returns false when the limit is exceeded. */
  take(now: number): boolean {
    const earned = (Math.max(0, now - this.#filledAt) / 1000) * this.#perSecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + earned);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
