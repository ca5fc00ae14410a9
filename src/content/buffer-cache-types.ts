/** Data that enters and leaves the buffer cache, its statistics and its options. */
import type { SharedHandle } from '../bytes/shared-bytes.ts';
import type { FileSupply } from './file-supply.ts';
import type { Busy, Denied, Missing } from './types.ts';

/** Why nothing was loaded. Given to every waiting caller, and not cached. */
export type Unloaded = Missing | Denied | Busy;

/** The result of a load. */
export interface Loaded {
  readonly handle: SharedHandle;
  /** Set while the bytes are still being read; they count for the cache as they arrive. */
  readonly supply?: FileSupply | undefined;
  /** Frees the bytes. Called once, when they have no readers and will get none. */
  readonly discard?: () => void;
  /** True when bytes with a `discard` may stay without readers. Default false: they are freed with the last reader. */
  readonly idles?: boolean;
}

/** Bytes that stay until they are released. */
export interface HeldBytes {
  readonly kind: 'held';
  readonly handle: SharedHandle;
  /** See Content.supply. */
  readonly supply?: FileSupply | undefined;
  /**
   * Releases the bytes. Call once, when they have no reader left; further calls do nothing. May be called without a
   * `this`.
   */
  readonly release: () => void;
}

export interface BufferCacheStats {
  /** Bytes with readers or being loaded; may exceed the budget. */
  readonly heldBytes: number;
  /** Bytes kept for later transfers. */
  readonly idleBytes: number;
  /** Bytes kept because of keep(). */
  readonly shelvedBytes: number;
  /** Number of entries, including superseded ones that still have readers. */
  readonly entries: number;
  /** Requests whose bytes were in memory. */
  readonly hits: number;
  /** Requests that started a load or waited for one in progress. */
  readonly misses: number;
  readonly loads: number;
  /** Entries evicted because of the budget or the limit. */
  readonly evictions: number;
  /** Times that held and shelved bytes came to exceed the budget. */
  readonly overBudget: number;
}

export interface BufferCacheOptions {
  /** Budget for all bytes together. Default 2 GiB; 0 keeps nothing without readers. */
  readonly maxBytes?: number;
  /**
   * Limit on held, loading and idle bytes together: a load that would exceed it is refused. Default: none; the budget
   * alone applies, which bytes being read may exceed.
   */
  readonly limitBytes?: number;
  /** Called when held and shelved bytes come to exceed the budget. @param bytes their total. */
  readonly onOverBudget?: (bytes: number) => void;
}
