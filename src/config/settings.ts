/**
 * All settings of `reveille serve`: how each is read, and its default. The command line and the config file share this
 * list. Knows no file formats and starts nothing.
 */
import { availableParallelism, totalmem } from 'node:os';
import type { Address } from '../engine/types.ts';
import type { RouteConfig } from '../render/types.ts';
import { type BlksizeRule, blksizeRules } from './blksize-rules.ts';
import { routeList } from './route-list.ts';
import {
  addresses,
  addressOrOff,
  directory,
  duration,
  listOf,
  networks,
  oneOf,
  path,
  portRange,
  size,
  token,
  type ValueKind,
  wholeNumber,
  yesOrNo,
} from './value-kind.ts';

export interface Settings {
  /** The directory served. It has no default, so that nothing is served by accident. */
  readonly root: string | undefined;
  /** The store of boot sets that is served. At least one of `root`, `store` and `routes` is required. */
  readonly store: string | undefined;
  readonly listen: readonly Address[];
  /** Address of health checks and metrics; false disables it. */
  readonly admin: Address | false;
  readonly workers: number;
  readonly engine: 'auto' | 'linux' | 'portable';
  /** Linux engine: ports for transfers. undefined leaves the choice to the system. */
  readonly dataPorts: { readonly from: number; readonly to: number } | undefined;
  /** Linux engine: true to open a listening socket per local address instead of one for all. */
  readonly listenOnEachAddress: boolean;
  /** True to answer requests sent to broadcast addresses. */
  readonly answerBroadcast: boolean;
  /** Budget for file contents in memory, in bytes; 0 keeps nothing that no transfer reads. */
  readonly cacheBytes: number;
  /** Limit on contents being read and kept, in bytes; never exceeded. */
  readonly memoryLimit: number;
  readonly sessions: number;
  readonly queue: number;
  /** Networks in CIDR notation whose addresses may send requests; empty allows all. */
  readonly clients: readonly string[];
  /** Caps on half-open transfers: in total, per network, per address. */
  readonly halfOpen: number;
  readonly halfOpenPerNetwork: number;
  readonly halfOpenPerAddress: number;
  /** Caps on proven transfers: per address, per IPv4 /24, per IPv6 /64. */
  readonly sessionsPerAddress: number;
  readonly sessionsPerNetwork4: number;
  readonly sessionsPerNetwork6: number;
  /** How long a transfer may make no progress, in milliseconds. */
  readonly patience: number;
  /** Minimum rate in bytes per second: while requests wait, slower transfers end. 0 disables this. */
  readonly minRate: number;
  readonly maxWindowsize: number;
  /** Largest blksize for all clients, and for networks. Default: the largest that reaches the client unfragmented. */
  readonly maxBlksize: readonly BlksizeRule[];
  readonly acknowledgeTimeout: boolean;
  readonly caseInsensitive: boolean;
  /**
   * Folders outside the root that links in it may lead into. Absolute; resolved to paths without links at the start.
   */
  readonly trustedRoots: readonly string[];
  /** True when files are only ever replaced, never changed in place: they are then mapped, not copied. */
  readonly immutable: boolean;
  /** Silence after which the pin of a boot ends, in milliseconds. */
  readonly pinIdle: number;
  /** Age after which the pin of a boot ends, in milliseconds. */
  readonly pinCap: number;
  /** Number of former versions kept per channel. */
  readonly keepVersions: number;
  /** Patterns for the names of files that begin a boot; undefined: the built-in patterns. */
  readonly stageZero: readonly string[] | undefined;
  /** Networks in CIDR notation in which one address stands for many nodes. */
  readonly sharedNetworks: readonly string[];
  /** Path of a DHCP server's lease file. */
  readonly leases: string | undefined;
  /** True to read current versions ahead of requests. */
  readonly prefetch: boolean;
  /** Interval between collections in milliseconds; 0: only when the disk gets full. */
  readonly gcEvery: number;
  /** How long a version stays after it was first found unneeded, in milliseconds. */
  readonly gcGrace: number;
  /**
   * Routes for configs that are rendered on request (see src/render), in order. They come before boot sets and files.
   */
  readonly routes: readonly RouteConfig[];
  /** Path of the inventory of nodes. */
  readonly inventory: string | undefined;
  /** Number of threads that render configs. */
  readonly renderThreads: number;
  /** Time limit of a rendering whose route sets none, in milliseconds; undefined: depends on the kind of route. */
  readonly renderTimeout: number | undefined;
  /** Bearer token for the HTTP API; unset disables the API. */
  readonly apiToken: string | undefined;
  /** File that holds the token instead. */
  readonly apiTokenFile: string | undefined;
  /** How long running transfers may continue after the first SIGTERM, in milliseconds. */
  readonly drain: number;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** `json` for programs, `pretty` for people. */
  readonly logFormat: 'json' | 'pretty';
  /** True to print a command that fetches a file. Default: true when stderr is a terminal. */
  readonly hint: boolean | undefined;
}

/** Below 256 KiB no large file can be sent at all; a limit of a few of these would be a mistake as well. */
const LEAST_MEMORY_BYTES = 2 ** 20;

const DAY_MS = 24 * 3_600_000;

export const SETTING_KINDS: { readonly [K in keyof Settings]: ValueKind<NonNullable<Settings[K]>> } = {
  root: directory,
  store: directory,
  listen: addresses,
  admin: addressOrOff,
  workers: wholeNumber(1, 256),
  engine: oneOf(['auto', 'linux', 'portable']),
  dataPorts: portRange,
  listenOnEachAddress: yesOrNo,
  answerBroadcast: yesOrNo,
  cacheBytes: size('a size such as 512MiB or 2GiB'),
  memoryLimit: size('a size of at least 1MiB, such as 512MiB or 2GiB', LEAST_MEMORY_BYTES),
  sessions: wholeNumber(1, 1_000_000),
  queue: wholeNumber(1, 10_000_000),
  clients: networks(256),
  halfOpen: wholeNumber(1, 1_000_000),
  halfOpenPerNetwork: wholeNumber(1, 1_000_000),
  halfOpenPerAddress: wholeNumber(1, 1_000_000),
  sessionsPerAddress: wholeNumber(1, 1_000_000),
  sessionsPerNetwork4: wholeNumber(1, 1_000_000),
  sessionsPerNetwork6: wholeNumber(1, 1_000_000),
  patience: duration(1000, DAY_MS, 'a duration from 1s to 24h, such as 90s'),
  minRate: size('bytes per second, such as 16KiB, or 0'),
  maxWindowsize: wholeNumber(1, 32_767),
  maxBlksize: blksizeRules,
  acknowledgeTimeout: yesOrNo,
  caseInsensitive: yesOrNo,
  trustedRoots: listOf('a directory, or a list of at most 64', (word) => directory.read(word) !== undefined, 64),
  immutable: yesOrNo,
  pinIdle: duration(1000, DAY_MS, 'a duration from 1s to 24h, such as 15m'),
  pinCap: duration(1000, 30 * DAY_MS, 'a duration from 1s to 720h, such as 2h'),
  keepVersions: wholeNumber(0, 100),
  stageZero: listOf(
    'a pattern such as "*.efi", or a list of at most 256',
    (word) => /^[^\s/][^\0]{0,255}$/.test(word),
    256,
  ),
  sharedNetworks: networks(256),
  leases: path('a file'),
  prefetch: yesOrNo,
  gcEvery: duration(0, DAY_MS, 'a duration of at most 24h, such as 10m, or 0'),
  gcGrace: duration(0, 30 * DAY_MS, 'a duration of at most 720h, such as 10m'),
  routes: routeList,
  inventory: path('a file'),
  renderThreads: wholeNumber(1, 64),
  renderTimeout: duration(1, 600_000, 'a duration from 1ms to 10m, such as 2s'),
  apiToken: token,
  apiTokenFile: path('a file'),
  drain: duration(0, 3_600_000, 'a duration of at most 60m with its unit, such as 500ms, 30s or 2m'),
  logLevel: oneOf(['debug', 'info', 'warn', 'error']),
  logFormat: oneOf(['json', 'pretty']),
  hint: yesOrNo,
};

/** Leaves one core to the main thread; a machine with a single core still gets a worker. */
export function defaultWorkers(): number {
  return Math.max(1, availableParallelism() - 1);
}

/**
 * Share of the memory available (the machine's, or the control group's if that is less) that contents may take by
 * default.
 */
const MEMORY_PERCENT = 75;

export function defaultMemoryLimit(): number {
  const allowed = process.constrainedMemory();
  return Math.floor((MEMORY_PERCENT / 100) * (allowed > 0 ? Math.min(allowed, totalmem()) : totalmem()));
}

export function defaultSettings(): Settings {
  return {
    root: undefined,
    store: undefined,
    listen: [
      { address: '0.0.0.0', port: 69 },
      { address: '::', port: 69 },
    ],
    admin: { address: '127.0.0.1', port: 6970 },
    workers: defaultWorkers(),
    engine: 'auto',
    dataPorts: undefined,
    listenOnEachAddress: false,
    answerBroadcast: false,
    cacheBytes: 2 * 2 ** 30,
    memoryLimit: defaultMemoryLimit(),
    sessions: 10_000,
    queue: 65_536,
    clients: [],
    halfOpen: 2048,
    halfOpenPerNetwork: 512,
    halfOpenPerAddress: 64,
    sessionsPerAddress: 256,
    sessionsPerNetwork4: 2048,
    sessionsPerNetwork6: 8192,
    patience: 90_000,
    minRate: 0,
    maxWindowsize: 64,
    maxBlksize: [],
    acknowledgeTimeout: false,
    caseInsensitive: false,
    trustedRoots: [],
    immutable: false,
    pinIdle: 15 * 60_000,
    pinCap: 2 * 3_600_000,
    keepVersions: 3,
    stageZero: undefined,
    sharedNetworks: [],
    leases: undefined,
    prefetch: true,
    gcEvery: 10 * 60_000,
    gcGrace: 10 * 60_000,
    routes: [],
    inventory: undefined,
    renderThreads: 2,
    renderTimeout: undefined,
    apiToken: undefined,
    apiTokenFile: undefined,
    drain: 30_000,
    logLevel: 'info',
    logFormat: 'json',
    hint: undefined,
  };
}
