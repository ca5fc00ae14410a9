/** An HTTP client that writes exactly the bytes it is given, and returns exactly the bytes that come back. */
import { connect, type Socket } from 'node:net';
import { connect as connectSecurely, type ConnectionOptions } from 'node:tls';
import type { Address } from '../../src/index.ts';

/** Dates differ from run to run. */
export const DATE = /Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n/g;

export interface RawAnswer {
  /** The head with its empty line; Date replaced by `Date: -`. */
  readonly head: string;
  readonly status: number;
  readonly body: Buffer;
}

export class RawHttp {
  readonly socket: Socket;
  #chunks: Buffer[] = [];
  #isClosed = false;
  #stirred: () => void = () => {};

  constructor(to: Address, options: { readonly local?: string; readonly tls?: ConnectionOptions } = {}) {
    const { local, tls } = options;
    const where = { host: to.address, port: to.port, ...(local === undefined ? {} : { localAddress: local }) };
    this.socket = tls === undefined ? connect(where) : connectSecurely({ ...where, ...tls });
    this.socket.on('data', (bytes: Buffer) => {
      this.#chunks.push(bytes);
      this.#stirred();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.#isClosed = true;
      this.#stirred();
    });
  }

  send(text: string): this {
    this.socket.write(text, 'latin1');
    return this;
  }

  /** The bytes that have arrived and have not been taken, as one buffer. */
  get #bytes(): Buffer {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }

  get #length(): number {
    return this.#chunks.reduce((sum, { length }) => sum + length, 0);
  }

  /** Waits for `enough`; ends also when the connection has closed. */
  async until(enough: (bytes: Buffer) => boolean): Promise<Buffer> {
    // oxlint-disable-next-line no-await-in-loop -- each turn waits for the next event.
    while (!this.#isClosed && !enough(this.#bytes)) await this.#next();
    return this.#bytes;
  }

  /** Waits for bytes without putting together those that have come. */
  async #atLeast(length: number): Promise<Buffer> {
    // oxlint-disable-next-line no-await-in-loop -- each turn waits for the next event.
    while (!this.#isClosed && this.#length < length) await this.#next();
    return this.#bytes;
  }

  #next(): Promise<void> {
    return new Promise<void>((resolve) => {
      this.#stirred = resolve;
    });
  }

  /** Everything that comes until the server closes the connection. */
  async all(): Promise<Buffer> {
    return await this.#atLeast(Number.POSITIVE_INFINITY);
  }

  /** Takes one answer. @param isHead of a HEAD, whose length is that of no body. */
  async answer(isHead = false): Promise<RawAnswer> {
    const begun = await this.until((bytes) => bytes.includes('\r\n\r\n'));
    const end = begun.indexOf('\r\n\r\n') + 4;
    if (end < 4) throw new Error(`Expected a head, got ${JSON.stringify(begun.toString('latin1'))}`);
    const head = begun.subarray(0, end).toString('latin1');
    const status = Number(head.split(' ')[1]);
    const length = isHead || status === 304 ? 0 : Number(/^Content-Length: (\d+)\r$/m.exec(head)?.[1]);
    const whole = await this.#atLeast(end + length);
    this.#chunks = [whole.subarray(end + length)];
    const body = Buffer.from(whole.subarray(end, end + length));
    if (body.length !== length) throw new Error(`Expected ${length} bytes, got ${body.length}`);
    return { head: head.replaceAll(DATE, 'Date: -\r\n'), status, body };
  }

  close(): void {
    this.socket.destroy();
  }
}

/** Sends one request on a connection of its own. */
export async function rawGet(to: Address, target: string, fields: readonly string[] = []): Promise<RawAnswer> {
  const client = new RawHttp(to);
  const answer = await client.send([`GET ${target} HTTP/1.1`, ...fields, '', ''].join('\r\n')).answer();
  client.close();
  return answer;
}
