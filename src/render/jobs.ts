/** What crosses between the main thread and render threads: work and what came of it. Plain data alone. */
import type { RenderFailure, RenderRequest } from './types.ts';

/** What a thread is made with. */
export interface ThreadSetup {
  readonly base: string;
  /** Files by their route's number; those that the thread is not for are left out. */
  readonly templates: Readonly<Record<number, string>>;
  readonly handlers: Readonly<Record<number, string>>;
  /** Whether there are upstreams to ask. */
  readonly fetches: boolean;
  readonly niceness: number;
  /** See CELL. */
  readonly cells: SharedArrayBuffer;
}

/**
 * Cells that a thread writes and the main thread reads: its only sign of life while it computes. `loading` is above 0 while
 * the thread loads modules by require().
 */
export const CELL = { beat: 0, current: 1, tid: 2, loading: 3, length: 4 } as const;

/** What a text is made from. */
export interface Scope {
  readonly request: RenderRequest;
  /** As JSON: copied faster than an object, and parsed where it is used. */
  readonly node: string | undefined;
  readonly bootset: string | undefined;
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

/** For whom work is done. */
export interface Asker {
  /** A known node, by whatever name; undefined: nobody knows it. */
  readonly node: string | undefined;
  /** There was no place when it asked a moment ago. Matters for those that nobody knows. */
  readonly returns: boolean;
}
export type Job = (Work & { readonly id: number }) | LoadJob | InventoryJob;

/** An inventory as it crosses threads: text, which is copied fast and parsed node by node when it is needed. */
export interface PackedInventory {
  readonly file: string;
  /** Each node as JSON. */
  readonly nodes: readonly string[];
  /** Lines of ids and names, one for each node, parted by blanks. */
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

/** The first line of what was thrown, of bounded length. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : `threw ${String(error)}`;
  const [line = ''] = text.split('\n');
  return line.slice(0, 500);
}
