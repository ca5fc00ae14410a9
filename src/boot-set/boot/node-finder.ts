/**
 * Whose request it is: by the name asked for, else by what was learned of the address, else by a table of leases or
 * neighbours, else the address itself. Gives pins their node's better name when one appears. Knows no files.
 */
import type { AddressTables } from '../node/address-tables.ts';
import { AddressBook, type Learned } from '../node/address-book.ts';
import { ipNode, type NodeId, ownerOf } from '../node/node-identity.ts';
import type { NetworkList } from '../node/network-list.ts';
import { isInherited, laterBegun } from './pins.ts';
import type { PinPolicies } from './pin-policies.ts';
import type { PinTable } from './pin-table.ts';
import type { Whereabouts } from './whereabouts.ts';

/** Who asks. */
export interface Requester {
  /** What its pins are kept under. */
  readonly node: NodeId;
  /** All that it is called, the best first, its address last: what a choice goes by. */
  readonly ids: readonly NodeId[];
  /** Whether the request itself, or a table just now, says so; or nobody knows better than its address. */
  readonly isSure: boolean;
}

export interface NodeFinderOptions {
  readonly pins: PinTable;
  readonly tables: AddressTables;
  readonly policies: PinPolicies;
  readonly whereabouts: Whereabouts;
  /** Networks whose addresses stand for many nodes: nothing is learned of them. */
  readonly shared: NetworkList;
}

export class NodeFinder {
  readonly #options: NodeFinderOptions;
  readonly #book = new AddressBook();

  /** Goes on with what the pins remember of addresses. */
  constructor(options: NodeFinderOptions) {
    this.#options = options;
    const byUse = [...options.pins.all()].toSorted((a, b) => a.record.usedAt - b.record.usedAt);
    for (const { record } of byUse) {
      const { node, address, usedAt } = record;
      if (options.shared.has(address)) continue;
      // The last to have used an address has it. One that was known by it alone may have been anyone.
      if (node === ipNode(address)) this.#book.doubt(address);
      else this.#book.learn(address, [ownerOf(node)], true, usedAt);
    }
  }

  /** @param ids in the name that is asked for. */
  find(address: string, ids: readonly NodeId[], now: number): Requester | Promise<Requester> {
    const sure = this.#bySelf(address, ids, now);
    if (sure !== undefined) return sure;
    const told = this.#options.tables.find(address);
    return told instanceof Promise
      ? told.then((node) => this.#byTable(address, node, now))
      : this.#byTable(address, told, now);
  }

  /** As find, with what is known without waiting. */
  peek(address: string, ids: readonly NodeId[], now: number): Requester {
    return this.#bySelf(address, ids, now) ?? this.#byTable(address, this.#options.tables.peek(address), now);
  }

  /** What the requester is called, the best first, without learning anything. */
  known(address: string, ids: readonly NodeId[], now: number): readonly NodeId[] {
    return ids.length > 0 ? ids : (this.#book.find(address, now)?.ids ?? []);
  }

  /**
   * By what name it is certain who asks: a table tells, or the node has answered at this address not long ago. Learns
   * nothing.
   */
  acquaintance(address: string, ids: readonly NodeId[], now: number): NodeId | undefined {
    const { pins, tables, whereabouts } = this.#options;
    const told = tables.peek(address);
    if (told !== undefined) return told;
    for (const node of [...this.known(address, ids, now), ipNode(address)]) {
      const strand = whereabouts.strand(node, address, now);
      for (const { record } of pins.ofNode(strand)) if (record.provisional !== true) return strand;
    }
    return undefined;
  }

  /**
   * A boot begins at the address, and only memory says whose. Until the machine or a table tells, its pins are the
   * address's: those of the machine that had it before may still be in use elsewhere.
   */
  doubt(address: string, now: number): Requester {
    this.#book.doubt(address);
    return this.#byTable(address, this.#options.tables.peek(address), now);
  }

  #bySelf(address: string, ids: readonly NodeId[], now: number): Requester | undefined {
    if (ids.length > 0) {
      const learned = this.#learn(address, ids, true, now);
      return { node: learned.node, ids: [...learned.ids, ipNode(address)], isSure: true };
    }
    const known = this.#book.find(address, now);
    return known?.bySelf === true
      ? { node: known.node, ids: [...known.ids, ipNode(address)], isSure: false }
      : undefined;
  }

  #byTable(address: string, told: NodeId | undefined, now: number): Requester {
    const ip = ipNode(address);
    if (told !== undefined) {
      const learned = this.#learn(address, [told], false, now);
      return { node: learned.node, ids: [...learned.ids, ip], isSure: true };
    }
    const known = this.#book.find(address, now);
    if (known !== undefined) return { node: known.node, ids: [...known.ids, ip], isSure: false };
    return { node: ip, ids: [...this.#book.presumed(address), ip], isSure: true };
  }

  #learn(address: string, ids: readonly NodeId[], bySelf: boolean, now: number): Learned {
    const learned = this.#book.learn(address, ids, bySelf, now);
    const { node, former, renamed } = learned;
    const { pins, whereabouts } = this.#options;
    // Only what this address has: the same names may be another machine's elsewhere.
    const strand = whereabouts.strand(node, address, now);
    pins.rename(ipNode(address), strand, { address });
    if (renamed !== undefined) pins.rename(whereabouts.strand(renamed, address, now), strand, { address });
    if (former !== undefined) this.#inherit(whereabouts.strand(former, address, now), strand, address, now);
    return learned;
  }

  /** What the new machine at an address may already have got as the former one. */
  #inherit(former: NodeId, node: NodeId, address: string, now: number): void {
    const { pins, policies } = this.#options;
    for (const { record } of pins.ofNode(former)) {
      if (!isInherited(record, address, now, policies.of(record.channel))) continue;
      const own = pins.find(node, record.channel);
      if (own !== undefined && laterBegun(record, own.record) === own.record) continue;
      pins.put({ ...record, node, address, usedAt: now, provisional: true }, false);
    }
  }
}
