/**
 * Finds the network interface that has a given address of this machine. Knows the system's list of interfaces, and no
 * packets.
 */
import { networkInterfaces } from 'node:os';
import type { Interfaces } from './neighbours.ts';
import { NetworkList } from './network-list.ts';

/** The list of interfaces is refreshed after this time: interfaces come and go, and listing them takes about 100 µs. */
const LOOK_AGAIN_MS = 1000;

export class InterfaceNames {
  readonly #now: () => number;
  readonly #read: () => Interfaces;
  #known: readonly (readonly [name: string, addresses: NetworkList])[] = [];
  #readAt = Number.NEGATIVE_INFINITY;

  /** @param now clock in milliseconds, with an arbitrary origin. */
  constructor(now: () => number, read: () => Interfaces = networkInterfaces) {
    this.#now = now;
    this.#read = read;
  }

  /**
   * @param address as text, with its scope if it has one.
   * @returns the interface's name; undefined when no interface has the address.
   */
  of(address: string): string | undefined {
    // Several interfaces may have the same link-local address; the scope names the interface.
    const [, scope] = address.split('%');
    if (scope !== undefined) return scope;
    const now = this.#now();
    if (Math.abs(now - this.#readAt) >= LOOK_AGAIN_MS) {
      this.#readAt = now;
      this.#known = Object.entries(this.#read()).map(([name, own = []]) => {
        // Every address in a loopback network belongs to this machine.
        const ours = own.map(({ internal, cidr, address: one }) => (internal && cidr !== null ? cidr : one));
        return [name, new NetworkList(ours)] as const;
      });
    }
    return this.#known.find(([, addresses]) => addresses.has(address))?.[0];
  }
}
