/**
 * Interface between names and bytes. A source answers for names; the server asks its sources in turn. Sources know no
 * packets, sockets or transfers.
 */
import type { SharedHandle } from '../bytes/shared-bytes.ts';
import type { TransferMode } from '../protocol/request.ts';

/** Also for rooms that do not know packets. */
export type { TransferMode } from '../protocol/request.ts';

export interface BootRequest {
  /**
   * Name from the request or one reading of it (see readingsOf): unchecked, one character per byte. The server asks for
   * each reading in turn until one is not missing.
   */
  readonly filename: string;
  /** Transfer mode. Netascii needs the bytes converted; the converted bytes are content of their own. */
  readonly mode: TransferMode;
  /** The client's address and the server's address that was asked: text without port or brackets. */
  readonly client: string;
  readonly local: string;
  /** How long the transfer may make no progress, in milliseconds; unset if the server's value applies. */
  readonly patienceMs?: number;
}

/**
 * Origins of a content: a text rendered for its node, a file of a boot set, or any other file. Also the labels of
 * metrics.
 */
export const ORIGINS = ['rendered', 'bootSet', 'file'] as const;
export type Origin = (typeof ORIGINS)[number];

/** A version of a boot set: its channel, and its number in that channel. */
export interface SetVersion {
  readonly channel: string;
  readonly version: number;
}

/** Why the rest of a content does not arrive: its file was changed meanwhile, or can't be read. */
export type SupplyFailure = 'changed' | 'unreadable';

/** A content that is still being read. Lives in the main thread. */
export interface Supply {
  /** Number of bytes that have arrived, from the first on. They are readable and will not change. */
  readonly arrived: number;
  /** True when all bytes have arrived. */
  readonly isWhole: boolean;
  /** Size in bytes; before `isWhole` an upper bound when the bytes are converted. */
  readonly size: number;
  /** Set when no more bytes will arrive. The content must not be completed with other bytes. */
  readonly failure: SupplyFailure | undefined;
  /** Size of the ring in bytes: byte `n` of the content lies at `n % ringBytes`. 0 when all bytes stay in memory. */
  readonly ringBytes: number;
  /** Largest window in bytes that may await its ACK. */
  readonly maxWindowBytes: number;
  /** Sets the block size. Call once, before anything is sent: no block then crosses the end of a ring. */
  cut(blksize: number): void;
  /** Reports the number of acknowledged bytes. Until the first call only the beginning is read. */
  acknowledge(bytes: number): void;
  /** Calls `tell` whenever the supply has changed. @returns a function that ends this. */
  watch(tell: () => void): () => void;
}

/** Validators distinguish the contents of a name, for clients that keep copies (RFC 9110 §8.8). */
export interface Validators {
  /** Opaque text without quotes, printable ASCII: equal texts mean equal bytes. */
  readonly etag?: string | undefined;
  /** Time of the last change, ms since the epoch. Left out for a change so recent that another may share its second. */
  readonly modifiedMs?: number | undefined;
}

/** Bytes that do not change until they are released, whatever happens to their file. */
export interface Content {
  readonly kind: 'content';
  readonly handle: SharedHandle;
  /** Set while the bytes are still being read; only bytes that have arrived may be read then. */
  readonly supply?: Supply | undefined;
  /** Name for logs: the cleaned name, relative to the source. */
  readonly label: string;
  /** Default: `file`. */
  readonly origin?: Origin;
  /** Version of the boot set that the file belongs to. */
  readonly set?: SetVersion;
  /** Returns the validators; a function, because only HTTP needs them, and some are computed. Default: none are known. */
  readonly validators?: (() => Validators) | undefined;
  /** How long the transfer may make no progress, in milliseconds. Default: the server's limit. */
  readonly patienceMs?: number;
  /**
   * Releases the bytes. Call once, when they have no reader left; further calls do nothing.
   *
   * @param isAnswered true when the client has acknowledged any of it: only that proves the request's address.
   */
  release(isAnswered?: boolean): void;
}

/** The file does not exist (ERROR 1). */
export interface Missing {
  readonly kind: 'missing';
}

export const MISSING: Missing = { kind: 'missing' };

/** The name leads out of the root, or the file can't be served (ERROR 2, or ERROR 0 when `tooLarge` is set). */
export interface Denied {
  readonly kind: 'denied';
  /** Reason for the log; never sent to a peer. */
  readonly reason: string;
  readonly tooLarge?: boolean;
  /** Set when no file is at fault: a route refuses the name, or its answer could not be made. */
  readonly by?: 'route' | 'render';
}

/**
 * The file can't be read at the moment (disk error, file being written): the request stays unanswered, and the client
 * asks again.
 */
export interface Busy {
  readonly kind: 'busy';
  readonly reason: string;
  /** True when memory must be freed first. */
  readonly isShortOfMemory?: boolean;
}

/** The source is not responsible for the name: the next source is asked. */
export interface NotMine {
  readonly kind: 'notMine';
}

export const NOT_MINE: NotMine = { kind: 'notMine' };

/** Like NotMine, but the next sources are asked for another name. */
export interface Renamed {
  readonly kind: 'renamed';
  /** New name, one character per byte as in a request. */
  readonly filename: string;
  /** Patience for the content found under the new name; see Content.patienceMs. */
  readonly patienceMs?: number;
}

export type Answer = Content | Missing | Denied | Busy | NotMine | Renamed;

export interface Source {
  /**
   * Absolute paths of the served folder, one character per byte. A name that begins with one of them, and that no
   * source has, is looked up again without it.
   */
  readonly paths?: readonly string[];
  /**
   * Answers a request. An answer that needs no waiting is returned directly: in a storm, a promise costs as much as the
   * lookup.
   */
  open(request: BootRequest): Answer | Promise<Answer>;
}
