/** Remembers what this server has last seen of nodes' shared values. Bounded; what is forgotten is read again. */
import type { NodeId } from '../node/node-identity.ts';
import { NO_PINS, OVER_LIFE_MS, type SharedPin } from './shared-record.ts';

/**
 * A node needs longer to reset, and to begin a boot at another server.
 * @limit Age at which an answer of the server of shared pins is no longer trusted, and a request asks again. Shows:
 * `reveille_shared_pins_seconds`.
 */
export const TRUST_MS = 2000;
/** @limit Nodes whose shared pins a server remembers. Shows: nothing: they are read again. */
const MAX_SEEN = 131_072;

/** A node's shared value as this server has last seen it. */
export interface Seen {
  /** Empty: there was none. undefined: never seen. */
  text: string | undefined;
  number: number;
  holder: string;
  pins: string;
  seenAt: number;
  /** True when the node was here since then without the engine's knowledge. */
  isUnheard: boolean;
  /** True when the boot here differs from that of the other servers, and stays. */
  isKept: boolean;
  /** Pins of versions that this store lacks. */
  lacking: readonly SharedPin[];
  /** When boots began, by channel: by this server's time, and as it is shared. */
  readonly births: Map<string, { readonly local: number; readonly shared: number }>;
}

export class SeenNodes {
  readonly #seen = new Map<NodeId, Seen>();
  #distrustedAt = Number.NEGATIVE_INFINITY;

  /** Number of nodes that were here without the engine's knowledge. */
  get unheard(): number {
    let unheard = 0;
    for (const { isUnheard } of this.#seen.values()) if (isUnheard) unheard++;
    return unheard;
  }

  /** Returns what may be changed in place. */
  of(strand: NodeId): Seen {
    let seen = this.#seen.get(strand);
    if (seen === undefined) {
      const nothing = { text: undefined, number: 0, holder: '', pins: '', lacking: [] };
      seen = { ...nothing, seenAt: Number.NEGATIVE_INFINITY, isUnheard: false, isKept: false, births: new Map() };
      this.#seen.set(strand, seen);
      if (this.#seen.size > MAX_SEEN) this.#seen.delete(this.#seen.keys().next().value!);
    }
    return seen;
  }

  /** Returns the digest of a version that a node boots elsewhere, and this store lacks. */
  lacking(strand: NodeId, channel: string): string | undefined {
    return this.#seen.get(strand)?.lacking.find((pin) => pin.channel === channel)?.digest;
  }

  areTrusted(strands: readonly NodeId[], now: number): boolean {
    return strands.every((strand) => {
      const seen = this.#seen.get(strand);
      return (
        seen !== undefined &&
        now - seen.seenAt < TRUST_MS &&
        seen.seenAt > this.#distrustedAt &&
        seen.lacking.length === 0
      );
    });
  }

  /** Lets everything be read again. @returns nodes whose boots are known to be over. */
  distrust(now: number): NodeId[] {
    this.#distrustedAt = now;
    const over = [...this.#seen].filter(([, { pins, seenAt }]) => pins === NO_PINS && now - seenAt < OVER_LIFE_MS);
    return over.map(([strand]) => strand);
  }
}
