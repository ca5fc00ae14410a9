/**
 * What `reveille serve` can be told: every setting, how it is read, its default. The command line and the config
 * file both go by this one list. Knows no file formats and starts nothing.
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
  /** The directory served. There is no default: nothing is served by accident. */
  readonly root: string | undefined;
  /** The store of boot sets that is served. One of the two there must be. */
  readonly store: string | undefined;
  readonly listen: readonly Address[];
  /** Where health and metrics are served, or false for nowhere. */
  readonly admin: Address | false;
  readonly workers: number;
  readonly engine: 'auto' | 'linux' | 'portable';
  /** Linux engine: ports that transfers use; undefined: those that the system hands out by itself. */
  readonly dataPorts: { readonly from: number; readonly to: number } | undefined;
  /** Linux engine: a listening socket for each local address instead of one for all. */
  readonly listenOnEachAddress: boolean;
  /** Answer requests sent to broadcast addresses. */
  readonly answerBroadcast: boolean;
  /** Memory for the contents of files, in bytes; 0 keeps nothing that no transfer reads. */
  readonly cacheBytes: number;
  /** Bytes of contents being read and kept together, never exceeded. */
  readonly memoryLimit: number;
  readonly sessions: number;
  readonly queue: number;
  /** Networks, as CIDR, whose addresses may ask; empty: all. */
  readonly clients: readonly string[];
  /** Transfers that nobody has answered: at once, of a network, of an address. */
  readonly halfOpen: number;
  readonly halfOpenPerNetwork: number;
  readonly halfOpenPerAddress: number;
  /** Transfers that have been answered: of an address, of a /24 of IPv4, of a /64 of IPv6. */
  readonly sessionsPerAddress: number;
  readonly sessionsPerNetwork4: number;
  readonly sessionsPerNetwork6: number;
  /** How long a transfer may stand still, in milliseconds. */
  readonly patience: number;
  /** While others wait, slower transfers end, in bytes per second; 0: none does. */
  readonly minRate: number;
  readonly maxWindowsize: number;
  /** For all clients, and for networks; where none is said, what goes to the client unfragmented. */
  readonly maxBlksize: readonly BlksizeRule[];
  readonly acknowledgeTimeout: boolean;
  readonly caseInsensitive: boolean;
  /** Folders outside the root that links in it may lead into. Absolute; resolved at the start, without links. */
  readonly trustedRoots: readonly string[];
  /** Files are only ever replaced, never changed in place: they are mapped, not copied. */
  readonly immutable: boolean;
  /** Silence after which the pin of a boot ends, in milliseconds. */
  readonly pinIdle: number;
  /** Age after which it ends, in milliseconds. */
  readonly pinCap: number;
  /** Former versions of a channel that are kept. */
  readonly keepVersions: number;
  /** Patterns for names that a boot begins with; undefined: ours. */
  readonly stageZero: readonly string[] | undefined;
  /** Networks, as CIDR, whose addresses stand for many nodes. */
  readonly sharedNetworks: readonly string[];
  /** The lease file of a DHCP server. */
  readonly leases: string | undefined;
  /** Whether current versions are read before they are asked for. */
  readonly prefetch: boolean;
  /** Milliseconds between collections; 0: only when the disk gets full. */
  readonly gcEvery: number;
  /** How long a version stays after it was first found unneeded, in milliseconds. */
  readonly gcGrace: number;
  /** What is made for a node when it asks; see src/render. In order, before boot sets and files. */
  readonly routes: readonly RouteConfig[];
  /** The file that says which nodes there are. */
  readonly inventory: string | undefined;
  /** Threads that make configs. */
  readonly renderThreads: number;
  /** How long making one may take where its route says nothing else, in milliseconds; undefined: by kind. */
  readonly renderTimeout: number | undefined;
  /** Who has it may change the store over HTTP; undefined: nobody. */
  readonly apiToken: string | undefined;
  /** The file that holds it instead. */
  readonly apiTokenFile: string | undefined;
  /** How long running transfers may go on after the first SIGTERM, in milliseconds. */
  readonly drain: number;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** For programs, or for people. */
  readonly logFormat: 'json' | 'pretty';
  /** Whether to print a command that fetches a file; undefined: when stderr is a terminal. */
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

/** One core is left to the main thread; a machine with a single core still gets a worker. */
export function defaultWorkers(): number {
  return Math.max(1, availableParallelism() - 1);
}

/** The share of the memory there is, or that a control group leaves us, which contents may take by default. */
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
