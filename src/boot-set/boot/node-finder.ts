/**
 * Finds the node behind a request: by the requested name, else by what was learned about the address, else by a table
 * of leases or neighbors, else the address itself. Moves pins to a node's better name when it appears. Knows no files.
 */
import type { AddressTables } from '../node/address-tables.ts';
import { AddressBook, type Learned } from '../node/address-book.ts';
import { ipNode, type NodeId, ownerOf } from '../node/node-identity.ts';
import type { NetworkList } from '../node/network-list.ts';
import { isInherited, laterBegun } from './pins.ts';
import type { PinPolicies } from './pin-policies.ts';
import type { PinTable } from './pin-table.ts';
import type { Whereabouts } from './whereabouts.ts';

/** The node that sends a request. */
export interface Requester {
  /** The name under which the node's pins are kept. */
  readonly node: NodeId;
  /** All of its ids, the best first and its address last: versions are chosen by them. */
  readonly ids: readonly NodeId[];
  /** True when the request itself or a current table names the node, or nothing better than its address is known. */
  readonly isSure: boolean;
}

export interface NodeFinderOptions {
  readonly pins: PinTable;
  readonly tables: AddressTables;
  readonly policies: PinPolicies;
  readonly whereabouts: Whereabouts;
  /** Networks in which one address stands for many nodes; nothing is learned about their addresses. */
  readonly shared: NetworkList;
}

export class NodeFinder {
  readonly #options: NodeFinderOptions;
  readonly #book = new AddressBook();

  /** Initializes the address book from the pins. */
  constructor(options: NodeFinderOptions) {
    this.#options = options;
    const byUse = [...options.pins.all()].toSorted((a, b) => a.record.usedAt - b.record.usedAt);
    for (const { record } of byUse) {
      const { node, address, usedAt } = record;
      if (options.shared.has(address)) continue;
      // An address belongs to the node that used it last. A node known only by its address may have been any machine.
      if (node === ipNode(address)) this.#book.doubt(address, usedAt);
      else this.#book.learn(address, [ownerOf(node)], true, usedAt);
    }
  }

  /** @param ids ids in the requested name. */
  find(address: string, ids: readonly NodeId[], now: number): Requester | Promise<Requester> {
    const sure = this.#bySelf(address, ids, now);
    if (sure !== undefined) return sure;
    const told = this.#options.tables.find(address);
    return told instanceof Promise
      ? told.then((node) => this.#byTable(address, node, now))
      : this.#byTable(address, told, now);
  }

  /** Like find(), with what is known without waiting. */
  peek(address: string, ids: readonly NodeId[], now: number): Requester {
    return this.#bySelf(address, ids, now) ?? this.#byTable(address, this.#options.tables.peek(address), now);
  }

  /**
   * Returns all ids under which the client may have pins, without learning anything: those in the name, those known of
   * its address, and the address itself.
   */
  candidates(address: string, ids: readonly NodeId[], now: number): readonly NodeId[] | Promise<readonly NodeId[]> {
    const known = this.#book.find(address, now);
    const sure = [...ids, ...(known?.ids ?? []), ...this.#book.presumed(address), ipNode(address)];
    if (ids.length > 0 || known?.bySelf === true) return sure;
    const told = this.#options.tables.find(address);
    const withTold = (node: NodeId | undefined) => (node === undefined ? sure : [node, ...sure]);
    return told instanceof Promise ? told.then(withTold) : withTold(told);
  }

  /** See AddressBook.hear(). */
  hear(address: string, ids: readonly NodeId[], bySelf: boolean, learnedAt: number): boolean {
    return !this.#options.shared.has(address) && this.#book.hear(address, ids, bySelf, learnedAt);
  }

  /** Moves pins of the address itself to the node that another server knows there. */
  unite(address: string, now: number): void {
    const { pins, whereabouts } = this.#options;
    const known = this.#book.find(address, now);
    if (known !== undefined) pins.rename(ipNode(address), whereabouts.strand(known.node, address, now), { address });
  }

  /** See AddressBook.offer(). */
  offer(address: string): ReturnType<AddressBook['offer']> {
    return this.#book.offer(address);
  }

  /** Returns the client's known ids, the best first, without learning anything. */
  known(address: string, ids: readonly NodeId[], now: number): readonly NodeId[] {
    return ids.length > 0 ? ids : (this.#book.find(address, now)?.ids ?? []);
  }

  /**
   * Returns the name that certainly identifies the client: a table has it, or the node has acknowledged a file at this
   * address. Learns nothing.
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
   * Handles a boot that begins at an address whose owner is known only from memory. Until the machine or a table names
   * the owner, the pins belong to the address: the former machine may still use its own elsewhere.
   */
  doubt(address: string, now: number): Requester {
    this.#book.doubt(address, now);
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
    // Only pins of this address: elsewhere the same names may be another machine's.
    const strand = whereabouts.strand(node, address, now);
    pins.rename(ipNode(address), strand, { address });
    if (renamed !== undefined) pins.rename(whereabouts.strand(renamed, address, now), strand, { address });
    if (former !== undefined) this.#inherit(whereabouts.strand(former, address, now), strand, address, now);
    return learned;
  }

  /**
   * Copies to the new machine at an address the pins under which it may already have received files as the former one.
   */
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
