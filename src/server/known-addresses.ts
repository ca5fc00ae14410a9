/** Addresses that have completed a transfer of late: nobody who only forges them can. Knows no transfers. */

/** So long a completed transfer speaks for its address. */
const KNOWN_MS = 600_000;
/** Addresses that are remembered; the one whose last transfer is the oldest is forgotten first. */
const MAX_KNOWN = 65_536;

export class KnownAddresses {
  /** When the last transfer completed, oldest first. */
  readonly #completedAt = new Map<string, number>();

  add(address: string, now: number): void {
    this.#completedAt.delete(address);
    this.#completedAt.set(address, now);
    if (this.#completedAt.size <= MAX_KNOWN) return;
    const [oldest] = this.#completedAt.keys();
    this.#completedAt.delete(oldest!);
  }

  has(address: string, now: number): boolean {
    const completedAt = this.#completedAt.get(address);
    return completedAt !== undefined && now - completedAt < KNOWN_MS;
  }
}
