/**
 * The seam between names and bytes. A source answers for names; the server asks its sources in turn. Sources know
 * no packets, sockets or transfers.
 */
import type { SharedHandle } from '../bytes/shared-bytes.ts';

export interface BootRequest {
  /**
   * One character per byte, unchecked: the name as it came from the wire, or one reading of it (see readingsOf). The
   * server asks for each reading in turn until it is something else than missing.
   */
  readonly filename: string;
  /** Netascii wants the bytes converted; the conversion is content of its own. */
  readonly mode: 'octet' | 'netascii';
  /** Who asks, and which of our addresses was asked: textual addresses without port or brackets. */
  readonly client: string;
  readonly local: string;
  /** How long the transfer may stand still, in milliseconds, where a source has said so. */
  readonly patienceMs?: number;
}

/** What a content is: a text made for its node, a file of a boot set, or a file as any other. Labels of metrics. */
export const ORIGINS = ['rendered', 'bootSet', 'file'] as const;
export type Origin = (typeof ORIGINS)[number];

/** A version of a boot set: its channel, and the number that it has there. */
export interface SetVersion {
  readonly channel: string;
  readonly version: number;
}

/** Why the rest of a content does not come: its file was changed meanwhile, or can't be read. */
export type SupplyFailure = 'changed' | 'unreadable';

/** What is still being read of a content. Lives in the main thread. */
export interface Supply {
  /** Bytes that have come, from the first on: they are there, and will not change. */
  readonly arrived: number;
  /** Whether all of them have. */
  readonly isWhole: boolean;
  /** Bytes in all; before `isWhole` at most so many, where they are converted. */
  readonly size: number;
  /** Set when no more comes. What has come is not to be completed with other bytes. */
  readonly failure: SupplyFailure | undefined;
  /** How the content goes round in its memory: byte `n` lies at `n % ringBytes`. 0: every byte has its place. */
  readonly ringBytes: number;
  /** Largest window, in bytes, that may wait for its ACK. */
  readonly maxWindowBytes: number;
  /** Call once, before anything is sent, with the bytes of a block: no block lies across the end of a ring. */
  cut(blksize: number): void;
  /** Somebody has acknowledged so many bytes. Until the first call no more than the beginning is read. */
  acknowledge(bytes: number): void;
  /** Calls `tell` whenever something of this has changed. @returns a function that ends it. */
  watch(tell: () => void): () => void;
}

/** Bytes that do not change until they are released, whatever happens to the file they came from. */
export interface Content {
  readonly kind: 'content';
  readonly handle: SharedHandle;
  /** Set where the bytes are still being read: then no more than have arrived may be read. */
  readonly supply?: Supply | undefined;
  /** What to call it in logs: the name after cleaning, relative to the source. */
  readonly label: string;
  /** Default `file`. */
  readonly origin?: Origin;
  /** Of a boot set's file: the version it is of. */
  readonly set?: SetVersion;
  /** How long its transfer may stand still, in milliseconds. Default: as the server's limits say. */
  readonly patienceMs?: number;
  /**
   * Call once, when no reader is left. Calling it again does nothing.
   *
   * @param isAnswered whether the client has acknowledged it: only then the request was certainly that address's own.
   */
  release(isAnswered?: boolean): void;
}

/** There is no such file (ERROR 1). */
export interface Missing {
  readonly kind: 'missing';
}

/** The name leads out of the root, or the file can't be served (ERROR 2, or 0 for `too-large`). */
export interface Denied {
  readonly kind: 'denied';
  /** For our log; never sent to a peer. */
  readonly reason: string;
  readonly tooLarge?: boolean;
  /** Set where no file is at fault: a route refuses such names, or could not make its answer. */
  readonly by?: 'route' | 'render';
}

/** Could not be read just now (disk error, file being written): stay silent, the client asks again. */
export interface Busy {
  readonly kind: 'busy';
  readonly reason: string;
  /** Whether others must give memory back first. */
  readonly isShortOfMemory?: boolean;
}

/** This source has nothing to do with such names: ask the next. */
export interface NotMine {
  readonly kind: 'notMine';
}

/** As notMine, but the sources behind are asked for another name. */
export interface Renamed {
  readonly kind: 'renamed';
  /** Like that of a request: one character per byte. */
  readonly filename: string;
  /** For the content that is found under the new name, as there. */
  readonly patienceMs?: number;
}

export type Answer = Content | Missing | Denied | Busy | NotMine | Renamed;

export interface Source {
  /**
   * Absolute paths of the folder that is served, one character per byte. A name that begins with one of them, and that no
   * source has, is looked up without it.
   */
  readonly paths?: readonly string[];
  /** An answer that needs no waiting is given at once: in a storm, each promise costs as much as the look-up. */
  open(request: BootRequest): Answer | Promise<Answer>;
}
