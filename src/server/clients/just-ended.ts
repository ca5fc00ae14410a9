/**
 * Requests that have been served, for as long as copies of them may wait unread. Firmware repeats a request that is not
 * answered at once; at a port that all transfers share, an answer to a late copy would reach its client as the answer
 * to the next request. A copy has arrived before the transfer ended. Knows texts and times.
 */

/**
 * @limit Time for which late copies of an answered request are recognized, with `singlePort`. Shows: nothing: a later
 * copy is answered.
 */
const KEPT_MS = 10_000;
/**
 * @limit Requests remembered to recognize their late copies, with `singlePort`. Shows: nothing: copies of the oldest are
 * answered.
 */
const MAX_KEPT = 65_536;

/**
 * How much later a copy may seem to have arrived than it has: a late client sends a copy and its first ACK in one
 * millisecond, two threads read them, and a batch of packets has the time of its beginning.
 */
export const SLACK_MS = 5;

interface Ended {
  readonly requestText: string;
  /** When the client was last heard from, ms. */
  readonly at: number;
}

export class JustEnded {
  /** The last one of each client port, in the order of their ends. */
  readonly #byKey = new Map<string, Ended>();

  /** @param at when the client was last heard from, or the request refused, ms. */
  note(key: string, requestText: string, at: number, now: number): void {
    this.#byKey.delete(key);
    this.#byKey.set(key, { requestText, at });
    for (const [oldest, ended] of this.#byKey) {
      if (this.#byKey.size <= MAX_KEPT && now - ended.at < KEPT_MS) return;
      this.#byKey.delete(oldest);
    }
  }

  /** Tells whether a request is a copy of one that has been answered since the copy arrived. */
  covers(key: string, requestText: string, arrivedAt: number): boolean {
    const ended = this.#byKey.get(key);
    return ended !== undefined && ended.requestText === requestText && arrivedAt <= ended.at + SLACK_MS;
  }
}
