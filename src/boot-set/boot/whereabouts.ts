/**
 * From where a node speaks, and which pins a request goes by that is made in its name: the node's own, or those of the
 * address alone. A name is easily said: what another address says never touches what the node has. Knows no files.
 *
 * A node speaks from one address. Its name, heard from another one meanwhile, may be its own (ROM, iPXE and kernel often
 * hold different leases) or anybody's: that address gets pins for itself, which begin with the version of the node's.
 * When the first address has been silent for a while, the node has moved; what it had there is kept for that address,
 * in case that it has not.
 */
import { ipNode, type NodeId, NOWHERE, ownerOf, sideOf } from '../node/node-identity.ts';
import type { BootStage } from './boot-stage.ts';
import type { Pin, PinTable } from './pin-table.ts';
import type { PinPolicies } from './pin-policies.ts';

/** A node that has not been heard of for so long may be at another address. */
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

  /** The name of the pins that a request from there went by so far. Changes nothing. */
  strand(node: NodeId, address: string, now: number): NodeId {
    return node === ipNode(address) || this.#isHome(node, address, now) ? node : sideOf(node, address);
  }

  /** The name of the pins that a request from there would go by. Changes nothing. */
  peek(node: NodeId, address: string, stage: BootStage, now: number): NodeId {
    if (address === NOWHERE) return node;
    const strand = this.strand(node, address, now);
    if (strand === node || this.#isHeld(node, now) || this.#goesOn(strand, node, stage, now)) return strand;
    return node;
  }

  /** The name of the pins that a request from there goes by; a node that has moved is there from now on. */
  take(node: NodeId, address: string, stage: BootStage, now: number): NodeId {
    const strand = this.strand(node, address, now);
    if (strand === node || this.#isHeld(node, now)) return strand;
    const pins = this.#pins;
    const own = [...pins.ofNode(node)];
    const records = own.map(({ record }) => record);
    const isSwapped = this.#goesOn(strand, node, stage, now);
    if (!isSwapped) pins.drop([...pins.ofNode(strand)]);
    // As they are, with what is open under them: the node may still be there.
    pins.rename(node, sideOf(node, this.#home(node, now)!.record.address), {});
    if (isSwapped) pins.rename(strand, node, { address });
    else for (const record of records) pins.put({ ...record, address, provisional: true }, false);
    return node;
  }

  /** The pin in use that one for another address begins with. @param strand from take or peek. */
  lead(strand: NodeId, channel: string, now: number): Pin | undefined {
    const owner = ownerOf(strand);
    const pin = owner === strand ? undefined : this.#pins.find(owner, channel);
    // Also past its cap: the node goes on with it as long as it asks.
    const isInUse = pin !== undefined && now - usedAt(pin, now) <= this.#policies.of(channel).pinIdleMs;
    return isInUse ? pin : undefined;
  }

  /**
   * Whether the node's boot went on from other addresses, past its beginning, and is over: all have been silent since,
   * the node's own as well.
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

  /** The node begins a boot: those that other addresses have ended in its name were parts of the last. */
  begin(node: NodeId, now: number): void {
    for (const side of this.#pins.sidesOf(node)) {
      const pins = [...this.#pins.ofNode(side)];
      if (this.#isSilent(side, now) && pins.some(({ record }) => record.stage === 1)) this.#pins.drop(pins);
    }
  }

  #isHome(node: NodeId, address: string, now: number): boolean {
    const home = this.#home(node, now);
    return home === undefined || home.record.address === address;
  }

  /** The pin of the node that was used last; its address is the node's. */
  #home(node: NodeId, now: number): Pin | undefined {
    let last: Pin | undefined;
    for (const pin of this.#pins.ofNode(node)) {
      if (last === undefined || usedAt(pin, now) > usedAt(last, now)) last = pin;
    }
    return last;
  }

  /** Whether the node is certainly where it was: it has answered there, and not long ago. */
  #isHeld(node: NodeId, now: number): boolean {
    let isProven = false;
    for (const { record } of this.#pins.ofNode(node)) isProven ||= record.provisional !== true;
    return isProven && !this.#isSilent(node, now);
  }

  #isSilent(node: NodeId, now: number): boolean {
    for (const pin of this.#pins.ofNode(node)) if (now - usedAt(pin, now) < SILENT_MS) return false;
    return true;
  }

  /** Whether an address goes on with pins of its own, now that the node has moved there; else with the node's. */
  #goesOn(strand: NodeId, node: NodeId, stage: BootStage, now: number): boolean {
    const own = this.#home(strand, now);
    if (own === undefined) return false;
    // A beginning after a pause is a new boot of the node's.
    return stage !== 'zero' || !this.#isSilent(strand, now) || usedAt(own, now) > usedAt(this.#home(node, now)!, now);
  }
}
