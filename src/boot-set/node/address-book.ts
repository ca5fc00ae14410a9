/**
 * Which machine speaks from an address, as far as has been seen: learned from names that held its MAC, UUID or serial,
 * or told by a table of leases or neighbours. Bounded, and forgotten in time. Knows no packets and no pins.
 */
import { LRUCache } from 'lru-cache';
import { kindOf, NODE_KINDS, type NodeId } from './node-identity.ts';

/** Addresses remembered; the least recently used are forgotten. */
const MAX_ADDRESSES = 65_536;
/** Silence after which an address is forgotten: longer than any boot lets pass between two files. */
const ADDRESS_LIFE_MS = 2 * 3_600_000;

interface Entry {
  /** At most one of each kind, the best first. */
  ids: readonly NodeId[];
  /** Whether the machine has said so itself, by a name. */
  bySelf: boolean;
  /** Another machine may have the address by now: who had it is a guess, good for no more than a choice. */
  doubted: boolean;
  seenAt: number;
}

/** What is known of an address. */
export interface Resident {
  /** The best of its ids: what its pins are kept under. */
  readonly node: NodeId;
  readonly ids: readonly NodeId[];
  readonly bySelf: boolean;
}

/** What learning has changed. */
export interface Learned extends Resident {
  /** Whom the address belonged to before, if that was another machine. */
  readonly former: NodeId | undefined;
  /** By what worse name this machine was known at this address. */
  readonly renamed: NodeId | undefined;
}

function residentOf({ ids, bySelf }: Entry): Resident {
  return { node: ids[0]!, ids, bySelf };
}

/** A kind that both have, with different values: two machines. */
function differ(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.some((id) => b.some((other) => other !== id && kindOf(other) === kindOf(id)));
}

function merge(a: readonly NodeId[], b: readonly NodeId[]): NodeId[] {
  const all = new Set([...a, ...b]);
  return [...all].toSorted((x, y) => NODE_KINDS.indexOf(kindOf(x)) - NODE_KINDS.indexOf(kindOf(y)));
}

export class AddressBook {
  readonly #entries: LRUCache<string, Entry>;

  /** @param most only a test sets it, so that it can fill the book. */
  constructor(most: number = MAX_ADDRESSES) {
    this.#entries = new LRUCache({ max: most });
  }

  /** Who speaks from the address, if that is known and not long ago. */
  find(address: string, now: number): Resident | undefined {
    const entry = this.#entries.get(address);
    if (entry === undefined) return undefined;
    if (now - entry.seenAt > ADDRESS_LIFE_MS) {
      this.#entries.delete(address);
      return undefined;
    }
    entry.seenAt = Math.max(entry.seenAt, now);
    return entry.doubted ? undefined : residentOf(entry);
  }

  /** Who had the address before that was doubted. */
  presumed(address: string): readonly NodeId[] {
    const entry = this.#entries.peek(address);
    return entry?.doubted === true ? entry.ids : [];
  }

  /**
   * Someone who is `ids` speaks from the address. What a machine says of itself wins over what was known; what tables
   * say wins over what tables said. Ids of other kinds than those known are the same machine's.
   *
   * @param ids one or more, at most one of each kind.
   */
  learn(address: string, ids: readonly NodeId[], bySelf: boolean, now: number): Learned {
    const known = this.find(address, now);
    const other = known !== undefined && differ(known.ids, ids);
    const merged = known === undefined || other ? ids : merge(known.ids, ids);
    const entry = { ids: merged, bySelf: bySelf || (!other && known?.bySelf === true), doubted: false, seenAt: now };
    this.#entries.set(address, entry);
    const resident = residentOf(entry);
    return {
      ...resident,
      former: other ? known.node : undefined,
      renamed: known !== undefined && !other && known.node !== resident.node ? known.node : undefined,
    };
  }

  /** A boot has begun at the address, and nothing says whose. */
  doubt(address: string): void {
    const entry = this.#entries.peek(address);
    if (entry !== undefined) entry.doubted = true;
  }
}
