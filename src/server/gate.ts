/**
 * What a request from a known client means. Firmware repeats requests it has no answer to, reuses ports for the next
 * file, and after a reset sends the identical request again; the state cells tell these apart. A transfer is keyed
 * by client address, client port and the address asked. Knows no content and no sockets.
 */
import { type StateCells, TRANSFER_STATE } from '../pool/state-cells.ts';
import type { Address } from '../engine/types.ts';

/** A running transfer that moved so recently is alive: its request is an old copy. */
const ALIVE_MS = 1000;

/** What the gate needs to know of a transfer. */
export interface Guarded {
  readonly key: string;
  readonly slot: number;
  /** The request to the letter: name, mode and options. */
  readonly requestText: string;
}

export type Verdict =
  /** Nobody there yet. */
  | 'new'
  /** Already being seen to: only the time of asking changes. */
  | 'refresh'
  /** The first reply was lost, or has not been sent: repeat it. */
  | 'repeat'
  /** An old copy of the request of a transfer that is well under way. */
  | 'ignore'
  /** The client has begun anew: end what was, start afresh. */
  | 'replace';

/** Port 0, where nobody is, and ports of services that answer what they get: chargen, DNS, NTP, SNMP. */
const NOBODYS_PORTS: ReadonlySet<number> = new Set([0, 19, 53, 123, 161]);

/** Whether no client asks from that port: a forged request would have us and a service talk to each other. */
export function isNobodysPort(port: number): boolean {
  return NOBODYS_PORTS.has(port);
}

export function transferKey(peer: Address, local: string): string {
  return `${peer.address}|${peer.port}|${local}`;
}

export class Gate<T extends Guarded> {
  readonly #cells: StateCells;
  readonly #byKey = new Map<string, T>();
  readonly #freeSlots: number[] = [];
  #nextSlot = 0;

  constructor(cells: StateCells) {
    this.#cells = cells;
  }

  /** Those that requests are judged by: superseded ones are not among them. */
  values(): IterableIterator<T> {
    return this.#byKey.values();
  }

  find(key: string): T | undefined {
    return this.#byKey.get(key);
  }

  judge(known: T | undefined, requestText: string, now: number): Verdict {
    if (known === undefined) return 'new';
    if (known.requestText !== requestText) return 'replace';
    switch (this.#cells.state(known.slot)) {
      case TRANSFER_STATE.resolving:
      case TRANSFER_STATE.queued:
        return 'refresh';
      case TRANSFER_STATE.unproven:
        return 'repeat';
      case TRANSFER_STATE.running:
      // A small file is all under way with its first window: that alone does not mean its client is done.
      case TRANSFER_STATE.lastBlockSent:
        return this.isAlive(known, now) ? 'ignore' : 'replace';
      default:
        return 'replace';
    }
  }

  /** Whether its client has answered of late. */
  isAlive({ slot }: T, now: number): boolean {
    return this.#cells.silence(slot, now) < ALIVE_MS;
  }

  /** A slot for a new transfer, or undefined when all are taken. */
  takeSlot(): number | undefined {
    const slot = this.#freeSlots.pop();
    if (slot !== undefined) return slot;
    return this.#nextSlot < this.#cells.slots ? this.#nextSlot++ : undefined;
  }

  /** From now on requests with this key are judged by this transfer. */
  enter(transfer: T): void {
    this.#byKey.set(transfer.key, transfer);
  }

  /** Forgets a transfer that is over or superseded; its slot stays taken until freeSlot. */
  leave(transfer: T): void {
    if (this.#byKey.get(transfer.key) === transfer) this.#byKey.delete(transfer.key);
  }

  /** Only when no worker can write to the slot's cell any more. */
  freeSlot(slot: number): void {
    this.#cells.setState(slot, TRANSFER_STATE.free);
    this.#freeSlots.push(slot);
  }
}
