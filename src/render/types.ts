/**
 * Interface between the code that writes configs for nodes and the code that serves them: routes, the inventory, and
 * the walk of a request through the routes. Plain data; knows no threads and no packets.
 */
import type { Denied, Busy, TransferMode } from '../content/types.ts';

/** Policies for an answer that can't be made. */
export const FAILURE_POLICIES = ['silent', 'error', 'next'] as const;
/**
 * `silent`: no answer, so that the client asks again. `error`: ERROR 2. `next`: continue as if the route did not exist.
 */
export type FailurePolicy = (typeof FAILURE_POLICIES)[number];

/** Kinds of routes; each route is of exactly one kind. */
export const ROUTE_KINDS = ['template', 'handler', 'upstream', 'rewrite', 'empty', 'refuse'] as const;
export type RouteKind = (typeof ROUTE_KINDS)[number];

/** One route as in the config. */
export interface RouteConfig {
  /** Pattern with typed captures: `pxelinux.cfg/01-{mac}`. See pattern.ts. */
  readonly match: string;
  /** Liquid template, relative to the base folder. */
  readonly template?: string | undefined;
  /** ES module, relative to the base folder, that exports a function. */
  readonly handler?: string | undefined;
  /** HTTP URL with captures in braces after its host; without any, all captures become parameters. */
  readonly upstream?: string | undefined;
  /**
   * New name, which the next routes and sources look up. May contain captures in braces, `{client}` (the client's
   * address), `{local}` (the server's address that was asked) and `{interface}` (the interface that has it).
   */
  readonly rewrite?: string | undefined;
  readonly empty?: true | undefined;
  /** Reason for the log; the client gets ERROR 2. */
  readonly refuse?: string | undefined;
  /** Channel of `bootset` for nodes whose inventory entry names none. */
  readonly channel?: string | undefined;
  /** Labels that the node must have; `*` stands for anything. */
  readonly when?: Readonly<Record<string, string>> | undefined;
  /**
   * True to serve names of nodes that the inventory does not have as well. Default: false for templates when there is
   * an inventory, otherwise true.
   */
  readonly unknown?: boolean | undefined;
  /** Time limit in milliseconds. Default: see limits.ts. */
  readonly timeoutMs?: number | undefined;
  /** Size limit of the answer in bytes. Default: see limits.ts. */
  readonly maxBytes?: number | undefined;
  /** How long the transfer may make no progress, in milliseconds. Default: the server's setting. */
  readonly patienceMs?: number | undefined;
  /** Cap on redirects of an upstream, within its origin. Default 0. */
  readonly redirects?: number | undefined;
  /** Default: silent. */
  readonly onFailure?: FailurePolicy | undefined;
}

export interface RenderConfig {
  readonly routes: readonly RouteConfig[];
  /** True to let `BOOT/x` match a route for `boot/x`. Folds ASCII letters alone. Default false. */
  readonly caseInsensitive?: boolean | undefined;
  /** Absolute path of the folder that templates and handlers are relative to; no template outside it is read. */
  readonly base: string;
  /** Inventory file (YAML or JSON): absolute path, or relative to the base folder. */
  readonly inventory?: string | undefined;
  /** Number of threads for templates, and again as many for handlers if there are any. Default 2. */
  readonly threads?: number | undefined;
}

/** Error in a config, in one line: file, place, what was expected. */
export class RenderConfigError extends Error {
  override readonly name = 'RenderConfigError';
}

/** JSON value, as an inventory may contain it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A node with everything from its profile and groups. */
export interface InventoryNode {
  readonly name: string;
  readonly mac: readonly string[];
  readonly uuid?: string;
  readonly serial?: string;
  readonly address: readonly string[];
  readonly arch?: string;
  readonly channel?: string;
  readonly args: string;
  readonly profile?: string;
  readonly groups: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly vars: Readonly<Record<string, Json>>;
}

/** Nodes by id and name; every lookup is a map lookup. */
export interface Inventory {
  /** The file that it was read from. */
  readonly file: string;
  readonly size: number;
  /** @param id as in boot-set/node/node-identity.ts: `mac:…`, `uuid:…`, `serial:…`, `ip:…`. */
  find(id: string): InventoryNode | undefined;
  named(name: string): InventoryNode | undefined;
  /** Returns the labels that rollouts select by. */
  labelsOf(id: string): Readonly<Record<string, string>> | undefined;
  nodes(): Iterable<InventoryNode>;
}

/** A request as templates and handlers see it. */
export interface RenderRequest {
  /** Cleaned name with `/` as its separator. */
  readonly name: string;
  readonly client: string;
  readonly local: string;
  readonly mode: TransferMode;
  /** Captures of the pattern in their canonical form. */
  readonly captures: Readonly<Record<string, string>>;
}

/** A version of a boot set, with names to request its files by; all of them name this version. */
export interface BootSetView {
  /** `CHANNEL-NUMBER`, which is also the folder of its files. */
  readonly name: string;
  /** The same as `name`: file names begin with it. */
  readonly path: string;
  readonly channel: string;
  readonly version: number;
  /** Names to request all files by, keyed by their names in the set. */
  readonly files: Readonly<Record<string, string>>;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly modules?: string;
  readonly args: string;
}

/** The outcome of one route for a request. */
export interface RouteTrial {
  /** Position of the route, from 1. */
  readonly route: number;
  readonly match: string;
  readonly kind: RouteKind;
  readonly verdict: 'no match' | 'other labels' | 'unknown node' | 'not mine' | 'failed' | 'rewritten' | 'taken';
  /** Further explanation in words. */
  readonly detail?: string;
}

/** The path of a request through the routes. Computing it pins, notes and stores nothing. */
export interface Explanation {
  /** The cleaned name; undefined when no file can have the requested name. */
  readonly name: string | undefined;
  readonly node: InventoryNode | undefined;
  readonly captures: Readonly<Record<string, string>>;
  readonly routes: readonly RouteTrial[];
  readonly bootset: BootSetView | undefined;
  /** True when the node already boots the version. */
  readonly pinned: boolean;
  readonly answer:
    | { readonly kind: 'content'; readonly bytes: Uint8Array }
    | Denied
    | Busy
    | { readonly kind: 'missing' }
    /** The sources after the routes are asked for this name; one character per byte, as in a request. */
    | { readonly kind: 'notMine'; readonly filename: string };
}

/** Reasons why an answer could not be made; also the labels of a metric. */
export const RENDER_FAILURES = [
  'failed',
  'timeout',
  'tooLarge',
  'upstream',
  'crashed',
  'queueFull',
  'strangers',
  'noBootSet',
] as const;
export type RenderFailure = (typeof RENDER_FAILURES)[number];

/** Outcomes of requests that a route took; also the labels of a metric. */
export const RENDER_OUTCOMES = ['rendered', 'shared', 'stale', 'notMine', 'refused', 'empty', 'rewritten'] as const;
export type RenderOutcome = (typeof RENDER_OUTCOMES)[number];

/** One rendering that was run, for a metric. */
export interface RenderRecord {
  /** Position of its route, from 1. */
  readonly route: number;
  readonly kind: RouteKind;
  readonly result: 'rendered' | 'notMine' | 'failed';
  readonly durationMs: number;
}

export interface RoutesStats {
  readonly outcomes: Readonly<Record<RenderOutcome, number>>;
  readonly failures: Readonly<Record<RenderFailure, number>>;
  /** Number of renderings in progress or waiting. */
  readonly waiting: number;
  /** Number of threads that were ended because they hung or failed. */
  readonly threadsLost: number;
  /** Number of kept texts, and their size in bytes. */
  readonly kept: number;
  readonly keptBytes: number;
  readonly nodes: number;
  readonly reloads: number;
}
