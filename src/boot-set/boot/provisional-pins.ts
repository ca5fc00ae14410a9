/**
 * Tracks provisional pins, those under which no client has acknowledged anything, by the network of their address.
 * Anyone can send a request in any name, so each network has a cap. Names the pin to evict; evicts none itself.
 */
import { isV6Prefix, prefixOf } from '../../text/address-prefix.ts';

/**
 * Cap on provisional pins of an IPv4 /24.
 * @limit Provisional pins of one IPv4 /24. Shows: `reveille_pins_evicted_total`.
 */
const PROVISIONAL_PER_V4_PREFIX = 2048;
/**
 * Cap on provisional pins of an IPv6 /64.
 * @limit Provisional pins of one IPv6 /64. Shows: `reveille_pins_evicted_total`.
 */
const PROVISIONAL_PER_V6_PREFIX = 8192;

interface Placed {
  readonly record: { readonly address: string };
}

export class ProvisionalPins<Pin extends Placed> {
  readonly #prefixOf = new Map<Pin, string>();
  /** Pins of each network, the most recently used last. */
  readonly #byPrefix = new Map<string, Set<Pin>>();

  get size(): number {
    return this.#prefixOf.size;
  }

  /**
   * Adds a pin, or moves it to the end when it is used again.
   *
   * @returns the pin to evict when its network is over the cap.
   */
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
