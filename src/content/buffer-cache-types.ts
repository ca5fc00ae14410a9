/** What goes into the buffer cache, comes out of it, and is told of it. */
import type { SharedHandle } from '../bytes/shared-bytes.ts';
import type { FileSupply } from './file-supply.ts';
import type { Busy, Denied, Missing } from './types.ts';

/** Why nothing was loaded. Given to everyone who waited, and not remembered. */
export type Unloaded = Missing | Denied | Busy;

/** What a load gives. */
export interface Loaded {
  readonly handle: SharedHandle;
  /** Set where they are still being read: they count as they come. */
  readonly supply?: FileSupply | undefined;
  /** Gives the bytes back. Called once, when nobody reads them and nobody will. */
  readonly discard?: () => void;
  /** Whether what has a `discard` may stay without a reader. Default false: it goes with its last one. */
  readonly idles?: boolean;
}

/** Bytes that stay until released. */
export interface HeldBytes {
  readonly kind: 'held';
  readonly handle: SharedHandle;
  /** See Content.supply. */
  readonly supply?: FileSupply | undefined;
  /** Call once, when no reader is left. Calling it again does nothing. A function without a `this`. */
  readonly release: () => void;
}

export interface BufferCacheStats {
  /** Bytes being read or loaded: may exceed the budget. */
  readonly heldBytes: number;
  /** Bytes kept for the next reader. */
  readonly idleBytes: number;
  /** Bytes kept because somebody said so. */
  readonly shelvedBytes: number;
  /** Entries held and idle, superseded ones that are still read included. */
  readonly entries: number;
  /** Times the bytes were there. */
  readonly hits: number;
  /** Times they had to be loaded, or a load under way had to be waited for. */
  readonly misses: number;
  readonly loads: number;
  /** Entries let go for the budget's or the limit's sake. */
  readonly evictions: number;
  /** Times that what is held and shelved came to exceed the budget. */
  readonly overBudget: number;
}

export interface BufferCacheOptions {
  /** Budget for held and idle bytes together. Default 2 GiB; 0 keeps nothing without a reader. */
  readonly maxBytes?: number;
  /**
   * Held, loading and idle bytes never exceed this: what would is not loaded. Default: no limit but the budget's,
   * which what is being read may exceed.
   */
  readonly limitBytes?: number;
  /** Told when what is held and shelved comes to exceed the budget. @param bytes how much that is. */
  readonly onOverBudget?: (bytes: number) => void;
}
