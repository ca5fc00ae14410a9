/**
 * The ends of the transfers in mortal-world.ts: sockets that outlive their worker, and clients with the manners of
 * firmware, on virtual time.
 */
import type { BytesView, SharedView } from '../../src/bytes/shared-bytes.ts';
import { allocateCounters, counterRow } from '../../src/engine/counters.ts';
import { Driver } from '../../src/engine/driver.ts';
import type { MemoryNetwork } from '../../src/engine/memory.ts';
import type { Address } from '../../src/engine/types.ts';
import {
  DATA_HEADER,
  encodeDataHeader,
  encodeReadRequest,
  MAX_CONTROL,
  wishedOptions,
} from '../../src/protocol/encode.ts';
import type { Manners } from '../../src/session/manners.ts';
import { Receiver } from '../../src/session/receiver.ts';

export const SERVER = 'server';

/** A socket connected to its peer: it belongs to the process, and queues what no worker reads. */
export class Socket {
  readonly local: Address;
  readonly queue: Uint8Array[] = [];
  reader: ((bytes: Uint8Array) => void) | undefined;
  readonly #network: MemoryNetwork;
  readonly #peer: Address;

  constructor(network: MemoryNetwork, peer: Address) {
    this.#network = network;
    this.#peer = peer;
    this.local = { address: SERVER, port: network.freePort(SERVER) };
    network.bind(this.local, {
      receive: (bytes) => {
        if (this.reader === undefined) this.queue.push(bytes.slice());
        else this.reader(bytes.slice());
      },
      unreachable: () => {},
    });
  }

  send(bytes: Uint8Array): void {
    this.#network.send(bytes.slice(), this.local, this.#peer);
  }

  data(wireBlock: number, view: SharedView, offset: number, length: number): void {
    const packet = new Uint8Array(DATA_HEADER + length);
    encodeDataHeader(packet, wireBlock);
    packet.set((view as BytesView).bytes.subarray(offset, offset + length), DATA_HEADER);
    this.send(packet);
  }

  close(): void {
    this.#network.unbind(this.local);
  }
}

export interface DownloadOptions {
  readonly network: MemoryNetwork;
  /** Numbers the client and the port that it asks. */
  readonly slot: number;
  readonly size: number;
  readonly blksize: number;
  readonly windowsize: number;
  /** False: the client asks for no options. */
  readonly options: boolean;
  readonly manners: Manners | undefined;
  /** Called with the sender of each request, the first and its repeats. */
  readonly onRequest: (client: Address, isFirst: boolean) => void;
}

/** A client's download. */
export class Download {
  readonly bytes: Uint8Array;
  outcome: string | undefined;
  readonly #options: DownloadOptions;

  constructor(options: DownloadOptions) {
    this.#options = options;
    this.bytes = new Uint8Array(options.size);
  }

  start(): void {
    const { network, slot, blksize, windowsize, options, manners, onRequest } = this.#options;
    const wish = options ? { blksize, windowsize } : {};
    const request = new Uint8Array(MAX_CONTROL);
    const length = encodeReadRequest(request, 'file', 'octet', wishedOptions(wish));
    let isAsked = false;
    const listening: Address = { address: SERVER, port: 69 + slot };
    network.bind(listening, {
      receive: (_, from) => {
        onRequest(from, !isAsked);
        isAsked = true;
      },
      unreachable: () => {},
    });
    const engine = network.engine();
    const driver = new Driver(
      { ...engine, clock: network.clock, link: engine.link.bind(engine) },
      counterRow(allocateCounters(1), 0),
    );
    void driver
      .run({
        session: new Receiver({
          wish,
          seed: slot + 1,
          patienceMs: 60_000,
          lingerMs: 250,
          manners,
        }),
        link: { local: `client${slot}`, peer: listening, peerPort: 'learn' },
        opening: request.subarray(0, length),
        keep: (bytes, start, end, offset) => this.bytes.set(bytes.subarray(start, end), offset),
      })
      .then((report) => {
        this.outcome = report.outcome;
      });
  }
}
