/**
 * Judges the meaning of a request from a known client. Firmware repeats requests that got no answer, reuses ports for
 * the next file, and after a reset sends the identical request again; the state cells tell these apart. A transfer is
 * keyed by client address, client port and the address asked. Knows no content and no sockets.
 */
import { type StateCells, TRANSFER_STATE } from '../pool/state-cells.ts';
import type { Address } from '../engine/types.ts';
import { type JustEnded, SLACK_MS } from './clients/just-ended.ts';

/** A running transfer with progress this recent is alive: its request is an old copy. */
const ALIVE_MS = 1000;

/** The facts about a transfer that the gate needs. */
export interface Guarded {
  readonly key: string;
  readonly slot: number;
  /** The request's name, mode and options, to compare it exactly. */
  readonly requestText: string;
}

export type Verdict =
  /** The client has no transfer yet. */
  | 'new'
  /** The transfer is being resolved or waits: only the time of its last request changes. */
  | 'refresh'
  /** The first reply was lost or has not been sent: repeat it. */
  | 'repeat'
  /** The request is an old copy: its transfer is well under way, or has ended since the copy arrived. */
  | 'ignore'
  /** The client has started over: end its former transfer, start a new one. */
  | 'replace';

/** Port 0, which is unreachable, and ports of services that answer any datagram: chargen, DNS, NTP, SNMP. */
const NOBODYS_PORTS: ReadonlySet<number> = new Set([0, 19, 53, 123, 161]);

/** Tells whether no client uses that port: a forged request would make us and a service answer each other. */
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
  readonly #justEnded: JustEnded | undefined;

  /** @param justEnded undefined: copies of requests that have been answered count as new requests. */
  constructor(cells: StateCells, justEnded?: JustEnded) {
    this.#cells = cells;
    this.#justEnded = justEnded;
  }

  /** The transfers that requests are judged by; superseded ones are not among them. */
  values(): IterableIterator<T> {
    return this.#byKey.values();
  }

  find(key: string): T | undefined {
    return this.#byKey.get(key);
  }

  /** @param arrivedAt when the request arrived, ms: it may have waited long. */
  judge(key: string, requestText: string, arrivedAt: number): Verdict {
    const known = this.find(key);
    if (known?.requestText !== requestText) {
      if (this.#justEnded?.covers(key, requestText, arrivedAt) === true) return 'ignore';
      return known === undefined ? 'new' : 'replace';
    }
    switch (this.#cells.state(known.slot)) {
      case TRANSFER_STATE.resolving:
      case TRANSFER_STATE.queued:
        return 'refresh';
      case TRANSFER_STATE.unproven:
        // The first reply answers what arrived before it. At a shared port another one could reach the next transfer.
        return this.#justEnded !== undefined && this.#cells.silence(known.slot, arrivedAt) < 0 ? 'refresh' : 'repeat';
      case TRANSFER_STATE.running:
      // A small file is sent whole with its first window: that alone does not mean its client is done.
      case TRANSFER_STATE.lastBlockSent:
        return this.isAlive(known, arrivedAt) ? 'ignore' : 'replace';
      default:
        // Its report has not been read yet; from then on the request is judged by justEnded.
        return this.#justEnded !== undefined && this.#cells.silence(known.slot, arrivedAt) <= SLACK_MS
          ? 'ignore'
          : 'replace';
    }
  }

  /** Tells whether the transfer's client had made progress shortly before `at`, or has since. */
  isAlive({ slot }: T, at: number): boolean {
    return this.#cells.silence(slot, at) < ALIVE_MS;
  }

  /** Returns a slot for a new transfer, or undefined when all are taken. */
  takeSlot(): number | undefined {
    const slot = this.#freeSlots.pop();
    if (slot !== undefined) return slot;
    return this.#nextSlot < this.#cells.slots ? this.#nextSlot++ : undefined;
  }

  /** Judges requests with the transfer's key by this transfer from now on. */
  enter(transfer: T): void {
    this.#byKey.set(transfer.key, transfer);
  }

  /** Forgets a transfer that is over or superseded; its slot stays taken until freeSlot. */
  leave(transfer: T): void {
    if (this.#byKey.get(transfer.key) === transfer) this.#byKey.delete(transfer.key);
  }

  /** Forgets a transfer that is over, except for late copies of its request. Call before freeSlot. */
  end(transfer: T, now: number): void {
    this.leave(transfer);
    const { key, slot, requestText } = transfer;
    // A refusal answers the copies that have arrived by now, a transfer those that came before its client's last packet.
    const isRefused = this.#cells.state(slot) === TRANSFER_STATE.resolving;
    this.#justEnded?.note(key, requestText, isRefused ? now : now - this.#cells.silence(slot, now), now);
  }

  /** Frees a slot. Call only when no worker can write to its cell any more. */
  freeSlot(slot: number): void {
    this.#cells.setState(slot, TRANSFER_STATE.free);
    this.#freeSlots.push(slot);
  }
}
