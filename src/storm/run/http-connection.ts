/**
 * A simulated node's TCP connections to an HTTP server, one exchange at a time, with its patience. Knows how a response
 * is framed (RFC 9112), and neither profiles nor what a status means for a boot.
 */
import { connect, type Socket } from 'node:net';
import type { Address, Clock } from '../../engine/types.ts';
import { MAX_HEAD_BYTES, parseHead, type ResponseHead } from './response-head.ts';

/** Bytes read at a time. One buffer serves all connections of a thread: each read is used up before the next one. */
const READ_BYTES = 65_536;
/**
 * The body of an error is read to its end if it has at most this length, so that the connection can be kept.
 * @limit Body of an HTTP error that is read, in bytes. Shows: nothing: the connection is closed.
 */
const MAX_DROPPED_BYTES = 65_536;
const HEAD_END = '\r\n\r\n';
/** Errors of this machine: it has no descriptor, port or memory for another connection. */
const OWN_ERRORS: ReadonlySet<string> = new Set([
  'EMFILE',
  'ENFILE',
  'EADDRNOTAVAIL',
  'EADDRINUSE',
  'ENOBUFS',
  'ENOMEM',
]);

export type ExchangeEnd =
  /** The response is complete, or its body was not wanted. */
  | 'complete'
  /** `onBody` refused the rest of the body: the connection stays open, and nothing more is read from it. */
  | 'left'
  | 'refused'
  /** No connection was made in time, or the network reported an error. */
  | 'unconnected'
  /** The head did not arrive in time. */
  | 'unanswered'
  /** No byte of the body arrived in time. */
  | 'silent'
  /** The connection ended before the first byte of the response. */
  | 'closed'
  /** The connection ended in the middle of the response. */
  | 'cut'
  | 'malformed'
  /** The storm's own machine could not open the connection. */
  | 'own-error'
  | 'aborted';

export interface Exchange {
  readonly end: ExchangeEnd;
  readonly head: ResponseHead | undefined;
  /** The fault in the head, or the system's error code; empty when neither is known. */
  readonly detail: string;
}

export interface ExchangeOrder {
  /** The whole request, one character for each byte. */
  readonly request: string;
  /** True for a HEAD request: its response has no body, whatever its length says (RFC 9110 §9.3.2). */
  readonly bodiless: boolean;
  /** Patience in milliseconds: for the connection, for the head, for each next byte of the body. */
  readonly connectMs: number;
  readonly headMs: number;
  readonly bodyMs: number;
  /** Wait after each read of the body, in milliseconds; 0: none. */
  readonly crawlMs: number;
  /** Called once, at the first byte. */
  readonly onFirst: () => void;
  /** @returns true when the body is wanted; it must have a length then. */
  readonly onHead: (head: ResponseHead) => boolean;
  /** Takes bytes[start, end) of a wanted body. @returns false to leave the rest. */
  readonly onBody: (bytes: Uint8Array, start: number, end: number) => boolean;
  /** The server sent bytes after the end of the response. */
  readonly onSurplus: () => void;
}

/** The HTTP connections of one thread. */
export class HttpWire {
  readonly server: Address;
  readonly clock: Clock;
  /** Requests that nodes have sent again. */
  askedAgain = 0;
  readonly buffer = Buffer.alloc(READ_BYTES);
  readonly #open = new Set<HttpConnection>();

  constructor(server: Address, clock: Clock) {
    this.server = server;
    this.clock = clock;
  }

  /** @param local address to connect from; undefined: the system's choice. */
  connection(local: string | undefined): HttpConnection {
    const connection = new HttpConnection(this, local, () => this.#open.delete(connection));
    this.#open.add(connection);
    return connection;
  }

  /** Ends all exchanges as `aborted` and closes all connections, including those whose exchange ended as `left`. */
  abortAll(): void {
    for (const connection of this.#open) connection.close('reset');
  }
}

export class HttpConnection {
  readonly #wire: HttpWire;
  readonly #local: string | undefined;
  readonly #onClosed: () => void;
  #socket: Socket | undefined;
  #closed = false;
  #exchanges = 0;
  /** The exchange under way, or the last one, until its surplus has been reported. */
  #order: ExchangeOrder | undefined;
  #resolve: ((exchange: Exchange) => void) | undefined;
  /** The end of the exchange when the wait runs out, the wait's own end, and a function that cancels it. */
  #waitingFor: ExchangeEnd = 'unconnected';
  #until = 0;
  #cancel: (() => void) | undefined;
  /** The head so far, as text; its length in bytes is that of the text. */
  #text = '';
  #head: ResponseHead | undefined;
  #remaining = 0;
  #wanted = false;

  constructor(wire: HttpWire, local: string | undefined, onClosed: () => void) {
    this.#wire = wire;
    this.#local = local;
    this.#onClosed = onClosed;
  }

  /** True when another exchange can begin. */
  get usable(): boolean {
    return !this.#closed && this.#resolve === undefined;
  }

  /** Number of exchanges so far. */
  get exchanges(): number {
    return this.#exchanges;
  }

  /** Sends a request and reads its response. Only when `usable`. */
  exchange(order: ExchangeOrder): Promise<Exchange> {
    this.#order = order;
    this.#exchanges++;
    this.#text = '';
    this.#head = undefined;
    this.#stopWaiting();
    return new Promise((resolve) => {
      this.#resolve = resolve;
      if (this.#socket === undefined) this.#open(order);
      else this.#send(this.#socket, order);
    });
  }

  /** Keeps the connection for another request. @param ms time after which it closes by itself. */
  keep(ms: number): void {
    if (this.#closed) return;
    this.#stopWaiting();
    const { clock } = this.#wire;
    this.#cancel = clock.wake(clock.now() + ms, () => this.close('orderly'));
  }

  close(how: 'orderly' | 'reset'): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopWaiting();
    if (how === 'reset' && this.#socket?.connecting === false) this.#socket.resetAndDestroy();
    else this.#socket?.destroy();
    this.#onClosed();
    this.#finish('aborted');
  }

  #open(order: ExchangeOrder): void {
    const { server, buffer } = this.#wire;
    this.#wait('unconnected', order.connectMs);
    const socket: Socket = connect({
      host: server.address,
      port: server.port,
      noDelay: true,
      ...(this.#local === undefined ? {} : { localAddress: this.#local }),
      onread: { buffer, callback: (count): boolean => this.#take(socket, count) },
    });
    this.#socket = socket;
    socket.once('connect', () => this.#send(socket, order));
    socket.once('error', (error: NodeJS.ErrnoException) => this.#lose(error.code ?? error.message));
    socket.once('end', () => this.#lose(''));
    socket.once('close', () => this.#lose(''));
  }

  #send(socket: Socket, { request, headMs }: ExchangeOrder): void {
    if (this.#resolve === undefined) return;
    this.#wait('unanswered', headMs);
    socket.write(request, 'latin1');
  }

  /** Takes what was read into the wire's buffer. @returns false to read no more for now. */
  #take(socket: Socket, count: number): boolean {
    const order = this.#order;
    if (order === undefined || this.#closed) return false;
    if (this.#resolve === undefined) {
      this.#surplus(order);
      return false;
    }
    const at = this.#head === undefined ? this.#takeHead(order, count) : 0;
    if (this.#resolve === undefined || this.#head === undefined) {
      if (this.#resolve === undefined && at < count) this.#surplus(order);
      return !this.#closed;
    }
    const end = Math.min(count, at + this.#remaining);
    const goesOn = end === at || !this.#wanted || order.onBody(this.#wire.buffer, at, end);
    this.#remaining -= end - at;
    if (!goesOn) {
      this.#finish('left');
      return false;
    }
    if (this.#remaining === 0) {
      this.#complete(this.#head);
      if (end < count) this.#surplus(order);
      return !this.#closed;
    }
    this.#wait('silent', order.bodyMs + order.crawlMs);
    if (order.crawlMs === 0 || end === at) return true;
    this.#wire.clock.wake(this.#wire.clock.now() + order.crawlMs, () => {
      if (!this.#closed) socket.resume();
    });
    return false;
  }

  /** @returns where the rest begins in the wire's buffer: a body, or what should not be there. */
  #takeHead(order: ExchangeOrder, count: number): number {
    if (this.#text === '') order.onFirst();
    const before = this.#text.length;
    const { buffer } = this.#wire;
    this.#text += buffer.toString('latin1', 0, count);
    const end = this.#text.indexOf(HEAD_END, Math.max(0, before - HEAD_END.length));
    if (end < 0 || end > MAX_HEAD_BYTES) {
      if (this.#text.length > MAX_HEAD_BYTES) this.#break(`more than ${MAX_HEAD_BYTES} bytes`);
      return count;
    }
    const head = parseHead(this.#text.slice(0, end));
    if ('wrong' in head) {
      this.#break(head.wrong);
      return count;
    }
    return this.#begin(order, head) ? end + HEAD_END.length - before : count;
  }

  /** @returns false when nothing after the head is read. */
  #begin(order: ExchangeOrder, head: ResponseHead): boolean {
    this.#head = head;
    this.#wanted = order.onHead(head);
    this.#remaining = order.bodiless ? 0 : (head.length ?? Number.POSITIVE_INFINITY);
    const dropped = !this.#wanted && this.#remaining > MAX_DROPPED_BYTES;
    if (this.#remaining === 0 || dropped) this.#complete(dropped ? { ...head, keepAlive: false } : head);
    else this.#wait('silent', order.bodyMs);
    return !dropped;
  }

  #complete(head: ResponseHead): void {
    this.#head = head;
    if (!head.keepAlive) this.#shut();
    this.#finish('complete');
  }

  #break(wrong: string): void {
    this.#shut();
    this.#finish('malformed', wrong);
  }

  /** @param code the system's error code; empty: the server closed in order. */
  #lose(code: string): void {
    const end = this.#endFor(code);
    this.#shut();
    this.#finish(end, code);
  }

  #endFor(code: string): ExchangeEnd {
    if (this.#waitingFor !== 'unconnected') return this.#text === '' ? 'closed' : 'cut';
    if (code === 'ECONNREFUSED') return 'refused';
    return OWN_ERRORS.has(code) ? 'own-error' : 'unconnected';
  }

  #surplus(order: ExchangeOrder): void {
    this.#shut();
    order.onSurplus();
  }

  #shut(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopWaiting();
    this.#socket?.destroy();
    this.#onClosed();
  }

  #finish(end: ExchangeEnd, detail = ''): void {
    const resolve = this.#resolve;
    this.#resolve = undefined;
    this.#stopWaiting();
    resolve?.({ end, head: this.#head, detail });
  }

  /** Each read moves the end of the wait; the clock is asked again only when the earlier one has passed. */
  #wait(end: ExchangeEnd, ms: number): void {
    const { clock } = this.#wire;
    this.#waitingFor = end;
    const before = this.#until;
    this.#until = clock.now() + ms;
    if (this.#cancel !== undefined && this.#until >= before) return;
    this.#cancel?.();
    this.#arm();
  }

  #arm(): void {
    const { clock } = this.#wire;
    this.#cancel = clock.wake(this.#until, () => {
      if (clock.now() < this.#until) {
        this.#arm();
        return;
      }
      this.#cancel = undefined;
      this.#shut();
      this.#finish(this.#waitingFor);
    });
  }

  #stopWaiting(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#until = 0;
  }
}
