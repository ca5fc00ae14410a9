/**
 * Limits for connections to the admin address, in total and for each address. A new connection replaces an idle one.
 * Health and metrics must stay reachable whatever connections others hold open. Knows sockets by their use; no HTTP.
 */

/**
 * Maximum number of connections: enough for some scrapers, some probes and a few people.
 * @limit Connections to the admin address. Shows: nothing: for a new connection, an idle one is closed, or one of the
 * address that has most.
 */
const MAX_CONNECTIONS = 128;
/**
 * Maximum number of connections from one address.
 * @limit Connections to the admin address from one address. Shows: nothing: for a new connection, the oldest idle one
 * of the address is closed.
 */
const MAX_CONNECTIONS_EACH = 64;

/** The parts of a socket that matter here: its address and its end. */
export interface Connected {
  readonly remoteAddress?: string | undefined;
  destroy(): unknown;
  once(event: 'close', listener: () => void): unknown;
}

interface Guest<T> {
  readonly socket: T;
  readonly address: string;
  /** Number of requests being answered. */
  busy: number;
}

export class ConnectionRoom<T extends Connected> {
  /** Ordered by idle time, the longest first: a connection that becomes idle moves to the end. */
  readonly #guests = new Map<T, Guest<T>>();
  readonly #open = new Map<string, number>();

  get size(): number {
    return this.#guests.size;
  }

  /** Admits a new connection; where there is no room, closes another one. */
  admit(socket: T): void {
    const address = socket.remoteAddress ?? '';
    const isOver = this.#count(address) >= MAX_CONNECTIONS_EACH;
    const leaves = isOver ? this.#leaving(address) : this.#guests.size >= MAX_CONNECTIONS ? this.#leaving() : undefined;
    if (leaves !== undefined) {
      this.#forget(leaves);
      leaves.socket.destroy();
    }
    this.#guests.set(socket, { socket, address, busy: 0 });
    this.#open.set(address, this.#count(address) + 1);
    socket.once('close', () => {
      const guest = this.#guests.get(socket);
      if (guest !== undefined) this.#forget(guest);
    });
  }

  /** A request has begun on the connection. */
  begins(socket: T): void {
    const guest = this.#guests.get(socket);
    if (guest !== undefined) guest.busy++;
  }

  /** A request on the connection has been answered. */
  ends(socket: T): void {
    const guest = this.#guests.get(socket);
    if (guest === undefined || --guest.busy > 0) return;
    this.#guests.delete(socket);
    this.#guests.set(socket, guest);
  }

  #count(address: string): number {
    return this.#open.get(address) ?? 0;
  }

  /**
   * Chooses the connection to close: an idle one before a busy one, then one of the address with the most connections,
   * then the one that has been idle longest. @param address limits the choice to one address; default: any.
   */
  #leaving(address?: string): Guest<T> | undefined {
    let leaves: Guest<T> | undefined;
    for (const guest of this.#guests.values()) {
      if (address !== undefined && guest.address !== address) continue;
      if (leaves === undefined || this.#goesBefore(guest, leaves)) leaves = guest;
    }
    return leaves;
  }

  #goesBefore(a: Guest<T>, b: Guest<T>): boolean {
    if (a.busy > 0 !== b.busy > 0) return a.busy === 0;
    return this.#count(a.address) > this.#count(b.address);
  }

  #forget(guest: Guest<T>): void {
    this.#guests.delete(guest.socket);
    const left = this.#count(guest.address) - 1;
    if (left === 0) this.#open.delete(guest.address);
    else this.#open.set(guest.address, left);
  }
}
