/** Finds the network interface that has an address of this machine. Knows the system's list of interfaces, and no packets. */
import { networkInterfaces } from 'node:os';
import type { Interfaces } from './neighbours.ts';
import { NetworkList } from './network-list.ts';

/** Interfaces come and go; listing them takes some 100 µs. */
const LOOK_AGAIN_MS = 1000;

export class InterfaceNames {
  readonly #now: () => number;
  readonly #read: () => Interfaces;
  #known: readonly (readonly [name: string, addresses: NetworkList])[] = [];
  #readAt = Number.NEGATIVE_INFINITY;

  /** @param now milliseconds since some moment. */
  constructor(now: () => number, read: () => Interfaces = networkInterfaces) {
    this.#now = now;
    this.#read = read;
  }

  /** @param address in text, with its scope where it has one. @returns undefined when no interface has it. */
  of(address: string): string | undefined {
    // Only the scope tells apart what is link-local.
    const [, scope] = address.split('%');
    if (scope !== undefined) return scope;
    const now = this.#now();
    if (Math.abs(now - this.#readAt) >= LOOK_AGAIN_MS) {
      this.#readAt = now;
      this.#known = Object.entries(this.#read()).map(([name, own = []]) => {
        // Every address of a loopback network is this machine's.
        const ours = own.map(({ internal, cidr, address: one }) => (internal && cidr !== null ? cidr : one));
        return [name, new NetworkList(ours)] as const;
      });
    }
    return this.#known.find(([, addresses]) => addresses.has(address))?.[0];
  }
}
