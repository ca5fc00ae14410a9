/**
 * A fleet on virtual time: servers with stores in memory, one Redis, and people who publish and promote. Servers die and
 * return with their store, links are cut, notices are lost, Redis is flushed or fails over, as drawn from a seed.
 */
import { type ChannelHoldings, holdingsOf } from '../../src/boot-set/holdings.ts';
import { followPromotions, type PromotedVersion } from '../../src/boot-set/store/channel-changes.ts';
import { sha256 } from '../../src/boot-set/store/manifest.ts';
import {
  type ChannelRecord,
  DEFAULT_CHANNEL_SETTINGS,
  type VersionRecord,
  versionName,
} from '../../src/boot-set/store/records.ts';
import type { Table, Tables } from '../../src/boot-set/store/state.ts';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import { COMPARE_AND_SET, FleetBoard } from '../../src/fleet/fleet-board.ts';
import { FleetMember, type FleetMemberOptions } from '../../src/fleet/fleet-member.ts';
import { supersedes } from '../../src/fleet/promotion.ts';
import { planPromotion, type PromotionWish } from '../../src/fleet/promotion-plan.ts';
import { Random } from '../support/random.ts';
import { type Script, type VirtualLink, VirtualRedis } from '../support/virtual-redis.ts';

export const CHANNEL = 'install';
const EPOCH = 1_700_000_000_000;
const PREFIX = 'fleet';

const compareAndSet: Script = (redis, [key], [field, expected, text]) => {
  if ((redis.execute(['HGET', key!, field!]) ?? '') !== expected) return 0;
  redis.execute(['HSET', key!, field!, text!]);
  return 1;
};

class MapTable<V> implements Table<V> {
  readonly #map = new Map<string, V>();
  get = (key: string): V | undefined => this.#map.get(key);
  put = (key: string, value: V): void => void this.#map.set(key, value);
  remove = (key: string): void => void this.#map.delete(key);
  entries = (): [string, V][] => [...this.#map];
  keys = (): string[] => [...this.#map.keys()];
}

export function digestOf(version: number): string {
  return sha256(`version ${version}`);
}

/** One server. Its store outlives its processes. */
export class FleetServer {
  readonly name: string;
  readonly tables: Pick<Tables, 'channels' | 'versions'>;
  /** Link of the running process; each process has its own. */
  link: VirtualLink;
  readonly warnings: string[] = [];
  /** Promotions in the order in which the channel followed them. */
  readonly moves: PromotedVersion[] = [];
  needed: ReadonlySet<string> = new Set();
  /** How often it was recorded what the others need. */
  kept = 0;
  member: FleetMember | undefined;
  /** Boots under way, by version. */
  readonly pins = new Map<number, number>();
  readonly #world: FleetWorld;
  readonly #skewMs: number;

  constructor(world: FleetWorld, name: string, skewMs: number) {
    this.#world = world;
    this.name = name;
    this.#skewMs = skewMs;
    this.tables = { channels: new MapTable<ChannelRecord>(), versions: new MapTable<VersionRecord>() };
    this.link = world.redis.link(name, PREFIX);
  }

  get channel(): ChannelRecord | undefined {
    return this.tables.channels.get(CHANNEL);
  }

  /** Puts a version into the store. Numbers differ between servers, as each counts its own. */
  stage(version: number, channel = CHANNEL): void {
    const { channels, versions } = this.tables;
    const record = channels.get(channel) ?? {
      name: channel,
      current: undefined,
      previous: [],
      nextNumber: 1,
      settings: {},
    };
    const manifest = digestOf(version);
    if (versions.entries().some(([, one]) => one.channel === channel && one.manifest === manifest)) return;
    const number = record.nextNumber;
    versions.put(versionName(channel, number), {
      channel,
      number,
      manifest,
      files: [],
      labels: {},
      keep: false,
      publishedAt: 0,
    });
    channels.put(channel, { ...record, nextNumber: number + 1, followed: manifest });
  }

  holds(manifest: string): boolean {
    return this.tables.versions.entries().some(([, version]) => version.manifest === manifest);
  }

  holdings(): readonly ChannelHoldings[] {
    const { channels, versions } = this.tables;
    const catalog = {
      channels: new Map(channels.entries()),
      all: () => versions.entries().map(([, version]) => version),
    };
    const byVersion = [...this.pins].map(([version, pins]) => ({ version, pins }));
    const stats = channels.keys().map((name) => ({
      name,
      current: undefined,
      pins: name === CHANNEL ? byVersion.reduce((sum, { pins }) => sum + pins, 0) : 0,
      byVersion: name === CHANNEL ? byVersion : [],
    }));
    const needs = { overrides: [], useNotes: [], defaults: DEFAULT_CHANNEL_SETTINGS };
    return holdingsOf(catalog as never, needs, stats, 0);
  }

  start(more: Partial<FleetMemberOptions> = {}): void {
    const { clock, random, redis } = this.#world;
    const link = redis.link(this.name, PREFIX);
    this.link = link;
    const reconnect = (): void => {
      if (link.isCut) clock.wake(clock.now() + random.between(50, 2000), reconnect);
      else link.mend();
    };
    link.onState((state) => {
      if (state === 'down' && this.link === link) clock.wake(clock.now() + 50, reconnect);
    });
    this.member = new FleetMember({
      board: new FleetBoard(link),
      clock,
      wallClock: () => EPOCH + clock.now() + this.#skewMs,
      identity: { name: this.name, run: `run ${this.#world.runs++}`, version: '1.0.0', startedAt: EPOCH },
      store: {
        holdings: () => this.holdings(),
        follow: (promoted) => {
          // A killed process writes nothing.
          if (this.link !== link || random.chance(this.#world.failing))
            return Promise.reject(new Error('the disk is full'));
          const moved = followPromotions(this.tables as Tables, promoted, supersedes);
          this.moves.push(...moved);
          return Promise.resolve(moved);
        },
        neededByOthers: () => this.needed,
        keep: (needed) => {
          this.needed = needed;
          this.kept++;
          return Promise.resolve();
        },
      },
      load: () => ({ transfers: 1, sessions: 100 }),
      follows: () => undefined,
      fetch: (_, manifest) => this.#world.fetch(this, manifest),
      onInfo: () => {},
      onWarning: (message) => this.warnings.push(message),
      ...more,
    });
    this.member.start();
  }

  /** Ends the process without a farewell. */
  kill(): void {
    this.link.cut();
    this.link = this.#world.redis.link(this.name, PREFIX);
    void this.member?.stop();
    this.member = undefined;
  }
}

export class FleetWorld {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly redis: VirtualRedis;
  readonly servers: FleetServer[] = [];
  runs = 0;
  /** Share of writes to stores that fail. */
  failing = 0;
  readonly #person: VirtualLink;
  readonly board: FleetBoard;

  constructor(seed: number, servers: number, delayMs: (random: Random) => number = () => 1) {
    this.random = new Random(seed);
    this.redis = new VirtualRedis({
      clock: this.clock,
      random: this.random,
      delayMs,
      scripts: new Map([[COMPARE_AND_SET, compareAndSet]]),
    });
    this.#person = this.redis.link('person', PREFIX);
    this.board = new FleetBoard(this.#person, 3000);
    for (let at = 0; at < servers; at++) {
      this.servers.push(new FleetServer(this, `s${at}`, this.random.between(-100_000, 100_000)));
    }
  }

  fetch(server: FleetServer, manifest: string): void {
    const version = [...Array(1000).keys()].find((one) => digestOf(one) === manifest);
    if (version !== undefined) this.clock.wake(this.clock.now() + 2000, () => server.stage(version));
  }

  async pass(ms: number): Promise<void> {
    await this.clock.runAsync(this.clock.now() + ms);
  }

  /**
   * Does what `reveille promote` does.
   *
   * @param isNotified false: the notice is lost.
   * @returns the generation; the reason why nothing was promoted.
   */
  async promote(more: Partial<PromotionWish> = {}, isNotified = true): Promise<number | string> {
    const wish = { channel: CHANNEL, version: undefined, isForced: false, prefix: PREFIX, ...more };
    try {
      const shared = (await this.board.promotions([wish.channel])).get(wish.channel)!;
      const now = await this.board.time();
      const servers = await this.board.servers(now);
      const channels = await this.board.channelOn(
        servers.map(({ name }) => name),
        wish.channel,
      );
      const seen = servers.map((server, at) => ({ server, channel: channels[at] }));
      const { promotion } = planPromotion(wish, seen, shared.promotion, now);
      if (!(await this.board.promote(wish.channel, shared, promotion))) return 'somebody else was faster';
      if (isNotified) await this.board.notify(wish.channel);
      return promotion.generation;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** Promotes while time passes. @param ms enough for all exchanges with Redis. */
  async promoted(more: Partial<PromotionWish> = {}, ms = 20): Promise<number | string> {
    const end = this.promote(more);
    await this.pass(ms);
    return await end;
  }
}
