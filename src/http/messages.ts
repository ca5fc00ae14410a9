/** Messages between the main thread and HTTP threads, and the place of bytes in both. Plain data. */
import type { MemoryHandle } from '../bytes/shared-bytes.ts';
import type { Address } from '../engine/types.ts';
import type { Conditions } from './conditions.ts';
import type { Head } from './head.ts';

export interface HttpTimeouts {
  /** How long a request's head may take, and a handshake. Default 20,000 ms. */
  readonly headMs: number;
  /** How long a connection may be idle between requests. Default 75,000 ms. */
  readonly keepAliveMs: number;
  /** How long an answer may make no progress. Default 120,000 ms. */
  readonly stallMs: number;
  /** How long a request may wait for its content before its head, which is then a 503. Default 3,000 ms. */
  readonly waitMs: number;
  /** Interval of the looks at the files of HTTPS. Default 5,000 ms: certificates are renewed days before they end. */
  readonly keyFilesMs: number;
}

/** A certificate chain and its key, in PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** An address that a thread accepts connections at. */
export interface Listening {
  readonly isSecure: boolean;
  readonly local: Address;
  /** A descriptor of the listening socket, which the thread takes over; undefined: the thread listens by itself. */
  readonly fd: number | undefined;
}

export interface ThreadSetup {
  readonly listening: readonly Listening[];
  readonly keyPair: KeyPair | undefined;
  readonly timeouts: HttpTimeouts;
}

/** The place of a content's bytes: an address in this process, or shared memory with the portable engine. */
export type Place =
  | {
      readonly address: bigint;
      /** Descriptor of the same bytes, if there is one. */
      readonly fd?: number | undefined;
    }
  | { readonly memory: MemoryHandle };

/** The bytes that follow a head. */
export interface Body {
  readonly place: Place;
  /** The first byte to send, and the one after the last. */
  readonly from: number;
  readonly to: number;
  /** Bytes of the content that are there, from its first on. */
  readonly arrived: number;
  /** See Supply.ringBytes. */
  readonly ringBytes: number;
}

/** How the sending of an answer ended. */
export type Ending =
  /** The last byte went to the kernel. */
  | 'whole'
  /** The client closed the connection. */
  | 'closed'
  /** The client took nothing for too long. */
  | 'stalled'
  /** The file was cut short, or the rest of it could not be read. */
  | 'unreadable'
  /** We closed the connection: the server stops. */
  | 'cut';

/** Numbers of connections and requests are the thread's own. */
export type ToMain =
  | { readonly kind: 'ready'; readonly locals: readonly Address[] }
  /** The machine does not have the address yet: it is tried again until it appears. */
  | { readonly kind: 'ahead'; readonly local: Address }
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | undefined }
  | { readonly kind: 'opened'; readonly connection: number; readonly client: Address; readonly local: string }
  | { readonly kind: 'closed'; readonly connection: number }
  /** A head was malformed, too large or too slow, or a TLS handshake failed. */
  | { readonly kind: 'malformed' }
  | {
      readonly kind: 'asked';
      readonly request: number;
      readonly connection: number;
      readonly method: string;
      /** As received, one character per byte. */
      readonly target: string;
      readonly conditions: Conditions;
    }
  /** The thread needs more than `arrived` bytes, and no longer needs the first `passed` bytes. */
  | { readonly kind: 'needs'; readonly request: number; readonly passed: number; readonly arrived: number }
  /** Bytes sent so far by running answers. */
  | { readonly kind: 'progress'; readonly sent: readonly (readonly [request: number, bytes: number])[] }
  | { readonly kind: 'ended'; readonly request: number; readonly sent: number; readonly ending: Ending }
  /** No connection is left after `drain`. */
  | { readonly kind: 'drained' };

export type ToThread =
  | { readonly kind: 'refuse'; readonly connection: number }
  | { readonly kind: 'answer'; readonly request: number; readonly head: Head; readonly body: Body | undefined }
  | { readonly kind: 'arrived'; readonly request: number; readonly bytes: number }
  /** The rest of the content can't be read. */
  | { readonly kind: 'lost'; readonly request: number }
  | { readonly kind: 'keyPair'; readonly keyPair: KeyPair }
  /** Frees shared buffers that the thread no longer refers to. */
  | { readonly kind: 'collect' }
  /** Accepts nothing more, ends idle connections, and the others after their answer. */
  | { readonly kind: 'drain' }
  /** Ends every connection. */
  | { readonly kind: 'cut' }
  /** Ends the thread. */
  | { readonly kind: 'close' };
