/**
 * Remembers which machine uses an address: learned from requested names that contain a MAC, UUID or serial, or from a
 * table of leases or neighbors. Bounded; entries expire. Knows no packets and no pins.
 */
import { LRUCache } from 'lru-cache';
import { areOfTwoMachines, kindOf, NODE_KINDS, type NodeId } from './node-identity.ts';

/**
 * Cap on remembered addresses; the least recently used are forgotten.
 * @limit Addresses whose node is remembered. Shows: nothing: the node is learned again.
 */
const MAX_ADDRESSES = 65_536;
/**
 * An address unseen for this long is forgotten. Longer than any pause between two files of a boot.
 * @limit Silence after which the node of an address is forgotten.
 */
const ADDRESS_LIFE_MS = 2 * 3_600_000;

interface Entry {
  /** At most one id of each kind, the best first. */
  ids: readonly NodeId[];
  /** True when the machine identified itself in a requested name. */
  bySelf: boolean;
  /**
   * True when another machine may have the address by now. The ids are then a guess, good only for choosing a version.
   */
  doubted: boolean;
  seenAt: number;
  /** When the machine was last named, or doubted. */
  learnedAt: number;
}

/** The machine known at an address. */
export interface Resident {
  /** The best of its ids; its pins are kept under this one. */
  readonly node: NodeId;
  readonly ids: readonly NodeId[];
  readonly bySelf: boolean;
}

/** The machine at an address after learn(), and what learn() changed. */
export interface Learned extends Resident {
  /** The machine that had the address before, if it was another one. */
  readonly former: NodeId | undefined;
  /** The worse name under which this same machine was known at this address. */
  readonly renamed: NodeId | undefined;
}

function residentOf({ ids, bySelf }: Entry): Resident {
  return { node: ids[0]!, ids, bySelf };
}

function merge(a: readonly NodeId[], b: readonly NodeId[]): NodeId[] {
  const all = new Set([...a, ...b]);
  return [...all].toSorted((x, y) => NODE_KINDS.indexOf(kindOf(x)) - NODE_KINDS.indexOf(kindOf(y)));
}

export class AddressBook {
  readonly #entries: LRUCache<string, Entry>;

  /** @param most cap on addresses; only tests set it, to fill the book quickly. */
  constructor(most: number = MAX_ADDRESSES) {
    this.#entries = new LRUCache({ max: most });
  }

  /** Returns the machine at the address, unless it is unknown, doubted or expired. */
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

  /** Returns the ids that the address had before it was doubted. */
  presumed(address: string): readonly NodeId[] {
    const entry = this.#entries.peek(address);
    return entry?.doubted === true ? entry.ids : [];
  }

  /**
   * Records that the machine with these ids uses the address. What a machine says of itself overrides everything known;
   * what a table says overrides earlier tables. Ids of kinds not yet known are added to the same machine.
   *
   * @param ids one or more, at most one of each kind.
   */
  learn(address: string, ids: readonly NodeId[], bySelf: boolean, now: number): Learned {
    const known = this.find(address, now);
    const other = known !== undefined && areOfTwoMachines(known.ids, ids);
    const merged = known === undefined || other ? ids : merge(known.ids, ids);
    const isSelf = bySelf || (!other && known?.bySelf === true);
    const entry = { ids: merged, bySelf: isSelf, doubted: false, seenAt: now, learnedAt: now };
    this.#entries.set(address, entry);
    const resident = residentOf(entry);
    return {
      ...resident,
      former: other ? known.node : undefined,
      renamed: known !== undefined && !other && known.node !== resident.node ? known.node : undefined,
    };
  }

  /**
   * Records what another server has learned of the address, unless this one has learned something later.
   *
   * @param ids none: a boot has begun there without saying whose it is.
   * @returns true when this names the machine.
   */
  hear(address: string, ids: readonly NodeId[], bySelf: boolean, learnedAt: number): boolean {
    const known = this.#entries.peek(address);
    if (known !== undefined && known.learnedAt >= learnedAt) return false;
    const seenAt = Math.max(learnedAt, known?.seenAt ?? learnedAt);
    if (ids.length > 0) this.#entries.set(address, { ids, bySelf, doubted: false, seenAt, learnedAt });
    else if (known !== undefined) Object.assign(known, { doubted: true, learnedAt });
    return ids.length > 0;
  }

  /** Returns what other servers may know of the address: no ids when it is doubted. */
  offer(address: string): Pick<Entry, 'ids' | 'bySelf' | 'learnedAt'> | undefined {
    const entry = this.#entries.peek(address);
    return entry === undefined ? undefined : { ...entry, ids: entry.doubted ? [] : entry.ids };
  }

  /** Records that a boot has begun at the address without saying whose it is. */
  doubt(address: string, now: number): void {
    const entry = this.#entries.peek(address);
    if (entry !== undefined) Object.assign(entry, { doubted: true, learnedAt: now });
  }
}
