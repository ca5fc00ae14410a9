/**
 * Tracks the address that each node speaks from, and decides which pins a request in its name uses: the node's own, or
 * those of the requesting address. A name is no proof, so a request from another address never changes the node's pins.
 * Knows no files.
 *
 * A node speaks from one address. Meanwhile a request in its name from another address may be its own (ROM, iPXE and
 * kernel often hold different leases) or a stranger's: that address gets pins of its own, which begin with the version
 * of the node's. When the first address has been silent for a while, the node has moved; its pins there are kept for
 * that address, in case the node is still there.
 */
import { ipNode, type NodeId, NOWHERE, ownerOf, sideOf } from '../node/node-identity.ts';
import type { BootStage } from './boot-stage.ts';
import type { Pin } from './pin.ts';
import type { PinTable } from './pin-table.ts';
import type { PinPolicies } from './pin-policies.ts';

/**
 * A node that has been silent for this long may have moved to another address.
 * @limit Silence of a node after which another address may move its pins by its name. Shows: `reveille pins`.
 */
const SILENT_MS = 60_000;

function usedAt({ open, record }: Pin, now: number): number {
  return open > 0 ? now : record.usedAt;
}

export class Whereabouts {
  readonly #pins: PinTable;
  readonly #policies: PinPolicies;

  constructor(pins: PinTable, policies: PinPolicies) {
    this.#pins = pins;
    this.#policies = policies;
  }

  /** Returns the name of the pins that requests from this address have used so far. Changes nothing. */
  strand(node: NodeId, address: string, now: number): NodeId {
    return node === ipNode(address) || this.#isHome(node, address, now) ? node : sideOf(node, address);
  }

  /** Returns the name of the pins that take() would return. Changes nothing. */
  peek(node: NodeId, address: string, stage: BootStage, now: number): NodeId {
    if (address === NOWHERE) return node;
    const strand = this.strand(node, address, now);
    if (strand === node || this.#isHeld(node, now) || this.#goesOn(strand, node, stage, now)) return strand;
    return node;
  }

  /** Returns the name of the pins for a request from this address; a node that has moved is recorded there. */
  take(node: NodeId, address: string, stage: BootStage, now: number): NodeId {
    const strand = this.strand(node, address, now);
    if (strand === node || this.#isHeld(node, now)) return strand;
    const pins = this.#pins;
    const own = [...pins.ofNode(node)];
    const records = own.map(({ record }) => record);
    const isSwapped = this.#goesOn(strand, node, stage, now);
    if (!isSwapped) pins.drop([...pins.ofNode(strand)]);
    // Moved unchanged, with their open transfers: the node may still be at that address.
    pins.rename(node, sideOf(node, this.#home(node, now)!.record.address), {});
    if (isSwapped) pins.rename(strand, node, { address });
    else for (const record of records) pins.put({ ...record, address, provisional: true }, false);
    return node;
  }

  /**
   * Returns the pin whose version a boot begins with, if there is one. At another address that is the node's own pin, if
   * it is in use. At the node's own address it is that of a boot that has begun elsewhere since with the version of the
   * node's last boot: that loader may be the node's own, and its config must be of the same version.
   *
   * @param strand from take() or peek().
   */
  lead(strand: NodeId, channel: string, now: number): Pin | undefined {
    const owner = ownerOf(strand);
    const own = this.#pins.find(owner, channel);
    if (own === undefined) return undefined;
    if (owner === strand) return this.#begunElsewhere(own, now);
    // The cap is not checked: the node keeps a pin past its cap for as long as it asks.
    return now - usedAt(own, now) <= this.#policies.of(channel).pinIdleMs ? own : undefined;
  }

  /**
   * Returns true when the node's boot went past its beginning from other addresses and is over: those addresses and the
   * node's own have been silent since.
   */
  hasGoneOn(node: NodeId, now: number): boolean {
    const last = this.#home(node, now);
    if (last === undefined || now - usedAt(last, now) < SILENT_MS) return false;
    let has = false;
    for (const side of this.#pins.sidesOf(node)) {
      if (!this.#isSilent(side, now)) return false;
      for (const { record } of this.#pins.ofNode(side)) {
        has ||= record.stage === 1 && record.provisional !== true && record.usedAt > last.record.usedAt;
      }
    }
    return has;
  }

  /**
   * Handles the beginning of a node's boot: pins of other addresses that are past their beginning and silent belonged
   * to the last boot, and are dropped.
   */
  begin(node: NodeId, now: number): void {
    for (const side of this.#pins.sidesOf(node)) {
      const pins = [...this.#pins.ofNode(side)];
      if (this.#isSilent(side, now) && pins.some(({ record }) => record.stage === 1)) this.#pins.drop(pins);
    }
  }

  /**
   * Returns the pin of a boot that began at another address after the last request from the node's own, if it has
   * the version of the node's last boot: with any other version a stranger could bring back an old one.
   */
  #begunElsewhere({ record: own }: Pin, now: number): Pin | undefined {
    for (const side of this.#pins.sidesOf(own.node)) {
      const pin = this.#pins.find(side, own.channel);
      if (pin === undefined || pin.record.stage !== 0 || pin.record.provisional === true) continue;
      const isLater = usedAt(pin, now) > own.usedAt && now - usedAt(pin, now) < SILENT_MS;
      if (isLater && pin.record.version === own.version) return pin;
    }
    return undefined;
  }

  #isHome(node: NodeId, address: string, now: number): boolean {
    const home = this.#home(node, now);
    return home === undefined || home.record.address === address;
  }

  /** Returns the node's most recently used pin; its address is the node's. */
  #home(node: NodeId, now: number): Pin | undefined {
    let last: Pin | undefined;
    for (const pin of this.#pins.ofNode(node)) {
      if (last === undefined || usedAt(pin, now) > usedAt(last, now)) last = pin;
    }
    return last;
  }

  /** Returns true when the node is certainly where it was: it has acknowledged a file there and was active recently. */
  #isHeld(node: NodeId, now: number): boolean {
    let isProven = false;
    for (const { record } of this.#pins.ofNode(node)) isProven ||= record.provisional !== true;
    return isProven && !this.#isSilent(node, now);
  }

  #isSilent(node: NodeId, now: number): boolean {
    for (const pin of this.#pins.ofNode(node)) if (now - usedAt(pin, now) < SILENT_MS) return false;
    return true;
  }

  /** Returns true when an address keeps its own pins after the node has moved there; otherwise it gets the node's. */
  #goesOn(strand: NodeId, node: NodeId, stage: BootStage, now: number): boolean {
    const own = this.#home(strand, now);
    if (own === undefined) return false;
    // A beginning after a pause is a new boot of the node.
    return stage !== 'zero' || !this.#isSilent(strand, now) || usedAt(own, now) > usedAt(this.#home(node, now)!, now);
  }
}
