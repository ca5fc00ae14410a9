/** One request on its way to becoming a transfer, and what can be derived from the request alone. */
import type { Content } from '../content/types.ts';
import type { Address, ListeningPort, TransferPort } from '../engine/types.ts';
import type { Settled } from '../protocol/negotiate.ts';
import type { AskedOption, TransferMode } from '../protocol/request.ts';
import type { ClientAddress } from './clients/client-addresses.ts';
import type { CrowdMember } from './clients/crowd.ts';
import type { ReadRequest } from './request-reader.ts';

/** A request, its sender and the port it arrived at. */
export interface Arrival {
  readonly request: ReadRequest;
  readonly peer: Address;
  readonly port: ListeningPort;
  /** When the system received it, ms. */
  readonly arrivedAt: number;
}

/**
 * A request on its way to becoming a transfer, and the transfer. There are thousands, and they spend most of their time
 * running, so they drop what only their start needs.
 */
export class Transfer implements CrowdMember<Transfer> {
  /** Sequence number of the transfer in this server. */
  readonly id: number;
  readonly key: string;
  readonly slot: number;
  readonly requestText: string;
  /** The name as received. */
  readonly filename: string;
  /** The options asked for, until they have been negotiated. */
  options: readonly AskedOption[];
  readonly mode: TransferMode;
  readonly peer: Address;
  readonly port: ListeningPort;
  /** The local address that was asked. */
  readonly local: string;
  readonly firstRequestAt: number;
  lastRequestAt: number;
  quick = false;
  /** The entry of its address, while the transfer counts against its address and network. */
  client: ClientAddress<Transfer> | undefined;
  /** Its index in each list of half-open transfers; see half-open.ts. */
  inAll = -1;
  inAddress = -1;
  inNetwork = -1;
  /** True if superseded or no longer wanted: it is dropped at the next step. */
  abandoned = false;
  /**
   * True if it is given up because it is unanswered and others need its session; its answer may still arrive unread.
   */
  givenUp = false;
  /** True once its resources have been freed. */
  released = false;
  /** True if it had to wait for memory. */
  hasWaited = false;
  content: Content | undefined;
  settled: Settled | undefined;
  /** The OACK, if there is one, from the negotiation until a worker has it. */
  opening: Uint8Array | undefined;
  /** True if the first reply is an OACK, false if it is DATA 1. */
  hasOack = false;
  /** When it was ready to run, ms. */
  queuedAt = 0;
  startedAt = 0;
  /** The port that it uses while it runs, where the engine provides ports. */
  dataPort: TransferPort | undefined;
  /** A repeat of its request, and its arrival time: a new request, if this transfer turns out to have just ended. */
  again: Arrival | undefined;
  againAt = 0;

  constructor(id: number, key: string, slot: number, arrival: Arrival, mode: TransferMode, now: number) {
    this.id = id;
    this.key = key;
    this.slot = slot;
    this.requestText = arrival.request.text;
    this.filename = arrival.request.filename;
    this.options = arrival.request.options;
    this.mode = mode;
    this.peer = arrival.peer;
    this.port = arrival.port;
    this.local = arrival.port.local.address;
    this.firstRequestAt = now;
    this.lastRequestAt = now;
  }

  /**
   * Keeps a repeat of the request for a moment: a client that has its file may ask for it again before the worker has
   * read the last ACK.
   */
  hold(arrival: Arrival, now: number): void {
    this.again = arrival;
    this.againAt = now;
  }
}

/**
 * Tells whether the client may only want to know the size. Intel's ROM probes with `tsize` alone, EDK2 with `tsize` and
 * `windowsize`; loaders that read at once ask `tsize` with `blksize`.
 */
export function mayBeProbe(options: readonly AskedOption[]): boolean {
  const asks = (name: string): boolean => options.some((option) => option.name === name);
  return asks('tsize') && (!asks('blksize') || asks('windowsize'));
}
