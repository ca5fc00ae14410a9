/**
 * A server as a member of its fleet: announces itself, follows promotions by notice and at intervals, and learns what
 * the other servers need. Knows the board and the holdings of its store by their interfaces; no files and no packets.
 */
import type { ChannelHoldings } from '../boot-set/index.ts';
import type { PromotedVersion } from '../boot-set/store/channel-changes.ts';
import { RedisError } from '../redis/redis-error.ts';
import { errorLine } from '../text/error-text.ts';
import {
  type ChannelRecordOfServer,
  channelText,
  type FollowRecord,
  isBehind,
  MAX_BEHIND_LISTED,
  type ServerRecord,
} from './announcement.ts';
import type { FleetBoard, SharedPromotion } from './fleet-board.ts';
import { type PromotionRecord, promotionStep } from './promotion.ts';

/** Interval of heartbeats, and of questions for promotions whose notice was lost. */
export const BEAT_MS = 5000;
/** Interval at which the needs of the other servers are read, and all channels are announced again. */
const NEEDS_MS = 60_000;
/**
 * Pause between two exchanges with Redis.
 * @limit Exchanges of a server with Redis about promotions: one in 100 ms, however many notices arrive. Shows: nothing: notices are answered together.
 */
const PAUSE_MS = 100;

export interface MemberClock {
  /** Monotonic time in milliseconds, from an arbitrary origin. */
  now(): number;
  wake(at: number, fn: () => void): () => void;
}

/** The store of the server. */
export interface MemberStore {
  /** Returns what the store holds now. */
  holdings(): readonly ChannelHoldings[];
  /** Makes promoted versions current; undefined when the store is on a read-only disk. @returns those that are now. */
  readonly follow: ((promoted: readonly PromotedVersion[]) => Promise<readonly PromotedVersion[]>) | undefined;
  /** Returns the versions that the other servers needed when that was last known. */
  neededByOthers(): ReadonlySet<string>;
  /** Records which versions the other servers need. */
  keep(needed: ReadonlySet<string>): Promise<void>;
}

/** Figures that change from heartbeat to heartbeat. */
export interface MemberLoad {
  readonly transfers: number;
  readonly sessions: number;
}

type Told = (message: string, detail: Readonly<Record<string, unknown>>) => void;

export interface FleetMemberOptions {
  readonly board: FleetBoard;
  readonly clock: MemberClock;
  /** Wall clock in milliseconds since the epoch. */
  readonly wallClock: () => number;
  readonly identity: Pick<ServerRecord, 'name' | 'run' | 'version' | 'startedAt'>;
  readonly store: MemberStore;
  readonly load: () => MemberLoad;
  /** Returns the tag that a channel follows. */
  readonly follows: (channel: string) => FollowRecord | undefined;
  /** Asks for a promoted version that the store lacks. */
  readonly fetch: (channel: string, manifest: string) => void;
  readonly onInfo: Told;
  readonly onWarning: Told;
}

/** A channel that has been promoted. */
export interface PromotedStat {
  readonly channel: string;
  /** Generation that this server serves; 0: it has followed no promotion yet. */
  readonly generation: number;
  /** True while new boots get another version from this server than the promoted one. */
  readonly isBehind: boolean;
}

export interface MemberStats {
  /** True when the last exchange with Redis succeeded. */
  readonly isJoined: boolean;
  /** This process, as its heartbeat names it. */
  readonly run: string;
  /** The live servers at the last exchange, this one included; none while Redis is away. */
  readonly servers: readonly ServerRecord[];
  readonly promoted: readonly PromotedStat[];
  /** Promotions that this server has followed since its start. */
  readonly followed: number;
}

/** A channel in the store and in Redis. */
interface ChannelView {
  readonly holdings: ChannelHoldings;
  readonly shared: SharedPromotion;
}

export class FleetMember {
  readonly #options: FleetMemberOptions;
  #cancel: () => void = () => {};
  #turning: Promise<void> | undefined;
  #turnedAt = Number.NEGATIVE_INFINITY;
  /** True when another turn must follow the running one. */
  #isAgain = false;
  #isStopped = false;
  #isJoined = false;
  #failure: string | undefined;
  #skewMs = 0;
  #servers: readonly ServerRecord[] = [];
  #serversAt = Number.NEGATIVE_INFINITY;
  /** Texts of channels as announced. */
  #announced = new Map<string, string>();
  #isFirst = true;
  #strangers = 0;
  #promoted: readonly PromotedStat[] = [];
  #followed = 0;
  #needed: ReadonlySet<string>;
  #needsAt = Number.NEGATIVE_INFINITY;
  /** Channels whose conflict has been told, by name and generation. */
  readonly #told = new Set<string>();

  constructor(options: FleetMemberOptions) {
    this.#options = options;
    this.#needed = options.store.neededByOthers();
  }

  /** Joins the fleet. Redis may be away: the member joins when it returns. */
  start(): void {
    const { board } = this.#options;
    board.onReturn(() => this.look());
    void board.onNotice(() => this.look());
    this.look();
  }

  /** Asks for promotions soon, and announces what has changed. */
  look(): void {
    if (this.#isStopped) return;
    if (this.#turning !== undefined) {
      this.#isAgain = true;
      return;
    }
    const { clock } = this.#options;
    const at = this.#turnedAt + PAUSE_MS;
    if (at > clock.now()) this.#wakeAt(at);
    else this.#begin();
  }

  stats(): MemberStats {
    return {
      isJoined: this.#isJoined,
      run: this.#options.identity.run,
      servers: this.#isJoined ? this.#servers : [],
      promoted: this.#promoted,
      followed: this.#followed,
    };
  }

  /** Leaves the fleet: the others need not wait for the heartbeat to expire. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel();
    await this.#turning;
    const { board, identity } = this.#options;
    if (this.#isJoined) await board.withdraw(identity.name).catch(() => {});
  }

  #begin(): void {
    this.#cancel();
    this.#isAgain = false;
    this.#turning = this.#turn().finally(() => {
      const { clock } = this.#options;
      this.#turning = undefined;
      this.#turnedAt = clock.now();
      if (!this.#isStopped) this.#wakeAt(this.#turnedAt + (this.#isAgain ? PAUSE_MS : BEAT_MS));
    });
  }

  #wakeAt(at: number): void {
    this.#cancel();
    this.#cancel = this.#options.clock.wake(at, () => this.#begin());
  }

  async #turn(): Promise<void> {
    const { onInfo, onWarning } = this.#options;
    try {
      const now = await this.#askTime();
      await this.#follow(now);
      await this.#learn(now);
      if (this.#failure !== undefined) onInfo('the fleet is in sight again', {});
      this.#failure = undefined;
      this.#isJoined = true;
    } catch (error) {
      this.#isJoined = false;
      // Whatever Redis held may be gone when it returns.
      this.#announceAll();
      const reason = errorLine(error);
      // The owner of the link says once, for pins and promotions, that it is down.
      const isTold = error instanceof RedisError && error.failure === 'down';
      if (this.#failure === undefined && !isTold) {
        onWarning('the fleet is out of sight: promotions are not followed, the last ones hold', { reason });
      }
      this.#failure = reason;
      await this.#keep();
    }
  }

  /** Returns the time by the clock of Redis, and compares the server's own with it. */
  async #askTime(): Promise<number> {
    const { board, wallClock, clock } = this.#options;
    const asked = clock.now();
    const now = await board.time();
    const halfway = (clock.now() - asked) / 2;
    this.#skewMs = Math.round(wallClock() - halfway - now);
    return now;
  }

  async #follow(now: number): Promise<void> {
    const { board, store } = this.#options;
    let holdings = store.holdings();
    const shared = await board.promotions(holdings.map(({ name }) => name));
    const views = holdings.map((one): ChannelView => ({ holdings: one, shared: shared.get(one.name)! }));
    const hasMoved = await this.#move(views);
    await this.#offer(views);
    if (hasMoved) holdings = store.holdings();
    await this.#announce(holdings, shared, now);
  }

  /** Follows the promotions whose version is staged. @returns whether a channel has moved. */
  async #move(views: readonly ChannelView[]): Promise<boolean> {
    const { store, fetch, onInfo, onWarning } = this.#options;
    const moves: PromotedVersion[] = [];
    for (const { holdings, shared } of views) {
      const { promotion } = shared;
      const staged = holdings.versions.find(({ manifest }) => manifest === promotion?.manifest);
      const step = promotionStep(holdings.promoted, promotion, staged !== undefined);
      if (step === 'move') moves.push({ channel: holdings.name, number: staged!.number, promotion: promotion! });
      else if (step === 'stage') fetch(holdings.name, promotion!.manifest);
      else if (step === 'conflict') this.#tellConflict(holdings.name, holdings.promoted!, promotion!);
    }
    if (moves.length === 0 || store.follow === undefined) return false;
    try {
      const moved = await store.follow(moves);
      this.#followed += moved.length;
      for (const { channel, number, promotion } of moved) {
        const { generation, manifest } = promotion;
        onInfo('the channel follows its promotion', { channel, number, generation, digest: `sha256:${manifest}` });
      }
      return moved.length > 0;
    } catch (error) {
      onWarning('a promotion cannot be followed: the channel stays', {
        channels: moves.map(({ channel }) => channel).slice(0, MAX_BEHIND_LISTED),
        reason: errorLine(error),
      });
      return false;
    }
  }

  #tellConflict(channel: string, own: PromotionRecord, shared: PromotionRecord): void {
    const key = `${channel}@${own.generation}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.#options.onWarning(
      'Redis has an older generation of the channel, promoted later: the channel stays until it is promoted again',
      { channel, generation: own.generation, redis: shared.generation },
    );
  }

  /** Gives Redis the promotions that it has lost. Another server may be faster. */
  async #offer(views: readonly ChannelView[]): Promise<void> {
    const { board } = this.#options;
    const lost = views.filter(({ holdings, shared }) => {
      return promotionStep(holdings.promoted, shared.promotion, true) === 'offer';
    });
    await Promise.all(lost.map(({ holdings, shared }) => board.promote(holdings.name, shared, holdings.promoted!)));
    // Reads what Redis has now: the promotion of this server, or one that another server has offered.
    if (lost.length > 0) this.#isAgain = true;
  }

  async #announce(
    holdings: readonly ChannelHoldings[],
    shared: ReadonlyMap<string, SharedPromotion>,
    now: number,
  ): Promise<void> {
    const { board, identity, load, follows, onWarning } = this.#options;
    const records = new Map(
      holdings.map(({ name, current, promoted, versions }): [string, ChannelRecordOfServer] => [
        name,
        { current, promoted, follow: follows(name), versions },
      ]),
    );
    const behind = [...records]
      .filter(([name, one]) => isBehind(one, shared.get(name)?.promotion))
      .map(([name]) => name);
    this.#promoted = [...records].flatMap(([channel, { promoted }]): PromotedStat[] =>
      promoted === undefined && shared.get(channel)?.promotion === undefined
        ? []
        : [{ channel, generation: promoted?.generation ?? 0, isBehind: behind.includes(channel) }],
    );
    const texts = new Map([...records].map(([name, one]): [string, string] => [name, channelText(one)]));
    const record: ServerRecord = {
      ...identity,
      channels: records.size,
      behind: behind.length,
      behindNames: behind.slice(0, MAX_BEHIND_LISTED),
      staged: holdings.reduce((sum, { versions }) => sum + versions.length, 0),
      pins: holdings.reduce((sum, { pins }) => sum + pins, 0),
      ...load(),
      skewMs: this.#skewMs,
      isNameTaken: this.#strangers > 1,
    };
    const changed = new Map([...texts].filter(([name, text]) => this.#announced.get(name) !== text));
    const gone = [...this.#announced.keys()].filter((name) => !texts.has(name));
    const { run, isWhole } = await board.announce({ isFirst: this.#isFirst, record, changed, gone }, now);
    this.#announced = texts;
    if (!isWhole && texts.size > 0) {
      this.#announceAll();
      this.#isAgain = true;
    }
    // The first answer may be of a former process of this server.
    const isStranger = !this.#isFirst && run !== undefined && run !== identity.run;
    this.#strangers = isStranger ? this.#strangers + 1 : 0;
    if (this.#strangers === 2) {
      onWarning('another server announces itself under the name of this one: expected a host name for each server', {
        name: identity.name,
      });
    }
    this.#isFirst = false;
  }

  /** Reads who is alive, and from time to time what the others need. */
  async #learn(now: number): Promise<void> {
    const { board, clock, identity } = this.#options;
    const at = clock.now();
    if (at - this.#serversAt < BEAT_MS / 2) return;
    this.#serversAt = at;
    const before = this.#servers.length;
    this.#servers = await board.servers(now);
    if (at - this.#needsAt < NEEDS_MS && this.#servers.length === before) return;
    const needed = new Set<string>();
    for (const { name } of this.#servers) {
      if (name === identity.name) continue;
      // oxlint-disable-next-line no-await-in-loop -- one server after the other keeps the load on Redis low.
      const channels = await board.channelsOf(name);
      for (const { versions } of channels.values()) {
        for (const { manifest, isNeeded } of versions) if (isNeeded) needed.add(manifest);
      }
    }
    this.#needed = needed;
    this.#needsAt = Number.NEGATIVE_INFINITY;
    await this.#keep();
    // A failover of Redis may have lost some.
    this.#announceAll();
  }

  /** Lets the next announcement include every channel. */
  #announceAll(): void {
    for (const name of this.#announced.keys()) this.#announced.set(name, '');
  }

  /** Records the needs as known last: what the others need while they are out of sight cannot be known. */
  async #keep(): Promise<void> {
    const { clock, store, onWarning } = this.#options;
    if (clock.now() - this.#needsAt < NEEDS_MS) return;
    this.#needsAt = clock.now();
    try {
      await store.keep(this.#needed);
    } catch (error) {
      onWarning('the needs of the fleet cannot be recorded in the store', { reason: errorLine(error) });
    }
  }
}
