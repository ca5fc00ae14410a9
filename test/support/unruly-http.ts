/**
 * A small HTTP server that serves files and misbehaves on demand. It keeps what it was asked, and by whom, and shares no
 * code with the storm that asks it.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** A request as it came. */
export interface Asked {
  /** Number of its connection, from 1. */
  readonly connection: number;
  readonly from: string;
  /** Method and target: `GET /linux`. */
  readonly line: string;
  /** Fields as they were spelled: `Host: 127.0.0.1:80`. */
  readonly fields: readonly string[];
}

/** The answer to one request; each part may be wrong. */
export interface Answer {
  readonly status?: number;
  readonly fields?: readonly string[];
  readonly body?: Uint8Array;
  /** Content-Length, where it is not the body's length; false: none. */
  readonly length?: number | false;
  /** Name of the length's field. Default `Content-Length`. */
  readonly lengthName?: string;
  /** The connection's fate after the body. Default `keep`. */
  readonly afterwards?: 'keep' | 'close' | 'reset';
}

/** @returns the answer, `silence`, `close` for none, `raw` bytes, or undefined: the file as a good server sends it. */
export type Misbehave = (
  asked: Asked,
  turn: number,
) => Answer | 'silence' | 'close' | { readonly raw: string } | undefined;

export class UnrulyHttp {
  readonly asked: Asked[] = [];
  /** Connections that ended by a reset from the client. */
  resets = 0;
  readonly #files: ReadonlyMap<string, Uint8Array>;
  readonly #misbehave: Misbehave;
  readonly #server: Server;
  readonly #numbers = new Map<Socket, number>();

  private constructor(files: ReadonlyMap<string, Uint8Array>, misbehave: Misbehave) {
    this.#files = files;
    this.#misbehave = misbehave;
    this.#server = createServer({ keepAliveTimeout: 60_000 }, (request) => this.#answer(request));
    this.#server.on('connection', (socket) => {
      this.#numbers.set(socket, this.#numbers.size + 1);
      socket.on('error', () => this.resets++);
    });
  }

  /** @param misbehave called for each request, with its turn among those of the same line, from 1. */
  static async start(
    files: ReadonlyMap<string, Uint8Array>,
    misbehave: Misbehave = () => undefined,
  ): Promise<UnrulyHttp> {
    const server = new UnrulyHttp(files, misbehave);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#numbers.size;
  }

  /** The request lines in the order in which they came. */
  get lines(): string[] {
    return this.asked.map(({ line }) => line);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(request: IncomingMessage): void {
    const { socket, rawHeaders } = request;
    const line = `${request.method} ${request.url}`;
    const asked: Asked = {
      connection: this.#numbers.get(socket)!,
      from: socket.remoteAddress!,
      line,
      fields: rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${rawHeaders[index + 1]}`] : [])),
    };
    this.asked.push(asked);
    const turn = this.asked.filter((other) => other.line === line).length;
    const answer = this.#misbehave(asked, turn) ?? this.#right(request);
    if (answer === 'silence') return;
    if (answer === 'close') socket.destroy();
    else if ('raw' in answer) socket.write(answer.raw, 'latin1');
    else this.#send(socket, request.method === 'HEAD', answer);
  }

  #right({ url, headers }: IncomingMessage): Answer {
    const body = this.#files.get(decodeURIComponent(url!.slice(1)));
    if (body === undefined) return { status: 404 };
    const etag = `ETag: "${body.length}"`;
    const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '');
    if (range === null) return { body, fields: [etag] };
    const from = Number(range[1]);
    const to = range[2] === '' ? body.length - 1 : Number(range[2]);
    const fields = [etag, `Content-Range: bytes ${from}-${to}/${body.length}`];
    return { status: 206, fields, body: body.subarray(from, to + 1) };
  }

  #send(socket: Socket, bodiless: boolean, answer: Answer): void {
    const {
      status = 200,
      fields = [],
      body = new Uint8Array(),
      lengthName = 'Content-Length',
      afterwards = 'keep',
    } = answer;
    const length = answer.length ?? body.length;
    const lines = [`HTTP/1.1 ${status} Some Reason`, ...fields];
    if (length !== false) lines.push(`${lengthName}: ${length}`);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    const done = (): void => {
      if (afterwards === 'close') socket.end();
      else if (afterwards === 'reset') socket.resetAndDestroy();
    };
    if (bodiless || body.length === 0) done();
    else socket.write(body, done);
  }
}
