/** Requests of simulated nodes, over TFTP with Reveille's own client code, and over HTTP with that of Node.js. */
import { request } from 'node:http';
import { allocateCounters, counterRow } from '../../src/engine/counters.ts';
import { createEngine } from '../../src/engine/create.ts';
import { Driver } from '../../src/engine/driver.ts';
import type { Address, Engine } from '../../src/engine/types.ts';
import { encodeReadRequest, MAX_CONTROL, wishedOptions } from '../../src/protocol/encode.ts';
import type { Wish } from '../../src/protocol/negotiate.ts';
import { ERROR_CODE } from '../../src/protocol/opcode.ts';
import type { Manners, Stop } from '../../src/session/manners.ts';
import { Receiver } from '../../src/session/receiver.ts';

/** Short resend intervals, so that a restart of the server costs little time. */
const SCHEDULE = { firstMs: 250, factor: 1.5, addMs: 0, ceilingMs: 1000, sends: 6 };
const MANNERS: Manners = {
  request: SCHEDULE,
  data: SCHEDULE,
  repeatsAck: true,
  unexpected: 'once',
  needsOack: false,
};
const WISH: Wish = { blksize: 1408, windowsize: 4, tsize: true };
/** How long a node waits for the next bytes over HTTP, ms. */
const HTTP_PATIENCE_MS = 10_000;

/** An answer to one request. */
export interface Reply {
  /** Undefined if the server has no such file. */
  readonly bytes: Buffer | undefined;
  /** Over HTTP alone. */
  readonly etag?: string | undefined;
}

/** A request over HTTP: a probe, a whole file, or a download that the node leaves after its first bytes. */
export type HttpWay = 'head' | 'get' | 'cut';

export class BootRequests {
  readonly #engine: Engine = createEngine('linux');
  readonly #driver = new Driver(this.#engine, counterRow(allocateCounters(1), 0));
  #turn = 0;

  close(): Promise<void> {
    return this.#engine.close();
  }

  /** @returns the reason if there was no answer. */
  async overTftp(server: Address, local: string, name: string, stop?: Stop): Promise<Reply | string> {
    const parts: Buffer[] = [];
    const receiver = new Receiver({
      wish: WISH,
      seed: ++this.#turn,
      patienceMs: 0,
      lingerMs: 0,
      manners: MANNERS,
      stop,
    });
    const opening = new Uint8Array(MAX_CONTROL);
    const length = encodeReadRequest(opening, name, 'octet', wishedOptions(WISH));
    const report = await this.#driver.run({
      session: receiver,
      link: { local, peer: server, peerPort: 'learn' },
      opening: opening.subarray(0, length),
      keep: (bytes, start, end) => void parts.push(Buffer.from(bytes.subarray(start, end))),
      supervision: { onProgress: () => {}, attend: () => {} },
    });
    switch (report.outcome) {
      case 'complete':
      case 'completeUnconfirmed':
      case 'probe':
        return { bytes: Buffer.concat(parts) };
      case 'refused':
        if (report.errorCode === ERROR_CODE.FILE_NOT_FOUND) return { bytes: undefined };
        break;
      default:
        break;
    }
    return `${report.outcome} ${report.errorText}`;
  }

  /** Never rejects. @returns the reason if there was no whole answer. */
  overHttp(server: Address, local: string, name: string, way: HttpWay): Promise<Reply | string> {
    return new Promise((resolve) => {
      const asked = request({
        host: server.address,
        port: server.port,
        localAddress: local,
        path: `/${name}`,
        method: way === 'head' ? 'HEAD' : 'GET',
        agent: false,
        timeout: HTTP_PATIENCE_MS,
      });
      asked.on('timeout', () => asked.destroy(new Error('no bytes in time')));
      asked.on('error', ({ message }) => resolve(message));
      asked.on('response', (response) => {
        const { statusCode, headers } = response;
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => {
          parts.push(part);
          if (way === 'cut') asked.destroy();
        });
        // Where the connection ends within the body, `complete` is false.
        response.on('error', () => {});
        response.on('close', () => {
          if (statusCode === 404) resolve({ bytes: undefined });
          else if (statusCode !== 200) resolve(`status ${statusCode}`);
          else if (!response.complete && way !== 'cut') resolve('the connection ended within the body');
          else resolve({ bytes: Buffer.concat(parts), etag: headers.etag });
        });
      });
      asked.end();
    });
  }
}
