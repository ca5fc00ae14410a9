/**
 * The server's memory of each client address and its network: their transfers, and when one last completed. Each
 * transfer keeps its address's entry, so that a request costs two look-ups and its end none.
 */
import { prefixOf } from '../../text/address-prefix.ts';

/**
 * How long a completed transfer keeps its address known.
 * @limit Time for which an address that has completed a transfer is remembered. Shows: nothing: the address is unknown
 * again.
 */
const KNOWN_MS = 600_000;
/**
 * Number of known addresses; the one whose last transfer is the oldest is forgotten first.
 * @limit Addresses remembered that have completed a transfer. Shows: nothing: the oldest address is unknown again.
 */
const MAX_KNOWN = 65_536;
/** Completions of one address within this time do not change the order in which addresses are forgotten. */
const ORDER_MS = 10_000;

/** A /24 of IPv4, a /64 of IPv6. */
export interface ClientNetwork<T> {
  readonly prefix: string;
  /** Remembered addresses of this network. */
  addresses: number;
  transfers: number;
  /** Transfers of unknown addresses, some of them still unanswered; see half-open.ts. */
  halfOpen: T[] | undefined;
}

export interface ClientAddress<T> {
  readonly address: string;
  readonly network: ClientNetwork<T>;
  transfers: number;
  /** When a transfer last completed, ms. */
  completedAt: number;
  /** Time that decides the place in the order of forgetting; undefined: the address has completed no transfer. */
  orderedAt: number | undefined;
  halfOpen: T[] | undefined;
}

export class ClientAddresses<T> {
  readonly #byAddress = new Map<string, ClientAddress<T>>();
  readonly #networks = new Map<string, ClientNetwork<T>>();
  /** Addresses that have completed a transfer, oldest first. */
  readonly #completed = new Map<string, ClientAddress<T>>();
  #transfers = 0;

  /** Transfers of all addresses. */
  get transfers(): number {
    return this.#transfers;
  }

  find(address: string): ClientAddress<T> | undefined {
    return this.#byAddress.get(address);
  }

  networkOf(address: string): ClientNetwork<T> | undefined {
    return this.#networks.get(prefixOf(address));
  }

  isKnown(client: ClientAddress<T> | undefined, now: number): boolean {
    return client !== undefined && now - client.completedAt < KNOWN_MS;
  }

  /** Counts one more transfer. @returns the address's entry, for leave() and completed(). */
  enter(address: string): ClientAddress<T> {
    const client = this.#byAddress.get(address) ?? this.#remember(address);
    client.transfers++;
    client.network.transfers++;
    this.#transfers++;
    return client;
  }

  leave(client: ClientAddress<T>): void {
    client.transfers--;
    client.network.transfers--;
    this.#transfers--;
    this.#forgetIfUnused(client);
  }

  /** Call when a transfer of that address has been confirmed to its last block. */
  completed(client: ClientAddress<T>, now: number): void {
    client.completedAt = now;
    if (client.orderedAt !== undefined && now - client.orderedAt < ORDER_MS) return;
    client.orderedAt = now;
    // The address may have been forgotten since its last transfer ended.
    this.#completed.delete(client.address);
    this.#completed.set(client.address, client);
    if (this.#completed.size <= MAX_KNOWN) return;
    const [oldest] = this.#completed.values();
    this.#completed.delete(oldest!.address);
    oldest!.completedAt = Number.NEGATIVE_INFINITY;
    oldest!.orderedAt = undefined;
    this.#forgetIfUnused(oldest!);
  }

  #remember(address: string): ClientAddress<T> {
    const prefix = prefixOf(address);
    let network = this.#networks.get(prefix);
    if (network === undefined) {
      network = { prefix, addresses: 0, transfers: 0, halfOpen: undefined };
      this.#networks.set(prefix, network);
    }
    network.addresses++;
    const client: ClientAddress<T> = {
      address,
      network,
      transfers: 0,
      completedAt: Number.NEGATIVE_INFINITY,
      orderedAt: undefined,
      halfOpen: undefined,
    };
    this.#byAddress.set(address, client);
    return client;
  }

  #forgetIfUnused(client: ClientAddress<T>): void {
    if (client.transfers > 0 || client.orderedAt !== undefined) return;
    this.#byAddress.delete(client.address);
    const { network } = client;
    network.addresses--;
    if (network.addresses === 0) this.#networks.delete(network.prefix);
  }
}
