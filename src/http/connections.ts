/**
 * The connections of one thread: accepts them, lets Node.js parse their requests, and answers one request after another
 * on each. Bounds the size of heads, the time for them, and the time without progress.
 */
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Address } from '../engine/types.ts';
import type { StreamSystem } from '../engine/stream-system.ts';
import type { Conditions } from './conditions.ts';
import { listen } from './listen.ts';
import type { Body, Ending, Listening, ThreadSetup, ToMain, ToThread } from './messages.ts';
import type { Head } from './head.ts';
import { Sending } from './sending.ts';

/** @limit Size of the head of a request over HTTP. Shows: status 431. */
const MAX_HEAD_BYTES = 8 * 1024;
/** @limit Requests of a connection that wait for the one before. Shows: nothing: the connection ends. */
const MAX_PIPELINED = 16;
/** Interval of the checks for heads that take too long, ms. */
const CHECK_MS = 1000;
/** Interval of reports about answers that go on, ms. */
const PROGRESS_MS = 1000;
/** How long a client may take to read a 400 before its connection is destroyed, ms. */
const LINGER_MS = 1000;

export interface ConnectionsOptions {
  readonly setup: ThreadSetup;
  /** Reads contents by their addresses; undefined: they come as shared memory. */
  readonly system: StreamSystem | undefined;
  readonly tell: (message: ToMain) => void;
}

interface Connection {
  readonly id: number;
  readonly isSecure: boolean;
  /** The socket that requests are read from; the TLS socket once the handshake is done. */
  socket: Socket;
  /** Parsed requests that wait for the answer to the one before. */
  readonly waiting: (readonly [IncomingMessage, ServerResponse])[];
  current: Exchange | undefined;
  ending: Ending | undefined;
  /** Status of the answer to a malformed head, which comes after the answers to the requests before it. */
  refusal: string | undefined;
}

/** A request that is being answered. */
interface Exchange {
  readonly id: number;
  readonly connection: Connection;
  readonly response: ServerResponse;
  /** True if the connection ends with the answer. */
  readonly endsConnection: boolean;
  sending: Sending | undefined;
  /** Bytes last reported. */
  reported: number;
}

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #servers: (Server | SecureServer)[];
  readonly #open = new Map<number, Connection>();
  readonly #bySocket = new WeakMap<Socket, Connection>();
  /** Connections in their TLS handshake, by the addresses of both ends. */
  readonly #byEnds = new Map<string, Connection>();
  readonly #exchanges = new Map<number, Exchange>();
  #connections = 0;
  #requests = 0;
  #isDraining = false;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    this.#servers = options.setup.listening.map((listening) => this.#create(listening));
    setInterval(() => this.#report(), PROGRESS_MS).unref();
  }

  /**
   * Listens on every address, and tells the main thread when done; addresses that the machine does not have yet follow
   * when they appear. Never rejects.
   */
  async listen(): Promise<void> {
    const { setup, tell } = this.#options;
    const waiting = {
      onAhead: (local: Address) => tell({ kind: 'ahead', local }),
      isOver: () => this.#isDraining,
    };
    try {
      const listening = this.#servers.map((server, index) => listen(server, setup.listening[index]!, waiting));
      tell({ kind: 'ready', locals: await Promise.all(listening) });
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException;
      tell({ kind: 'failed', message, code });
    }
  }

  take(message: Exclude<ToThread, { kind: 'collect' | 'close' }>): void {
    switch (message.kind) {
      case 'refuse':
        this.#open.get(message.connection)?.socket.destroy();
        break;
      case 'answer':
        this.#answer(message.request, message.head, message.body);
        break;
      case 'arrived':
        this.#exchanges.get(message.request)?.sending?.arrive(message.bytes);
        break;
      case 'lost':
        this.#end(this.#exchanges.get(message.request)?.connection, 'unreadable');
        break;
      case 'keyPair':
        for (const server of this.#servers) if ('setSecureContext' in server) server.setSecureContext(message.keyPair);
        break;
      case 'drain':
        this.#drain();
        break;
      case 'cut':
        for (const connection of this.#open.values()) this.#end(connection, 'cut');
        break;
    }
  }

  #create({ isSecure }: Listening): Server | SecureServer {
    const { keyPair, timeouts } = this.#options.setup;
    const { headMs, keepAliveMs, stallMs } = timeouts;
    const options: ServerOptions = {
      requireHostHeader: false,
      maxHeaderSize: MAX_HEAD_BYTES,
      headersTimeout: headMs,
      requestTimeout: headMs,
      keepAliveTimeout: keepAliveMs,
      connectionsCheckingInterval: Math.min(CHECK_MS, headMs),
    };
    const server = isSecure
      ? createSecureServer({
          ...options,
          ...keyPair,
          minVersion: 'TLSv1.2',
          maxVersion: 'TLSv1.3',
          handshakeTimeout: headMs,
        })
      : createServer(options);
    server.timeout = stallMs;
    // Simple clients send FIN after their request and then read. @types/node does not have this property.
    Object.assign(server, { httpAllowHalfOpen: true });
    server.on('connection', (socket: Socket) => this.#accept(socket, isSecure));
    if (isSecure) {
      server.on('secureConnection', (socket: TLSSocket) => this.#begin(socket));
      server.on('tlsClientError', (_, socket: Socket) => {
        this.#options.tell({ kind: 'malformed' });
        socket.destroy();
      });
    }
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => this.#read(request, response);
    server.on('request', onRequest);
    // Without these listeners Node.js would answer by itself, or not at all.
    server.on('checkContinue', onRequest);
    server.on('checkExpectation', onRequest);
    server.on('connect', (_: IncomingMessage, socket: Socket) => this.#refuseTunnel(socket));
    server.on('timeout', (socket: Socket) => {
      const connection = this.#bySocket.get(socket);
      if (connection === undefined) socket.destroy();
      else this.#end(connection, 'stalled');
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => this.#onError(error, socket));
    return server;
  }

  #accept(socket: Socket, isSecure: boolean): void {
    const { remoteAddress: address, remotePort: port, localAddress: local } = socket;
    // The client has gone already.
    if (address === undefined || port === undefined || local === undefined || this.#isDraining) {
      socket.destroy();
      return;
    }
    const id = ++this.#connections;
    const connection: Connection = {
      id,
      isSecure,
      socket,
      waiting: [],
      current: undefined,
      ending: undefined,
      refusal: undefined,
    };
    const ends = endsOf(socket);
    this.#open.set(id, connection);
    if (isSecure) this.#byEnds.set(ends, connection);
    else this.#bySocket.set(socket, connection);
    this.#options.tell({ kind: 'opened', connection: id, client: { address, port }, local });
    socket.once('close', () => {
      if (this.#byEnds.get(ends) === connection) this.#byEnds.delete(ends);
      this.#open.delete(id);
      this.#options.tell({ kind: 'closed', connection: id });
      // Node.js reports the end of a response only where it has given it the socket.
      if (connection.current !== undefined) this.#finish(connection.current);
      this.#restIfDrained();
    });
  }

  /** Requests of a connection with TLS are read from another socket than the one that was accepted. */
  #begin(socket: TLSSocket): void {
    const ends = endsOf(socket);
    const connection = this.#byEnds.get(ends);
    if (connection === undefined) {
      socket.destroy();
      return;
    }
    this.#byEnds.delete(ends);
    connection.socket = socket;
    this.#bySocket.set(socket, connection);
  }

  #read(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#bySocket.get(request.socket);
    // A head that was too slow may still end.
    if (connection?.refusal !== undefined) return;
    if (connection === undefined || connection.waiting.push([request, response]) > MAX_PIPELINED) {
      request.socket.destroy();
      return;
    }
    this.#next(connection);
  }

  /** Passes the next request of a connection to the main thread, unless another one is being answered. */
  #next(connection: Connection): void {
    // After the last answer of a connection, requests behind it are ignored.
    if (connection.current !== undefined || !connection.socket.writable) return;
    const next = connection.waiting.shift();
    if (next === undefined) {
      if (connection.refusal !== undefined) this.#refuseHead(connection.socket, connection.refusal);
      else if (this.#isDraining) connection.socket.destroySoon();
      return;
    }
    const [request, response] = next;
    const id = ++this.#requests;
    const exchange = { id, connection, response, endsConnection: isLast(request), sending: undefined, reported: 0 };
    connection.current = exchange;
    this.#exchanges.set(id, exchange);
    response.once('close', () => this.#finish(exchange));
    if (response.destroyed || request.socket.destroyed) return this.#finish(exchange);
    const { method = '', url: target = '' } = request;
    const conditions = conditionsOf(request);
    this.#options.tell({ kind: 'asked', request: id, connection: connection.id, method, target, conditions });
  }

  #answer(request: number, { status, fields }: Head, body: Body | undefined): void {
    const exchange = this.#exchanges.get(request);
    if (exchange === undefined) return;
    const { connection, response, endsConnection } = exchange;
    const isEnd = endsConnection || this.#isDraining;
    response.writeHead(status, [...fields, ...(isEnd ? ['Connection', 'close'] : [])]);
    if (body === undefined) {
      response.end();
      return;
    }
    exchange.sending = new Sending({
      response,
      body,
      system: this.#options.system,
      isCopied: connection.isSecure,
      onNeeds: (passed, arrived) => this.#options.tell({ kind: 'needs', request, passed, arrived }),
      onUnreadable: () => this.#end(connection, 'unreadable'),
    });
    // The head is sent even if the first bytes have not arrived yet.
    if (body.arrived <= body.from && body.to > body.from) response.flushHeaders();
    exchange.sending.go();
  }

  /** Called when nothing refers to the content any more: all is written, or the socket is closed. */
  #finish(exchange: Exchange): void {
    const { id, connection, sending, response } = exchange;
    if (!this.#exchanges.delete(id)) return;
    connection.current = undefined;
    const isWhole = response.writableFinished && (sending?.isWhole ?? true);
    const ending = isWhole ? 'whole' : (connection.ending ?? 'closed');
    this.#options.tell({ kind: 'ended', request: id, sent: sending?.sent ?? 0, ending });
    this.#next(connection);
  }

  #end(connection: Connection | undefined, ending: Ending): void {
    if (connection === undefined) return;
    connection.ending ??= ending;
    connection.socket.destroy();
  }

  #onError(error: NodeJS.ErrnoException, socket: Socket): void {
    const connection = this.#bySocket.get(socket);
    // A mapped file was cut short: that costs this connection and nothing else.
    if (error.code === 'EFAULT' && connection !== undefined) return this.#end(connection, 'unreadable');
    if (error.code?.startsWith('HPE_') !== true && error.code !== 'ERR_HTTP_REQUEST_TIMEOUT') {
      socket.destroy();
      return;
    }
    if (connection === undefined) {
      this.#options.tell({ kind: 'malformed' });
      socket.destroy();
      return;
    }
    // Everything behind a malformed head is malformed too: it is read and ignored.
    if (connection.refusal !== undefined) return;
    this.#options.tell({ kind: 'malformed' });
    connection.refusal = statusOf(error);
    this.#next(connection);
  }

  /** Node.js gives up a connection with CONNECT, and handles its errors no more: unhandled, one would end the thread. */
  #refuseTunnel(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    // The client would take the second answer for bytes of the first.
    if (this.#bySocket.get(socket)?.current !== undefined) socket.destroy();
    else this.#refuseHead(socket, '405 Method Not Allowed');
  }

  #refuseHead(socket: Socket, status: string): void {
    const allow = status.startsWith('405') ? 'Allow: GET, HEAD\r\n' : '';
    if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n${allow}Connection: close\r\n\r\n`);
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  }

  #drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    for (const server of this.#servers) server.close();
    for (const { current, waiting, socket } of this.#open.values()) {
      if (current === undefined && waiting.length === 0) socket.destroy();
    }
    this.#restIfDrained();
  }

  #restIfDrained(): void {
    if (this.#isDraining && this.#open.size === 0) this.#options.tell({ kind: 'drained' });
  }

  #report(): void {
    const sent: [number, number][] = [];
    for (const exchange of this.#exchanges.values()) {
      const bytes = exchange.sending?.taken ?? 0;
      if (bytes <= exchange.reported) continue;
      exchange.reported = bytes;
      sent.push([exchange.id, bytes]);
    }
    if (sent.length > 0) this.#options.tell({ kind: 'progress', sent });
  }
}

function statusOf({ code }: NodeJS.ErrnoException): string {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return '408 Request Timeout';
  return code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request';
}

function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/**
 * Tells whether the connection ends with the answer: for HTTP/1.0, whose clients take our close for the end of the file,
 * and for a request with a body, which is not read.
 */
function isLast({ httpVersion, headers }: IncomingMessage): boolean {
  const { 'transfer-encoding': encoding, 'content-length': length = '0' } = headers;
  return httpVersion !== '1.1' || encoding !== undefined || length !== '0';
}

function conditionsOf({ headers }: IncomingMessage): Conditions {
  const { range, 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = headers;
  const { 'if-modified-since': ifModifiedSince, 'if-unmodified-since': ifUnmodifiedSince } = headers;
  const ifRange = headers['if-range'];
  return {
    ...(range === undefined ? {} : { range }),
    ...(ifMatch === undefined ? {} : { ifMatch }),
    ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
    ...(ifModifiedSince === undefined ? {} : { ifModifiedSince }),
    ...(ifUnmodifiedSince === undefined ? {} : { ifUnmodifiedSince }),
    ...(typeof ifRange === 'string' ? { ifRange } : {}),
  };
}
