/**
 * Looks up how long the pins of a channel hold: by the channel's settings, else by the server's. Knows settings; no
 * pins.
 */
import type { Catalog } from '../store/catalog.ts';
import type { PinPolicy } from '../store/records.ts';

export class PinPolicies {
  readonly #catalog: Catalog;
  readonly #standard: PinPolicy;

  /** @param standard policy for channels without settings of their own. */
  constructor(catalog: Catalog, standard: PinPolicy) {
    this.#catalog = catalog;
    this.#standard = standard;
  }

  of(channel: string): PinPolicy {
    const settings = this.#catalog.channels.get(channel)?.settings;
    if (settings === undefined) return this.#standard;
    const { pinIdleMs = this.#standard.pinIdleMs, pinCapMs = this.#standard.pinCapMs } = settings;
    return { pinIdleMs, pinCapMs };
  }

  /** Returns the shortest idle time of all channels, in milliseconds. */
  shortestIdleMs(): number {
    let shortest = this.#standard.pinIdleMs;
    for (const { settings } of this.#catalog.channels.values()) {
      shortest = Math.min(shortest, settings.pinIdleMs ?? shortest);
    }
    return shortest;
  }
}
