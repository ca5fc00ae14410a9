/**
 * Settings for what is served: files, boot sets, also those of a fleet, and configs made for nodes, and the memory for them.
 */
import { totalmem } from 'node:os';
import { DEFAULT_CHANNEL_SETTINGS, GRACE_MS } from '../boot-set/store/records.ts';
import { DEFAULT_PREFIX } from '../redis/redis-options.ts';
import { followList } from './follow-list.ts';
import { routeList } from './route-list.ts';
import { section, setting } from './setting.ts';
import {
  DAY_MS,
  directories,
  directory,
  duration,
  file,
  keyPrefix,
  networks,
  patterns,
  redisAddress,
  size,
  wholeNumber,
  yesOrNo,
} from './value-kind.ts';

const MIB = 2 ** 20;

/** @limit Content kept in memory. Setting: `cacheBytes`. Shows: `reveille_cache_evictions_total`. */
const CACHE_BYTES = 2 * 2 ** 30;

/**
 * Share of the memory available (the machine's, or the control group's if that is less) that contents may take by
 * default.
 *
 * @limit Content held and kept together, as a share of the available memory. Setting: `memoryLimit`. Shows:
 * `reveille_requests_ignored_total{reason="busy"}`.
 */
const MEMORY_PERCENT = 75;

/** Whole MiB, so that the limit can be read. */
function defaultMemoryLimit(): number {
  const allowed = process.constrainedMemory();
  const bytes = allowed > 0 ? Math.min(allowed, totalmem()) : totalmem();
  return Math.floor(((MEMORY_PERCENT / 100) * bytes) / MIB) * MIB;
}

export const FILES = section('What is served', {
  root: setting({
    kind: directory,
    from: 'argument',
    help: 'the directory of files to serve',
    docs: [
      'The directory of files to serve.',
      'There is no default, so that nothing is served by accident.',
      'While the directory is [away](operations.md#what-is-not-there-yet), no client is told that a file does not exist.',
    ],
  }),
  store: setting({
    kind: directory,
    help: 'the store of boot sets to serve',
    docs: [
      'The store of [boot sets](boot-sets.md) to serve.',
      'If `root` is set as well, the server looks up a name in the store first and then in `root`.',
      'At least one of `root`, `store` and `routes` must be set.',
      'The directory is created if it does not exist.',
    ],
  }),
  caseInsensitive: setting({
    kind: yesOrNo,
    default: false,
    help: 'find boot/x when a client asks for BOOT/X',
    docs: ['Find `boot/x` when a client asks for `BOOT/X`: among files, in boot sets, and by routes.'],
  }),
  trustedRoots: setting({
    kind: directories(64),
    default: [],
    defaultText: 'none',
    help: 'folder outside ROOT that links in ROOT may lead into',
    docs: [
      'Folders outside `root`, such as a mirror, that symbolic links in `root` may lead into.',
      'The path of each folder is resolved once, at the start; for a folder that is [not there yet](operations.md#what-is-not-there-yet), as soon as it is.',
      'Anyone who may create links in `root` can have every file in these folders served.',
    ],
  }),
  immutable: setting({
    kind: yesOrNo,
    default: false,
    help: 'files are only ever replaced, never changed in place: map them instead of copying',
    docs: [
      'Declares that files below the root are only ever replaced (`mv`, `rsync`), never changed in place: the Linux engine then maps them and keeps no copy.',
      'If a file is truncated nevertheless, its transfers end with an error, or with zeros where it lost less than its last page of 4 KiB.',
      'If a file is overwritten, its transfers send a mixture of old and new contents.',
    ],
  }),
});

export const MEMORY = section('Memory', {
  cacheBytes: setting({
    kind: size('a size such as 512MiB or 2GiB'),
    default: CACHE_BYTES,
    help: 'memory for file contents that are kept',
    docs: [
      'Memory for file contents.',
      'With 0, contents that no transfer is reading are not kept.',
      'Files being read may exceed this size, up to `memoryLimit`.',
    ],
  }),
  memoryLimitBytes: setting({
    key: 'memoryLimit',
    // Below 256 KiB no large file can be sent at all; a limit of a few of these would be a mistake as well.
    kind: size('a size of at least 1MiB, such as 512MiB or 2GiB', MIB),
    default: defaultMemoryLimit,
    defaultText: `${MEMORY_PERCENT} % of memory`,
    help: 'limit on contents kept and being read together',
    docs: [
      'The memory limit: contents being read and contents kept together never exceed it.',
      'A file that does not fit is read again for each client, 256 KiB at a time; if there is no room for 256 KiB either, the request stays unanswered.',
    ],
  }),
});

export const BOOT_SETS = section('Boot sets', {
  pinIdleMs: setting({
    key: 'pinIdle',
    kind: duration(1000, DAY_MS, '15m'),
    default: DEFAULT_CHANNEL_SETTINGS.pinIdleMs,
    help: "silence after which a node's boot is over, and its next one may get a new version",
    docs: ['How long a node must be silent before its boot counts as over.', 'A channel may have its own value.'],
  }),
  pinCapMs: setting({
    key: 'pinCap',
    kind: duration(1000, 30 * DAY_MS, '2h'),
    default: DEFAULT_CHANNEL_SETTINGS.pinCapMs,
    help: "age at which a node's boot is over",
    docs: ["The age at which a node's boot counts as over.", 'A channel may have its own value.'],
  }),
  keepVersions: setting({
    kind: wholeNumber(0, 100),
    default: DEFAULT_CHANNEL_SETTINGS.keepVersions,
    help: 'former versions of each channel that are kept from collection',
  }),
  stageZero: setting({
    kind: patterns(256),
    defaultText: 'loaders and configs',
    help: 'pattern of names that begin a boot',
    docs: [
      'Names that a boot begins with, as patterns with `*`.',
      'A pattern without `/` is matched against the last part of a name.',
      'Your list replaces the built-in one, which is in [boot-stage.ts](../src/boot-set/boot/boot-stage.ts).',
    ],
  }),
  sharedNetworks: setting({
    kind: networks(256),
    default: [],
    defaultText: 'none',
    help: 'network in which one address stands for many nodes (NAT)',
    docs: [
      'Networks in which one address stands for many nodes (NAT).',
      "There a channel's name gives the channel's current version, file by file, and client addresses have no limits of their own.",
    ],
  }),
  leases: setting({
    kind: file,
    help: "a DHCP server's lease file (dnsmasq, or Kea's memfile)",
    docs: [
      "The lease file of dnsmasq, or of Kea's memfile, from which the server learns which node has which address.",
    ],
  }),
  prefetch: setting({
    kind: yesOrNo,
    default: true,
    help: 'read current versions into memory before nodes ask for them',
    docs: ['Read current versions into memory before nodes ask for them, as far as `cacheBytes` allows.'],
  }),
  gcEveryMs: setting({
    key: 'gcEvery',
    kind: duration(0, DAY_MS, '10m'),
    default: 10 * 60_000,
    help: 'time between two collections; 0: only when the disk gets full',
    docs: [
      'The time between two collections of versions that nothing needs.',
      'With 0 the server collects only when the disk gets full.',
    ],
  }),
  gcGraceMs: setting({
    key: 'gcGrace',
    kind: duration(0, 30 * DAY_MS, '10m'),
    default: GRACE_MS,
    help: 'how long a version stays after a collection first found it unneeded',
  }),
});

export const BOOT_CONFIGS = section('Configs for nodes', {
  routes: setting({
    kind: routeList,
    default: [],
    from: 'file',
    isLive: true,
    help: 'rules for what the server makes for a node',
    docs: [
      'Rules for what the server makes for a node when it asks, tried before boot sets and files: [boot-configs.md](boot-configs.md).',
      'With routes, neither `root` nor `store` is needed.',
    ],
  }),
  inventory: setting({
    kind: file,
    isLive: true,
    help: 'the list of nodes',
    docs: [
      'The list of nodes, for routes, rollouts by label, the live page and `reveille node NAME`; it also works without `routes`: [boot-configs.md](boot-configs.md#the-inventory).',
    ],
  }),
  renderThreads: setting({
    kind: wholeNumber(1, 64),
    default: 2,
    isLive: true,
    help: 'threads that make configs',
  }),
  renderTimeoutMs: setting({
    key: 'renderTimeout',
    kind: duration(1, 600_000, '2s'),
    defaultText: '1s for templates, 5s for handlers and upstreams',
    isLive: true,
    help: 'how long making one config may take',
    docs: ['How long making one config may take, if its route has no `timeout`.'],
  }),
});

export const FLEET = section('A fleet of servers', {
  fleet: setting({
    kind: yesOrNo,
    default: false,
    help: 'name versions by digest in rendered configs, so that any server can serve them',
    docs: [
      'Name versions by their digest in rendered configs, so that any server of a [fleet](fleet.md) can serve them: numbers differ between servers, digests do not.',
    ],
  }),
  follow: setting({
    kind: followList,
    default: [],
    defaultText: 'none',
    from: 'file',
    help: 'channels that follow a tag in a registry',
    docs: [
      'Channels that follow a tag in a registry, each with `channel`, `from`, `every` (default `30s`) and `move`: `followed` (default) moves the channel with the tag, `promoted` stages the version and waits for `reveille promote`: [fleet.md](fleet.md#following).',
    ],
  }),
  registryAuthFile: setting({
    kind: file,
    defaultText: '`~/.docker/config.json`',
    help: 'file with credentials for registries',
    docs: [
      'A file with credentials for registries, in the form of `~/.docker/config.json`; users other than its owner must not be able to read it.',
    ],
  }),
  registryCaFile: setting({
    kind: file,
    defaultText: "the system's",
    help: 'certificate authorities of the registries, in PEM',
  }),
  pins: setting({
    kind: redisAddress,
    help: 'Valkey or Redis server through which the servers of a fleet share pins and promotions',
    docs: [
      'The Valkey or Redis server through which the servers of a fleet [share pins](fleet.md#shared-pins) and [promotions](fleet.md#promoted-moves), or the Sentinels that name it.',
      'No boot depends on it.',
    ],
  }),
  pinsPrefix: setting({
    kind: keyPrefix,
    default: DEFAULT_PREFIX,
    help: 'beginning of all keys on that server; each fleet needs one of its own',
  }),
  pinsPasswordFile: setting({
    kind: file,
    help: 'file with the password of that server, in place of one in its address',
    docs: [
      'A file with the password of that server in its first line, in place of one in its address; users other than its owner must not be able to read it.',
    ],
  }),
  pinsCaFile: setting({
    kind: file,
    defaultText: "the system's",
    help: 'certificate authorities of that server, in PEM',
  }),
});
