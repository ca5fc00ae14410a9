/**
 * One download: a request, a receiver, a sink. Uses the receiver and driver that the rest of Reveille is tested with.
 */
import { randomInt } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { Driver } from '../engine/driver.ts';
import { allocateCounters, counterRow } from '../engine/counters.ts';
import type { TransferReport } from '../engine/report.ts';
import type { Address, Engine } from '../engine/types.ts';
import { MAX_CONTROL, encodeReadRequest, wishedOptions } from '../protocol/encode.ts';
import type { Settled, Wish } from '../protocol/negotiate.ts';
import { NetasciiDecoder } from '../protocol/netascii.ts';
import type { TransferMode } from '../protocol/request.ts';
import { Receiver } from '../session/receiver.ts';
import { createEngine } from '../engine/create.ts';

/** How long a finished download stays to repeat its last ACK, should that be lost (RFC 1350 §6). */
const LINGER_MS = 250;

export interface Sink {
  /** Takes the next bytes of the file; their buffer is reused after the call. A throw ends the download. */
  write(bytes: Uint8Array): void;
}

export interface FetchOptions {
  /** The server's IP address as text, and the port to ask. */
  readonly server: Address;
  /** The name to ask for, one character per byte. */
  readonly filename: string;
  readonly mode: TransferMode;
  /** The options to ask for. */
  readonly wish: Wish;
  readonly sink: Sink;
  /**
   * Called after every block. @param bytes received so far. @param total bytes in all, if the server announced them.
   */
  readonly onProgress?: (bytes: number, total: number | undefined) => void;
  /** How long to wait for progress, ms. Default 60,000. */
  readonly patienceMs?: number;
  /** How long to stay after the last ACK, ms. Default 250. */
  readonly lingerMs?: number;
  /** Ends the download with outcome `aborted`. */
  readonly signal?: AbortSignal;
  /** The engine to use; by default one is created for this download alone. */
  readonly engine?: Engine;
  /** Seeds the jitter of resends. Default: random. */
  readonly seed?: number;
  /** The local address to send from. Default: any. */
  readonly local?: string;
  /** Simulated nodes share sockets by this number: see LinkOptions.shared. */
  readonly shared?: number;
}

export interface FetchResult extends TransferReport {
  /** The size the server announced, in bytes. */
  readonly tsize: number | undefined;
  /** The agreed values; undefined when the server never replied. */
  readonly settled: Settled | undefined;
  /** The rule the server broke, when that ended the download. */
  readonly violation: string | undefined;
}

/**
 * Downloads one file. Resolves with the result, whatever the server does.
 *
 * @throws RangeError when the name does not fit into a request.
 */
export async function fetchFile(options: FetchOptions): Promise<FetchResult> {
  const { server, filename, mode, wish, sink, onProgress, signal } = options;
  const engine = options.engine ?? createEngine('portable');
  const driver = new Driver(engine, counterRow(allocateCounters(1), 0));
  const receiver = new Receiver({
    wish,
    seed: options.seed ?? randomInt(1, 0x7fffffff),
    patienceMs: options.patienceMs ?? 60_000,
    lingerMs: options.lingerMs ?? LINGER_MS,
  });
  const request = new Uint8Array(MAX_CONTROL);
  const length = encodeReadRequest(request, filename, mode, wishedOptions(wish));
  const decoder = mode === 'netascii' ? new NetasciiDecoder() : undefined;
  const onAbort = (): void => driver.abortAll();
  signal?.addEventListener('abort', onAbort);
  try {
    const report = await driver.run({
      session: receiver,
      link: {
        local: options.local ?? (isIPv6(server.address) ? '::' : '0.0.0.0'),
        peer: server,
        peerPort: 'learn',
        shared: options.shared,
      },
      opening: request.slice(0, length),
      keep: (bytes, start, end) => {
        const payload = bytes.subarray(start, end);
        sink.write(decoder === undefined ? payload : decoder.decode(payload));
        onProgress?.(receiver.tally.bytes, receiver.tsize);
      },
      supervision: {
        onProgress: () => {},
        // Checked once the link is open: an earlier abort found nothing to end.
        attend: (_now, out) => {
          if (signal?.aborted === true) receiver.abort(out);
        },
      },
    });
    if (decoder !== undefined && report.outcome === 'complete') sink.write(decoder.end());
    return { ...report, tsize: receiver.tsize, settled: receiver.settled, violation: receiver.violation };
  } finally {
    signal?.removeEventListener('abort', onAbort);
    if (options.engine === undefined) await engine.close();
  }
}
