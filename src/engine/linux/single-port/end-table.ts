/**
 * Finds a transfer at a shared port by both ends: the peer's address and port, and the local address that the packet
 * was sent to. Knows nothing of the values it holds.
 */
import { PeerTable } from '../peer-table.ts';
import type { Family } from '../socket-address.ts';

/** Words of a local address: one for IPv4, four for IPv6; a socket that is bound to one address has zeros. */
export const LOCAL_WORDS = 4;

interface LocalEnd {
  readonly words: Int32Array;
  readonly peers: PeerTable;
}

export class EndTable<T> {
  readonly #family: Family;
  /** Few: the addresses that clients of running transfers have asked. The one found last comes first. */
  readonly #locals: LocalEnd[] = [];
  readonly #values: (T | undefined)[] = [];
  readonly #free: number[] = [];

  constructor(family: Family) {
    this.#family = family;
  }

  /** @param words the peer's sockaddr starts at words[at]. @param local the local address starts at local[localAt]. */
  find(words: Int32Array, at: number, local: Int32Array, localAt: number): T | undefined {
    const id = this.#local(local, localAt)?.peers.find(words, at) ?? -1;
    return id < 0 ? undefined : this.#values[id];
  }

  /** Returns the values of a peer, whatever local address it has asked. Allocates. */
  findAll(words: Int32Array, at: number): T[] {
    return this.#locals.flatMap(({ peers }) => this.#values[peers.find(words, at)] ?? []);
  }

  set(words: Int32Array, at: number, local: Int32Array, localAt: number, value: T): void {
    let end = this.#local(local, localAt);
    if (end === undefined) {
      end = { words: local.slice(localAt, localAt + LOCAL_WORDS), peers: new PeerTable(this.#family) };
      this.#locals.unshift(end);
    }
    const known = end.peers.find(words, at);
    const id = known >= 0 ? known : (this.#free.pop() ?? this.#values.length);
    this.#values[id] = value;
    if (known < 0) end.peers.set(words, at, id);
  }

  /** Removes a value, unless another one has taken its place. */
  delete(words: Int32Array, at: number, local: Int32Array, localAt: number, value: T): void {
    const end = this.#local(local, localAt);
    const id = end?.peers.find(words, at) ?? -1;
    if (id < 0 || this.#values[id] !== value) return;
    this.#values[id] = undefined;
    this.#free.push(id);
    end!.peers.delete(words, at);
    if (end!.peers.size === 0) this.#locals.splice(this.#locals.indexOf(end!), 1);
  }

  #local(words: Int32Array, at: number): LocalEnd | undefined {
    for (let index = 0; index < this.#locals.length; index++) {
      const end = this.#locals[index]!;
      const own = end.words;
      if (own[0] !== words[at] || own[1] !== words[at + 1] || own[2] !== words[at + 2] || own[3] !== words[at + 3])
        continue;
      if (index > 0) {
        this.#locals[index] = this.#locals[0]!;
        this.#locals[0] = end;
      }
      return end;
    }
    return undefined;
  }
}
