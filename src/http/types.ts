/** The interface between HTTP and the server around it: options, requests, events. Knows no records. */
import type { BootRequest, Busy, Content, Denied, Missing } from '../content/types.ts';
import type { Address, Clock } from '../engine/types.ts';
import type { HttpTimeouts } from './messages.ts';

export interface HttpOptions {
  /** Addresses for HTTP. A wildcard stands for every local address of its family. */
  readonly listen: readonly Address[];
  /** Addresses for HTTPS; `tls` is required with any. */
  readonly listenSecure?: readonly Address[];
  /** Files with a certificate chain and its key, in PEM; read again when they change. */
  readonly tls?: TlsFiles | undefined;
  /** Threads that send. 1 where the portable engine is used. Default: 2, or 1 on a machine with one core. */
  readonly threads?: number | undefined;
  /** Connections at once, over all addresses. Default 10,000. */
  readonly connections?: number | undefined;
  readonly timeouts?: Partial<HttpTimeouts> | undefined;
  /** The entry of the threads, for tests that plant faults in it. */
  readonly thread?: URL | undefined;
}

export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
}

/** An address that is listened on. */
export interface HttpAddress extends Address {
  readonly isSecure: boolean;
}

export type HttpAnswer = Content | Missing | Denied | Busy;

/** Why a request gets no content. */
export type HttpRefusal =
  | { readonly status: 400 | 405; readonly reason: string }
  | { readonly status: 404; readonly reason: string }
  | { readonly status: 403; readonly denied: Denied };

/** The facts about a request; an identifier is never used again in this server. */
export interface HttpRequest {
  readonly id: number;
  readonly client: Address;
  readonly local: string;
  /** The name, one character per byte; the target as received where it has none. Escape it before showing it. */
  readonly name: string;
  /** Time at which the request was read, ms by the engine's clock. */
  readonly askedAt: number;
}

export type HttpOutcome = 'complete' | 'probe' | 'clientError' | 'timeout' | 'aborted';

/** A request whose head has been sent. */
export interface HttpTransfer extends HttpRequest {
  readonly content: Pick<Content, 'label' | 'origin' | 'set'>;
  /** Bytes of the whole content, and those of the body. */
  readonly size: number;
  readonly bodyBytes: number;
  readonly status: number;
  readonly startedAt: number;
}

/** Texts for the fault of a transfer that the server ended. */
export const HTTP_FAULTS = {
  unreadable: 'The content became unreadable',
  stopped: 'The server stopped',
  threadLost: 'Its thread was lost',
} as const;

export interface HttpTransferEnd {
  readonly outcome: HttpOutcome;
  readonly bytes: number;
  readonly durationMs: number;
  /** The server's reason if the outcome is `aborted`; what the client did if it is `clientError`. */
  readonly fault: string | undefined;
}

/** A request at this moment. */
export interface HttpView extends HttpRequest {
  /** undefined: its content is being looked up. */
  readonly transfer: HttpTransfer | undefined;
  readonly bytes: number;
  readonly progressAt: number;
}

/** The server around HTTP. No call may throw. */
export interface HttpHost {
  readonly clock: Clock;
  /** Sources answer; never throws or rejects. */
  resolve(request: BootRequest): HttpAnswer | Promise<HttpAnswer>;
  nextId(): number;
  /** Counts a connection against its address. @returns a function to call at its end; undefined refuses it. */
  admit(client: Address): (() => void) | undefined;
  onRequest(request: HttpRequest): void;
  onRefusal(request: HttpRequest, refusal: HttpRefusal): void;
  /** Called for a request that gets a 503, and for one whose client has gone before its head. */
  onDrop(request: HttpRequest, reason: string | undefined): void;
  onStart(transfer: HttpTransfer): void;
  onEnd(transfer: HttpTransfer, end: HttpTransferEnd): void;
  onWarning(message: string, detail: Readonly<Record<string, unknown>>): void;
}

export interface HttpFigures {
  readonly connections: number;
  /** Maximum of connections at once: `connections`, or fewer where the process may open few descriptors. */
  readonly connectionsLimit: number;
  /** Requests whose head has not been sent, and answers under way. */
  readonly waiting: number;
  readonly sending: number;
  readonly requestsTotal: number;
  /** Bytes of bodies. */
  readonly sentBytesTotal: number;
  /** Heads that were malformed, too large or too slow, and failed TLS handshakes. */
  readonly malformedTotal: number;
  /** Connections closed at once, because of `connections` or a limit of their address. */
  readonly refusedTotal: number;
  /** Requests answered with 503. */
  readonly overloadedTotal: number;
  readonly threadsLostTotal: number;
}
