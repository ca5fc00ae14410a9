/** One request on its way to becoming a transfer, and what can be told from the request alone. */
import type { Content } from '../content/types.ts';
import type { Address, ListeningPort, TransferPort } from '../engine/types.ts';
import type { Settled } from '../protocol/negotiate.ts';
import type { AskedOption } from '../protocol/request.ts';
import type { ClientAddress } from './clients/client-addresses.ts';
import type { CrowdMember } from './clients/crowd.ts';
import type { ReadRequest } from './request-reader.ts';

/** A request and where it came in. */
export interface Arrival {
  readonly request: ReadRequest;
  readonly peer: Address;
  readonly port: ListeningPort;
}

export type Mode = 'octet' | 'netascii';

/**
 * A request on its way to becoming a transfer, and the transfer. There are thousands, and most of their time they run:
 * what only the way there needs is let go of.
 */
export class Transfer implements CrowdMember<Transfer> {
  /** Counts the server's transfers. */
  readonly id: number;
  readonly key: string;
  readonly slot: number;
  readonly requestText: string;
  /** As it came. */
  readonly filename: string;
  /** What was asked, until it has been negotiated. */
  options: readonly AskedOption[];
  readonly mode: Mode;
  readonly peer: Address;
  readonly port: ListeningPort;
  /** The address that was asked. */
  readonly local: string;
  readonly firstRequestAt: number;
  lastRequestAt: number;
  quick = false;
  /** While it counts against its address and network. */
  client: ClientAddress<Transfer> | undefined;
  /** Where it stands among those that nobody has answered; see half-open.ts. */
  inAll = -1;
  inAddress = -1;
  inNetwork = -1;
  /** Superseded or no longer wanted: to be dropped at the next step. */
  abandoned = false;
  /** It ends because nobody has answered it and others need its place, unless its answer turns out to be there. */
  givenUp = false;
  /** What it held has been given back. */
  released = false;
  /** It had to wait for memory. */
  hasWaited = false;
  content: Content | undefined;
  settled: Settled | undefined;
  /** The OACK, if there is one, from the negotiation until a worker has it. */
  opening: Uint8Array | undefined;
  /** When it was ready to run. */
  queuedAt = 0;
  startedAt = 0;
  /** The port that it has while it runs, where the engine gives ports. */
  dataPort: TransferPort | undefined;
  /** The same request once more, and when it came: a new one, if this transfer turns out to have just ended. */
  again: Arrival | undefined;
  againAt = 0;

  constructor(id: number, key: string, slot: number, arrival: Arrival, mode: Mode, now: number) {
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
   * A client that has its file may ask for the same again before its worker has read the last ACK. The request is kept
   * for the moment that the worker needs.
   */
  hold(arrival: Arrival, now: number): void {
    this.again = arrival;
    this.againAt = now;
  }
}

/**
 * Whether the client may only want to know the size. Intel's ROM probes with `tsize` alone, EDK2 with `tsize` and
 * `windowsize`; loaders that read at once ask `tsize` with `blksize`.
 */
export function mayBeProbe(options: readonly AskedOption[]): boolean {
  const asks = (name: string): boolean => options.some((option) => option.name === name);
  return asks('tsize') && (!asks('blksize') || asks('windowsize'));
}
