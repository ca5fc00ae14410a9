/** Messages between the main thread and render threads: work and results. Plain data alone. */
import type { RenderFailure, RenderRequest } from './types.ts';

/** Configuration of a thread. */
export interface ThreadSetup {
  readonly base: string;
  /** Files by the index of their route; only those that this thread serves. */
  readonly templates: Readonly<Record<number, string>>;
  readonly handlers: Readonly<Record<number, string>>;
  /** True when the thread fetches from upstreams. */
  readonly fetches: boolean;
  readonly niceness: number;
  /** See CELL. */
  readonly cells: SharedArrayBuffer;
}

/**
 * Indices of the cells that a thread writes and the main thread reads: its only sign of life while it computes. `loading`
 * is above 0 while the thread loads modules by require().
 */
export const CELL = { beat: 0, current: 1, tid: 2, loading: 3, length: 4 } as const;

/** Data that a text is made from. */
export interface Scope {
  readonly request: RenderRequest;
  /** Node as JSON: text is copied faster than an object, and parsed where it is used. */
  readonly node: string | undefined;
  readonly bootset: string | undefined;
  /** This server's HTTP URL, as the node reaches it; undefined: it speaks TFTP alone. */
  readonly http: string | undefined;
}

export interface Limits {
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

export interface RenderJob {
  readonly kind: 'template' | 'handler';
  readonly route: number;
  readonly scope: Scope;
  readonly limits: Limits;
}

export interface FetchJob {
  readonly kind: 'fetch';
  readonly route: number;
  readonly url: string;
  readonly etag: string | undefined;
  readonly redirects: number;
  readonly limits: Limits;
}

export interface LoadJob {
  readonly kind: 'load';
}

export interface InventoryJob {
  readonly kind: 'inventory';
  readonly file: string;
}

export type Work = RenderJob | FetchJob;

/** The client that work is done for. */
export interface Asker {
  /** Key of a known node; undefined for a stranger. */
  readonly node: string | undefined;
  /** True when it was turned down for lack of room a moment ago. Used for strangers only. */
  readonly returns: boolean;
}
export type Job = (Work & { readonly id: number }) | LoadJob | InventoryJob;

/** An inventory in transit between threads: text is copied fast, and each node is parsed on first use. */
export interface PackedInventory {
  readonly file: string;
  /** Each node as JSON. */
  readonly nodes: readonly string[];
  /** One line per node with its ids and name, separated by spaces. */
  readonly ids: string;
}

export interface Failed {
  readonly kind: 'failed';
  readonly failure: RenderFailure;
  readonly reason: string;
}

export type JobResult =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'none' }
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'fetched'; readonly bytes: Uint8Array; readonly etag: string | undefined }
  | { readonly kind: 'loaded' }
  | { readonly kind: 'inventory'; readonly inventory: PackedInventory }
  | { readonly kind: 'wrong'; readonly message: string }
  | Failed;

/** Returns the first line of a thrown value, cut to 500 characters. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : `threw ${String(error)}`;
  const [line = ''] = text.split('\n');
  return line.slice(0, 500);
}
