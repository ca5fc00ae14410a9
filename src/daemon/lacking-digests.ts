/**
 * Decides for how long requests for versions that the store lacks stay unanswered. Knows digests and times; starts no
 * download. Its memory is bounded, because names in requests may be forged.
 */

/**
 * Time for which a request for an unknown version stays unanswered; then the file is "not found".
 * @limit Time for which requests for an unknown version of a followed channel stay unanswered.
 */
export const SILENT_MS = 60_000;
/** @limit Unknown versions of followed channels that are remembered; the oldest are forgotten first. */
const MAX_UNKNOWN = 1024;

export class LackingDigests {
  /** Time of the first request, by name, the oldest first. */
  readonly #since = new Map<string, number>();

  get size(): number {
    return this.#since.size;
  }

  /** Returns true while a request for this name stays unanswered. @param now clock in milliseconds. */
  isSilent(name: string, now: number): boolean {
    const since = this.#since.get(name);
    // Later, a client that comes back is given the time again: the version may be on its way by now.
    if (since !== undefined && now - since < 2 * SILENT_MS) return now - since < SILENT_MS;
    this.#since.delete(name);
    if (this.#since.size >= MAX_UNKNOWN) this.#since.delete(this.#since.keys().next().value!);
    this.#since.set(name, now);
    return true;
  }
}
