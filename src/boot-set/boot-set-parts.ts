/**
 * Builds the parts of a boot-set source; each part gets the ones before it. Knows which part needs which, and the texts
 * of warnings; no requests.
 */
import { randomBytes } from 'node:crypto';
import type { AllocateFile, MapFile } from '../bytes/shared-bytes.ts';
import type { BufferCache } from '../content/buffer-cache.ts';
import { BlobShelf } from './blob-shelf.ts';
import { BootStages } from './boot/boot-stage.ts';
import { Boots } from './boot/boots.ts';
import { ConfigVersions } from './boot/config-versions.ts';
import { NodeFinder } from './boot/node-finder.ts';
import { PinPolicies } from './boot/pin-policies.ts';
import { type PinStore, StoredPins } from './boot/pin-store.ts';
import { PinTable } from './boot/pin-table.ts';
import { SharedPins } from './boot/shared-pins.ts';
import { SteadyTime, systemUptime } from './boot/steady-time.ts';
import type { LabelsOf } from './boot/version-choice.ts';
import { VersionNotes } from './boot/version-notes.ts';
import { Whereabouts } from './boot/whereabouts.ts';
import { type AddressTable, AddressTables, type TablesClock } from './node/address-tables.ts';
import { NetworkList } from './node/network-list.ts';
import { Catalog } from './store/catalog.ts';
import type { PinPolicy } from './store/records.ts';
import type { Store } from './store/store.ts';
import type { RedisLink } from '../redis/redis-link.ts';
import { Upkeep } from './upkeep.ts';

export interface BootSetsOptions {
  readonly store: Pick<Store, 'generation' | 'channels' | 'pins' | 'tables' | 'note' | 'blobPath'>;
  readonly cache: BufferCache;
  /** Maps blobs. Default: blobs are copied. */
  readonly mapFile?: MapFile | undefined;
  /** Allocates memory for copies of blobs. Default: shared memory. */
  readonly allocateFile?: AllocateFile | undefined;
  readonly clock: TablesClock;
  /** Wall clock in milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number;
  /** The system's uptime in milliseconds; undefined when unknown. Default: systemUptime. */
  readonly uptime?: () => number | undefined;
  /** Pin rules for channels without settings of their own. */
  readonly policy: PinPolicy;
  /** Patterns for the names of files that begin a boot. Default: DEFAULT_STAGE_ZERO. */
  readonly stageZero?: readonly string[] | undefined;
  /** Networks in which one address stands for many nodes. */
  readonly sharedNetworks?: readonly string[];
  /** Tables of which machine has which address, the most trustworthy first. */
  readonly tables?: readonly AddressTable[];
  readonly caseInsensitive?: boolean;
  /** True when rendered configs name versions by their digest. Default: by their number. */
  readonly namesByDigest?: boolean;
  /**
   * Called with a cleaned name whose version or channel the store lacks. Returns true when it may arrive: the request
   * then stays unanswered, because "not found" would end a boot. Default: nothing arrives.
   */
  readonly awaits?: (path: string) => boolean;
  /** Budget in bytes for reading current versions ahead of requests. Default 0. */
  readonly prefetchBytes?: number;
  readonly labelsOf?: LabelsOf;
  /** Link to the engine through which the servers of a fleet share pins. Default: none. */
  readonly share?: RedisLink | undefined;
  /** Where pins are kept. Default: the store. */
  readonly pins?: PinStore;
  /** Cap on pins. Default MAX_PINS. Only tests set it, because filling a table of the default size takes long. */
  readonly mostPins?: number;
  readonly onWarning?: (message: string, detail: Readonly<Record<string, unknown>>) => void;
}

/** The parts that requests go through, and their upkeep. */
export interface BootSetParts {
  readonly catalog: Catalog;
  readonly policies: PinPolicies;
  readonly stages: BootStages;
  readonly shared: NetworkList;
  readonly pins: PinTable;
  readonly finder: NodeFinder;
  readonly boots: Boots;
  readonly notes: VersionNotes;
  readonly shelf: BlobShelf;
  readonly configs: ConfigVersions;
  readonly upkeep: Upkeep;
  /** undefined where pins are not shared. */
  readonly sharedPins: SharedPins | undefined;
  /** See SteadyTime. */
  readonly now: () => number;
  readonly awaits: (path: string) => boolean;
  readonly onWarning: NonNullable<BootSetsOptions['onWarning']>;
}

/** @throws RangeError when a shared network is not valid. */
export function makeParts(options: BootSetsOptions): BootSetParts {
  const { store, cache, mapFile, allocateFile, clock, uptime = systemUptime, onWarning = () => {} } = options;
  const onFailure = (error: unknown): void => onWarning('the store cannot be written to', { error: String(error) });
  const onUnreadable = (error: unknown): void =>
    onWarning('a table of addresses cannot be read', { error: String(error) });

  const time = new SteadyTime(clock, options.now ?? Date.now);
  const { now } = time;
  const catalog = new Catalog(store, options.namesByDigest);
  const policies = new PinPolicies(catalog, options.policy);
  const stages = new BootStages(options.stageZero);
  const shared = new NetworkList(options.sharedNetworks ?? []);

  const most = options.mostPins === undefined ? {} : { most: options.mostPins };
  const stored = options.pins ?? new StoredPins(store);
  const link = options.share;
  const server = randomBytes(8).toString('hex');
  const sharing = {
    link,
    local: stored,
    server,
    clock,
    time,
    catalog,
    policyOf: policies.of.bind(policies),
    onWarning,
  };
  const sharedPins = link === undefined ? undefined : new SharedPins({ ...sharing, link });
  const pins = new PinTable({ store: sharedPins ?? stored, catalog, time, uptime, onFailure, ...most });
  const whereabouts = new Whereabouts(pins, policies);
  const tables = new AddressTables({ tables: options.tables ?? [], clock, onUnreadable });
  const finder = new NodeFinder({ pins, tables, policies, whereabouts, shared });
  sharedPins?.attach(pins, finder);

  const { caseInsensitive = false, labelsOf = () => undefined } = options;
  const rules = { catalog, policies, stages, pins, finder, whereabouts };
  const boots = new Boots({ store, ...rules, caseInsensitive, labelsOf });
  const notes = new VersionNotes(store, policies, time, onFailure);

  const shelf = new BlobShelf({ store, cache, mapFile, allocateFile, clock, onWarning });
  const { awaits = () => false } = options;
  const configs = new ConfigVersions({ catalog, shared, finder, boots, notes, shelf, awaits, now, sharedPins });

  const { prefetchBytes = 0 } = options;
  const kept = { catalog, policies, pins, notes, shelf, clock, time, prefetchBytes, onWarning };
  const upkeep = new Upkeep({ ...kept, sharedPins });
  const requested = { catalog, policies, stages, shared, pins, finder, boots, notes, shelf, configs };
  return { ...requested, upkeep, now, awaits, onWarning, sharedPins };
}
