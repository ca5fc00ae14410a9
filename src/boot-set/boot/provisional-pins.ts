/**
 * The pins that no client has answered under yet, by the network of their address: anyone can send a request in any
 * name, so each network has room for so many. Knows which of them goes first; drops none itself.
 */
import { isV6Prefix, prefixOf } from '../../text/address-prefix.ts';

/** Provisional pins of a /24 of IPv4, at most. */
const PROVISIONAL_PER_V4_PREFIX = 2048;
/** Provisional pins of a /64 of IPv6, at most. */
const PROVISIONAL_PER_V6_PREFIX = 8192;

interface Placed {
  readonly record: { readonly address: string };
}

export class ProvisionalPins<Pin extends Placed> {
  readonly #prefixOf = new Map<Pin, string>();
  /** Those of a network, the one that was used last at the end. */
  readonly #byPrefix = new Map<string, Set<Pin>>();

  get size(): number {
    return this.#prefixOf.size;
  }

  /** Takes in a pin, or one that was used again. @returns the one that must make way for it. */
  add(pin: Pin): Pin | undefined {
    this.delete(pin);
    const prefix = prefixOf(pin.record.address);
    let pins = this.#byPrefix.get(prefix);
    if (pins === undefined) {
      pins = new Set();
      this.#byPrefix.set(prefix, pins);
    }
    pins.add(pin);
    this.#prefixOf.set(pin, prefix);
    const most = isV6Prefix(prefix) ? PROVISIONAL_PER_V6_PREFIX : PROVISIONAL_PER_V4_PREFIX;
    if (pins.size <= most) return undefined;
    const [first] = pins;
    return first;
  }

  delete(pin: Pin): void {
    const prefix = this.#prefixOf.get(pin);
    if (prefix === undefined) return;
    this.#prefixOf.delete(pin);
    const pins = this.#byPrefix.get(prefix)!;
    pins.delete(pin);
    if (pins.size === 0) this.#byPrefix.delete(prefix);
  }
}
