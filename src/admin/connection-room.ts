/**
 * Limits for connections to the admin address, in all and of one address. A newcomer takes the place of one that does
 * nothing. Health and metrics must be had whatever others hold open. Knows sockets by their use; no HTTP.
 */

/** Connections at once: some scrapers, some probes and a few people. */
const MAX_CONNECTIONS = 128;
/** Connections of one address at once. */
const MAX_CONNECTIONS_EACH = 64;

/** A connection, as far as it matters here: who has it, and its end. */
export interface Connected {
  readonly remoteAddress?: string | undefined;
  destroy(): unknown;
  once(event: 'close', listener: () => void): unknown;
}

interface Guest<T> {
  readonly socket: T;
  readonly address: string;
  /** Requests that are being answered. */
  busy: number;
}

export class ConnectionRoom<T extends Connected> {
  /** The longest quiet first: who begins to be idle goes to the end. */
  readonly #guests = new Map<T, Guest<T>>();
  readonly #open = new Map<string, number>();

  get size(): number {
    return this.#guests.size;
  }

  /** A connection has come: where there is no room, another is closed for it. */
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

  /** It has asked for something. */
  begins(socket: T): void {
    const guest = this.#guests.get(socket);
    if (guest !== undefined) guest.busy++;
  }

  /** It has got its answer. */
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
   * The guest that must go: an idle one before one that is being answered, then one of the address that has most, then
   * the longest quiet. @param address whose; default: anyone's.
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
