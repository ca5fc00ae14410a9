/**
 * The seam between those who write configs for nodes and those who serve them: what a route says, what an inventory
 * holds, what the way of a request through the routes looks like. Plain data; knows no threads and no packets.
 */
import type { Denied, Busy } from '../content/types.ts';

/** What may be done when a route's answer can't be made. */
export const FAILURE_POLICIES = ['silent', 'error', 'next'] as const;
/** `silent`: the client asks again. `error`: ERROR 2. `next`: as if the route were not there. */
export type FailurePolicy = (typeof FAILURE_POLICIES)[number];

/** What a route can do; it does exactly one of them. */
export const ROUTE_KINDS = ['template', 'handler', 'upstream', 'rewrite', 'empty', 'refuse'] as const;
export type RouteKind = (typeof ROUTE_KINDS)[number];

/** One route, as the config has it. */
export interface RouteConfig {
  /** Names with typed captures: `pxelinux.cfg/01-{mac}`. See pattern.ts. */
  readonly match: string;
  /** A liquid template, relative to the base folder. */
  readonly template?: string | undefined;
  /** An ES module, relative to the base folder, that exports a function. */
  readonly handler?: string | undefined;
  /** An HTTP URL. Captures in braces after its host, or all of them as parameters where there are none. */
  readonly upstream?: string | undefined;
  /**
   * A name that is looked for instead by what comes behind: with captures in braces, and `{client}` (its address),
   * `{local}` (ours that was asked) and `{interface}` (the one that has it).
   */
  readonly rewrite?: string | undefined;
  readonly empty?: true | undefined;
  /** ERROR 2, and this in the log. */
  readonly refuse?: string | undefined;
  /** The channel of `bootset` for nodes whose inventory names none. */
  readonly channel?: string | undefined;
  /** Labels that the node must have; `*` stands for anything. */
  readonly when?: Readonly<Record<string, string>> | undefined;
  /**
   * Whether names of nodes that the inventory does not know are served as well. Default: by all but templates, and by
   * those where there is no inventory.
   */
  readonly unknown?: boolean | undefined;
  /** Default: see limits.ts. */
  readonly timeoutMs?: number | undefined;
  /** Longest answer in bytes. Default: see limits.ts. */
  readonly maxBytes?: number | undefined;
  /** How long the transfer may stand still, in milliseconds. Default: the server's. */
  readonly patienceMs?: number | undefined;
  /** Redirects that an upstream may give, within its own origin. Default 0. */
  readonly redirects?: number | undefined;
  /** Default silent. */
  readonly onFailure?: FailurePolicy | undefined;
}

export interface RenderConfig {
  readonly routes: readonly RouteConfig[];
  /** Lets `BOOT/x` match a route for `boot/x`. Folds ASCII letters alone. Default false. */
  readonly caseInsensitive?: boolean | undefined;
  /** The folder that templates and handlers are relative to; no template is read from outside it. Absolute. */
  readonly base: string;
  /** The inventory's file (YAML or JSON). Absolute, or relative to the base folder. */
  readonly inventory?: string | undefined;
  /** Threads that render templates, and as many again for handlers if there are any. Default 2. */
  readonly threads?: number | undefined;
}

/** What is wrong with a config, in one line: file, where in it, what was expected. */
export class RenderConfigError extends Error {
  override readonly name = 'RenderConfigError';
}

/** JSON, as an inventory may hold it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A node with everything that its profile and groups give it. */
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

/** Nodes by what names them; every look-up is one of a map. */
export interface Inventory {
  /** The file it came from. */
  readonly file: string;
  readonly size: number;
  /** @param id as in boot-set/node-identity.ts: `mac:…`, `uuid:…`, `serial:…`, `ip:…`. */
  find(id: string): InventoryNode | undefined;
  named(name: string): InventoryNode | undefined;
  /** What rollouts select by. */
  labelsOf(id: string): Readonly<Record<string, string>> | undefined;
  nodes(): Iterable<InventoryNode>;
}

/** What templates and handlers know of a request. */
export interface RenderRequest {
  /** Cleaned: `/` between its parts. */
  readonly name: string;
  readonly client: string;
  readonly local: string;
  readonly mode: 'octet' | 'netascii';
  /** What the pattern has captured, each in its canonical form. */
  readonly captures: Readonly<Record<string, string>>;
}

/** A version of a boot set, with the names to ask for its files: all of one version. */
export interface BootSetView {
  /** `CHANNEL-NUMBER`, which is also the folder that its files are in. */
  readonly name: string;
  /** The same: what file names begin with. */
  readonly path: string;
  readonly channel: string;
  readonly version: number;
  /** Names of all files by their name within the set. */
  readonly files: Readonly<Record<string, string>>;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly modules?: string;
  readonly args: string;
}

/** What became of a route when a request passed it. */
export interface RouteTrial {
  /** From 1. */
  readonly route: number;
  readonly match: string;
  readonly kind: RouteKind;
  readonly verdict: 'no match' | 'other labels' | 'unknown node' | 'not mine' | 'failed' | 'rewritten' | 'taken';
  /** What more there is to say, in words. */
  readonly detail?: string;
}

/** The way of a request through the routes. Nothing is pinned, noted or kept on the way. */
export interface Explanation {
  /** The name after cleaning; undefined: no file can be called that. */
  readonly name: string | undefined;
  readonly node: InventoryNode | undefined;
  readonly captures: Readonly<Record<string, string>>;
  readonly routes: readonly RouteTrial[];
  readonly bootset: BootSetView | undefined;
  /** Whether the version is one that the node already has. */
  readonly pinned: boolean;
  readonly answer:
    | { readonly kind: 'content'; readonly bytes: Uint8Array }
    | Denied
    | Busy
    | { readonly kind: 'missing' }
    /** The sources behind the routes are asked, for this name: one character per byte, as that of a request. */
    | { readonly kind: 'notMine'; readonly filename: string };
}

/** Why an answer could not be made; also the labels of a metric. */
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

/** What became of requests that a route took; also the labels of a metric. */
export const RENDER_OUTCOMES = ['rendered', 'shared', 'stale', 'notMine', 'refused', 'empty', 'rewritten'] as const;
export type RenderOutcome = (typeof RENDER_OUTCOMES)[number];

/** One rendering that was run, for a metric. */
export interface RenderRecord {
  /** Its place among the routes, from 1. */
  readonly route: number;
  readonly kind: RouteKind;
  readonly result: 'rendered' | 'notMine' | 'failed';
  readonly durationMs: number;
}

export interface RoutesStats {
  readonly outcomes: Readonly<Record<RenderOutcome, number>>;
  readonly failures: Readonly<Record<RenderFailure, number>>;
  /** Renderings under way and waiting. */
  readonly waiting: number;
  /** Threads that were ended because they stood still or failed. */
  readonly threadsLost: number;
  /** Renderings kept, and their bytes. */
  readonly kept: number;
  readonly keptBytes: number;
  readonly nodes: number;
  readonly reloads: number;
}
