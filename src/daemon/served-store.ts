/**
 * The store of a running server: opens, serves, collects and closes it. Knows settings and the parts of boot sets;
 * loads the database only when there is a store.
 */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { oneByOne } from '../load/one-by-one.ts';
import type { BootSets, BootSetsOptions, LabelsOf, Rehearsal, RehearsalOptions, Store } from '../boot-set/index.ts';
import { BufferCache } from '../content/buffer-cache.ts';
import type { Engine } from '../engine/types.ts';
import { CollectionSchedule } from './collection-schedule.ts';
import type { Settings } from '../config/settings.ts';
import type { StoreStats } from '../telemetry/store-metrics.ts';
import type { RedisLink, RedisOptions } from '../redis/redis-link.ts';
import { errorCode } from '../text/error-text.ts';
import type { FleetMember, MemberLoad } from '../fleet/fleet-member.ts';
import { FleetFollower } from './fleet-follower.ts';
import { VerbRunner } from './verb-runner.ts';

const require = createRequire(import.meta.url);

export interface ServedStoreOptions {
  readonly path: string;
  readonly settings: Settings;
  readonly cache: BufferCache;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
  /** Returns a node's labels, which rollouts select by. */
  readonly labelsOf: LabelsOf;
  readonly onInfo: (message: string, detail: Readonly<Record<string, unknown>>) => void;
}

type Parts = typeof import('../boot-set/index.ts');
type Unwritten = ReturnType<Parts['unwrittenStore']>;

async function isOnReadOnlyDisk(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK);
    return false;
  } catch (error) {
    return errorCode(error) === 'EROFS';
  }
}

/** Reasons that are told while pins are not shared, each once. */
const MAX_REASONS = 4;

/** Opens the link through which pins are shared, if there is one; it connects in the background. */
async function openPinsLink(
  { settings, onInfo, onWarning }: ServedStoreOptions,
  probe: NonNullable<RedisOptions['probe']>,
): Promise<RedisLink | undefined> {
  const { pins, pinsPrefix: prefix, pinsCaFile: caFile, pinsPasswordFile: passwordFile } = settings;
  if (pins === undefined) return undefined;
  const { openRedis } = await import('../redis/redis-link.ts');
  const { parseRedisAddress } = await import('../redis/redis-url.ts');
  const link = openRedis({ address: parseRedisAddress(pins)!, prefix, caFile, passwordFile, probe });
  const told = new Set<string>();
  link.onState((state) => {
    const reason = link.trouble ?? '';
    if (state === 'up') {
      onInfo('pins are shared with the other servers', { prefix });
      told.clear();
    } else if (!told.has(reason) && told.size < MAX_REASONS) {
      onWarning('pins are not shared: each server pins alone', { reason });
      told.add(reason);
    }
  });
  return link;
}

export class ServedStore {
  readonly verbs: VerbRunner;
  readonly #options: ServedStoreOptions;
  readonly #store: Store;
  readonly #schedule: CollectionSchedule;
  /** undefined where pins are not shared. */
  readonly #link: RedisLink | undefined;
  /** undefined where no channel follows a registry. */
  readonly #follower: FleetFollower | undefined;
  #source: BootSets | undefined;
  #clock: Engine['clock'] | undefined;
  /** undefined before the server has joined its fleet, and without one. */
  #member: FleetMember | undefined;
  readonly #parts: Parts;
  readonly #unwritten: Unwritten | undefined;

  /** @param unwritten replacement for store and pins when the store is on a read-only disk. */
  private constructor(
    options: ServedStoreOptions,
    store: Store,
    parts: Parts,
    link: RedisLink | undefined,
    unwritten?: Unwritten,
  ) {
    const { path, settings, onWarning, onInfo } = options;
    this.#options = options;
    this.#store = store;
    this.#parts = parts;
    this.#unwritten = unwritten;
    this.#link = link;
    this.verbs = new VerbRunner({ store: path });
    this.#schedule = new CollectionSchedule({
      store: path,
      everyMs: settings.gcEveryMs,
      graceMs: settings.gcGraceMs,
      run: (verb, args) => this.verbs.run(verb, args),
      onCollected: (result) => onInfo('collected', result),
      onFailure: (reason) => onWarning('garbage collection failed', { reason }),
    });
    const { follow, registryAuthFile: authFile, registryCaFile: caFile } = settings;
    const { channels } = store.tables;
    const run: VerbRunner['run'] = this.verbs.run.bind(this.verbs);
    const onArrived = (): void => this.#member?.look();
    const isFollowing = follow.length > 0 && unwritten === undefined;
    this.#follower = isFollowing
      ? new FleetFollower({ follow, authFile, caFile, channels, run, onArrived, onInfo, onWarning })
      : undefined;
  }

  /**
   * Opens the store.
   *
   * @throws Error with a one-line message when the path is not a store, or the store can't be opened.
   */
  static async open(options: ServedStoreOptions): Promise<ServedStore> {
    const { settings, path } = options;
    const parts = await oneByOne(
      () => require('../boot-set/index.js') as typeof import('../boot-set/index.ts'),
      () => import('../boot-set/index.ts'),
    );
    const isReadOnly = await isOnReadOnlyDisk(path);
    // Before the store is opened: an empty folder becomes a store on every other disk, so this explains why it does not.
    if (isReadOnly) {
      options.onWarning('the store is on a read-only disk: pins are kept in memory, and a restart forgets them', {
        store: path,
      });
    }
    const store = await parts.openStore({ path, readOnly: isReadOnly });
    let link: RedisLink | undefined;
    try {
      link = await openPinsLink(options, parts.sharedPinsProbe);
      const { pinIdleMs, pinCapMs, keepVersions } = settings;
      if (isReadOnly) {
        if (settings.follow.length > 0) {
          options.onWarning('the store is on a read-only disk: no channel follows a registry', { store: path });
        }
        return new ServedStore(options, store, parts, link, parts.unwrittenStore(store));
      }
      // Collections by other processes must keep what this server promises its nodes.
      await store.setDefaults({ pinIdleMs, pinCapMs, keepVersions });
      const served = new ServedStore(options, store, parts, link);
      await served.#follower?.start();
      return served;
    } catch (error) {
      await link?.close();
      await store.close();
      throw error;
    }
  }

  /** Returns the source and starts scheduled collections. Call once. */
  serve({ mapFile, allocateFile, clock }: Pick<Engine, 'mapFile' | 'allocateFile' | 'clock'>): BootSets {
    const { settings, cache } = this.#options;
    this.#clock = clock;
    this.#source = new this.#parts.BootSets({
      ...this.#sourceOptions(clock),
      cache,
      share: this.#link,
      awaits: (path) => this.#follower?.awaits(path) ?? false,
      mapFile,
      allocateFile,
      prefetchBytes: settings.prefetch ? settings.cacheBytes : 0,
    });
    if (this.#unwritten === undefined) this.#schedule.start();
    return this.#source;
  }

  /**
   * Announces the server to its fleet, if it has one, and follows promotions. Call once, when the server answers
   * requests.
   *
   * @param port at which it does. @param version of Reveille.
   */
  async join(port: number, version: string, load: () => MemberLoad): Promise<void> {
    const { onInfo, onWarning } = this.#options;
    const link = this.#link;
    if (link === undefined) return;
    const { joinFleet } = await import('./served-fleet.ts');
    this.#member = joinFleet({
      link,
      store: this.#store,
      source: this.#source!,
      follower: this.#follower,
      isReadOnly: this.#unwritten !== undefined,
      clock: this.#clock!,
      port,
      version,
      load,
      onInfo,
      onWarning,
    });
  }

  /**
   * Starts a rehearsal, which gives the answers that the source would give now and leaves no trace in it.
   *
   * @param client the node and its address, where known.
   */
  rehearse(clock: Engine['clock'], client: RehearsalOptions['client']): Promise<Rehearsal> {
    return this.#parts.Rehearsal.begin({
      ...this.#sourceOptions(clock),
      // A cache of its own, so that a preview changes nothing in the server's.
      cache: new BufferCache({ maxBytes: 0, limitBytes: this.#options.settings.memoryLimitBytes }),
      known: this.#store.pins(),
      client,
    });
  }

  stats(): StoreStats | undefined {
    const stats = this.#source?.stats();
    if (stats === undefined) return undefined;
    return {
      ...stats,
      collection: this.#schedule.stats(),
      fleet: this.#follower?.stats(),
      member: this.#member?.stats(),
    };
  }

  #sourceOptions(clock: Engine['clock']): Omit<BootSetsOptions, 'cache'> {
    const { settings, labelsOf, onWarning } = this.#options;
    const { DhcpLeases, Neighbours } = this.#parts;
    return {
      store: this.#store,
      ...this.#unwritten,
      clock,
      policy: { pinIdleMs: settings.pinIdleMs, pinCapMs: settings.pinCapMs },
      stageZero: settings.stageZero,
      sharedNetworks: settings.sharedNetworks,
      tables: [
        ...(settings.leases === undefined ? [] : [new DhcpLeases(settings.leases)]),
        ...(process.platform === 'linux' ? [new Neighbours()] : []),
      ],
      caseInsensitive: settings.caseInsensitive,
      namesByDigest: settings.fleet,
      labelsOf,
      onWarning,
    };
  }

  /** Closes everything and writes what is pending of pins. Call after the last transfer. */
  async close(): Promise<void> {
    this.#schedule.stop();
    await this.#member?.stop();
    await this.#follower?.stop();
    this.verbs.close();
    await this.#source?.close();
    await this.#link?.close();
    await this.#store.close();
  }
}
