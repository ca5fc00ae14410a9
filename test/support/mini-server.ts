/** A minimal TFTP server and a client for it, for tests of the layers below. */
import { Driver } from '../../src/engine/driver.ts';
import type { TransferReport } from '../../src/engine/report.ts';
import { shareBytes } from '../../src/bytes/shared-bytes.ts';
import type { Address, Engine, ListeningPort } from '../../src/engine/types.ts';
import { MAX_CONTROL, encodeOack, encodeReadRequest, wishedOptions } from '../../src/protocol/encode.ts';
import { type Wish, negotiate } from '../../src/protocol/negotiate.ts';
import { decodeRequest } from '../../src/protocol/request.ts';
import { Receiver } from '../../src/session/receiver.ts';
import { Sender } from '../../src/session/sender.ts';

const LIMITS = { maxBlksize: 65464, maxWindowsize: 64, acknowledgeTimeout: false };

export class MiniServer {
  readonly driver: Driver;
  readonly counters = new Float64Array(8);
  /** Promises of reports by file name; the last transfer of each file. */
  readonly reports = new Map<string, Promise<TransferReport>>();
  readonly #engine: Engine;
  readonly #files: ReadonlyMap<string, Uint8Array>;
  /** Called with each sender before it starts, so that a test may break it. */
  readonly #prepare: (sender: Sender, name: string) => void;
  readonly #known = new Set<string>();
  readonly #all: Promise<TransferReport>[] = [];
  #listening: ListeningPort | undefined;

  constructor(
    engine: Engine,
    files: ReadonlyMap<string, Uint8Array>,
    prepare: (sender: Sender, name: string) => void = () => {},
  ) {
    this.#engine = engine;
    this.#files = files;
    this.#prepare = prepare;
    this.driver = new Driver(engine, this.counters);
  }

  async listen(address: string): Promise<Address> {
    this.#listening = await this.#engine.listen({ address, port: 0 }, (bytes, length, peer) => {
      this.#onRequest(bytes, length, peer);
    });
    return this.#listening.local;
  }

  /** Resolves with the reports of all transfers so far, in the order they began. */
  idle(): Promise<TransferReport[]> {
    return Promise.all(this.#all);
  }

  async close(): Promise<void> {
    await this.#listening?.close();
  }

  #onRequest(bytes: Uint8Array, length: number, peer: Address): void {
    const request = decodeRequest(bytes, length);
    if (typeof request === 'string') return;
    const content = this.#files.get(request.filename);
    // A repeated request is ignored: its client waits for the first answer.
    const client = `${peer.address}|${peer.port}`;
    if (content === undefined || this.#known.has(client)) return;
    this.#known.add(client);
    const { settled, oack } = negotiate(request.options, LIMITS, content.length, 'octet');
    const opening = new Uint8Array(MAX_CONTROL);
    const openingLength = encodeOack(opening, oack);
    const sender = new Sender({
      size: content.length,
      ...settled,
      oack: oack.length > 0,
      seed: peer.port,
      patienceMs: 20_000,
    });
    this.#prepare(sender, request.filename);
    const report = this.driver.run({
      session: sender,
      link: { local: this.#listening!.local.address, peer, peerPort: 'fixed' },
      opening: opening.subarray(0, openingLength),
      content: this.#engine.attach(shareBytes(content)),
    });
    this.reports.set(request.filename, report);
    this.#all.push(report);
    // Another client may get the same port.
    void report.then(() => this.#known.delete(client));
  }
}

export interface DownloadOptions {
  readonly local: string;
  readonly server: Address;
  readonly name: string;
  readonly wish?: Wish;
  readonly patienceMs?: number;
  /**
   * How long the client stays after its last ACK. Default 300 ms, so that even on a busy machine the server still finds
   * it.
   */
  readonly lingerMs?: number;
  /** Called with the number of bytes kept so far. */
  readonly onKept?: (bytes: number) => void;
}

export interface Downloaded {
  readonly report: TransferReport;
  readonly bytes: Uint8Array;
}

/** Fetches a file. */
export async function download(driver: Driver, options: DownloadOptions): Promise<Downloaded> {
  const { local, server, name, wish = {}, patienceMs = 20_000, lingerMs = 300, onKept } = options;
  const opening = new Uint8Array(MAX_CONTROL);
  const length = encodeReadRequest(opening, name, 'octet', wishedOptions(wish));
  const chunks: Uint8Array[] = [];
  let kept = 0;
  const report = await driver.run({
    session: new Receiver({ wish, seed: 7, patienceMs, lingerMs }),
    link: { local, peer: server, peerPort: 'learn' },
    opening: opening.subarray(0, length),
    keep: (bytes, start, end, offset) => {
      if (offset !== kept) throw new Error(`Expected offset ${kept}, got ${offset}`);
      chunks.push(bytes.slice(start, end));
      kept += end - start;
      onKept?.(kept);
    },
  });
  return { report, bytes: Buffer.concat(chunks) };
}
