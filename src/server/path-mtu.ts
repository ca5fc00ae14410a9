/**
 * The largest packet that reaches a client unfragmented: from the engine, which may know the route, otherwise from the
 * machine's interfaces. Remembers its results; knows neither sockets nor blocks.
 */
import type { Address, Clock, Engine } from '../engine/types.ts';
import { prefixOf } from '../text/address-prefix.ts';
import { type LocalAddress, MTU_DEFAULT } from './addresses.ts';

/**
 * How long one result of the system holds for the clients of a network.
 * @limit Time for which the path MTU of a network is remembered. Shows: nothing: the system is asked again.
 */
const ROUTE_MS = 60_000;
/**
 * Networks whose routes are remembered; the one asked for first is forgotten first.
 * @limit Client networks whose path MTU is remembered. Shows: nothing: the system is asked again.
 */
const MAX_ROUTES = 4096;

export interface PathMtusOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly routeMtu?: Engine['routeMtu'];
}

interface Route {
  readonly mtu: number | undefined;
  readonly askedAt: number;
}

export class PathMtus {
  readonly #options: PathMtusOptions;
  readonly #local = new Map<string, LocalAddress>();
  /** The smallest MTU of all non-loopback interfaces, by family. */
  readonly #smallest = new Map<4 | 6, number>();
  /** Routes by local address and the client's network. */
  readonly #routes = new Map<string, Route>();

  constructor(options: PathMtusOptions) {
    this.#options = options;
  }

  /** Takes the machine's current addresses. */
  update(present: readonly LocalAddress[]): void {
    this.#local.clear();
    this.#smallest.clear();
    for (const local of present) {
      this.#local.set(local.address, local);
      const { family, mtu, isLoopback } = local;
      if (!isLoopback) this.#smallest.set(family, Math.min(mtu, this.#smallest.get(family) ?? mtu));
    }
  }

  /** Returns the largest IP packet, bytes. @param local the address that it is sent from. */
  of(local: string, peer: Address): number {
    return this.#byRoute(local, peer) ?? this.#byInterface(local, peer.address);
  }

  #byRoute(local: string, peer: Address): number | undefined {
    const { clock, routeMtu } = this.#options;
    if (routeMtu === undefined) return undefined;
    const key = `${local} ${prefixOf(peer.address)}`;
    const now = clock.now();
    const known = this.#routes.get(key);
    if (known !== undefined && now - known.askedAt < ROUTE_MS) return known.mtu;
    const mtu = routeMtu(local, peer);
    this.#routes.delete(key);
    this.#routes.set(key, { mtu, askedAt: now });
    if (this.#routes.size > MAX_ROUTES) this.#routes.delete(this.#routes.keys().next().value!);
    return mtu;
  }

  /** A service address on a loopback interface tells nothing about the route to clients elsewhere. */
  #byInterface(local: string, client: string): number {
    const own = this.#find(local);
    if (own === undefined) return MTU_DEFAULT;
    if (!own.isLoopback || this.#find(client) !== undefined) return own.mtu;
    return Math.min(own.mtu, this.#smallest.get(own.family) ?? MTU_DEFAULT);
  }

  /** The loopback interface serves all of 127.0.0.0/8, but lists one address. */
  #find(address: string): LocalAddress | undefined {
    return this.#local.get(address.startsWith('127.') ? '127.0.0.1' : address);
  }
}
