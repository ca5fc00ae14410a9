/**
 * The records of a fleet in Redis: who is alive, who holds which versions, and the promotion of each channel. Knows keys
 * and commands; decides nothing.
 */
import type { RedisLink } from '../redis/redis-link.ts';
import {
  type ChannelRecordOfServer,
  parseChannel,
  parseServer,
  type ServerRecord,
  serverText,
} from './announcement.ts';
import { parsePromotion, type PromotionRecord, promotionText } from './promotion.ts';

/** Time for which a heartbeat holds. */
export const HEARTBEAT_HOLDS_MS = 15_000;
/** Time after which the name of a silent server is forgotten. */
const FORGOTTEN_MS = 3_600_000;
/** @limit Servers of a fleet that are read. Shows: `reveille servers` lists no more. */
const MAX_SERVERS = 1000;
/** Topic of notices; the text of a notice is the channel that has moved. */
const TOPIC = 'promotions';

/**
 * Writes a promotion unless it has changed since it was read. A script, because no single command of Redis 7.0 compares
 * a field of a hash. KEYS: the hash. ARGV: channel, text read (empty: none), new text.
 */
export const COMPARE_AND_SET = `local now = redis.call('HGET', KEYS[1], ARGV[1])
if (now or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`;

/** The promotion of a channel as read from Redis. */
export interface SharedPromotion {
  /** Text for a comparison; empty when there is none. */
  readonly text: string;
  /** undefined when there is none, or its text is not one. */
  readonly promotion: PromotionRecord | undefined;
}

const NO_PROMOTION: SharedPromotion = { text: '', promotion: undefined };

export interface Announced {
  /** True when no announcement of this process precedes: former ones under the name are removed. */
  readonly isFirst: boolean;
  readonly record: ServerRecord;
  /** Texts of channels that are new or have changed, and the names of channels that are gone. */
  readonly changed: ReadonlyMap<string, string>;
  readonly gone: readonly string[];
}

type Command = readonly (string | number)[];

function textsOf(reply: unknown): string[] {
  return Array.isArray(reply) ? reply.filter((one) => typeof one === 'string') : [];
}

/** Reads the reply of HGETALL: names and values in turn. */
function pairsOf(reply: unknown): [string, string][] {
  const flat = textsOf(reply);
  return flat.flatMap((name, at): [string, string][] => (at % 2 === 0 ? [[name, flat[at + 1] ?? '']] : []));
}

export class FleetBoard {
  readonly #link: RedisLink;
  readonly #deadlineMs: number | undefined;

  /** @param deadlineMs longest wait for a reply. Default: the link's own. */
  constructor(link: RedisLink, deadlineMs?: number) {
    this.#link = link;
    this.#deadlineMs = deadlineMs;
  }

  /** Returns the time by the clock of Redis, in milliseconds since the epoch. @throws RedisError */
  async time(): Promise<number> {
    const reply = await this.#link.run(['TIME'], this.#deadlineMs);
    const [seconds, micros] = Array.isArray(reply) ? reply.map(Number) : [];
    const at = (seconds ?? Number.NaN) * 1000 + Math.floor((micros ?? Number.NaN) / 1000);
    return Number.isSafeInteger(at) ? at : 0;
  }

  /** Reads the promotions of these channels. @throws RedisError */
  async promotions(channels: readonly string[]): Promise<ReadonlyMap<string, SharedPromotion>> {
    if (channels.length === 0) return new Map();
    const reply = await this.#link.run(['HMGET', this.#link.key('promotions'), ...channels], this.#deadlineMs);
    const texts = Array.isArray(reply) ? (reply as unknown[]) : [];
    return new Map(
      channels.map((channel, at): [string, SharedPromotion] => {
        const text = texts[at];
        return [channel, typeof text === 'string' ? { text, promotion: parsePromotion(text) } : NO_PROMOTION];
      }),
    );
  }

  /** Writes a promotion if that of the channel is still as read. @returns false when it is not. @throws RedisError */
  async promote(channel: string, { text }: SharedPromotion, promotion: PromotionRecord): Promise<boolean> {
    const args = [channel, text, promotionText(promotion)];
    const key = this.#link.key('promotions');
    return (await this.#link.run(['EVAL', COMPARE_AND_SET, 1, key, ...args], this.#deadlineMs)) === 1;
  }

  /** Tells the servers that a channel has been promoted. @throws RedisError */
  async notify(channel: string): Promise<void> {
    await this.#link.run(['PUBLISH', this.#link.key(TOPIC), channel], this.#deadlineMs);
  }

  /** Calls back when Redis is reached again. */
  onReturn(listen: () => void): void {
    this.#link.onState((state) => {
      if (state === 'up') listen();
    });
  }

  /** Calls back when a channel may have been promoted. Notices may be lost, forged and repeated. */
  async onNotice(listen: () => void): Promise<void> {
    await this.#link.subscribe(TOPIC, listen);
  }

  /**
   * Announces a server.
   *
   * @param now time by the clock of Redis.
   * @returns the run that the former announcement under this name was of, and whether Redis still has the channels.
   * @throws RedisError
   */
  async announce(
    { isFirst, record, changed, gone }: Announced,
    now: number,
  ): Promise<Readonly<{ run: string | undefined; isWhole: boolean }>> {
    const { name } = record;
    const [heartbeat, held] = [this.#link.key('server', name), this.#link.key('held', name)];
    const replies = await this.#batch([
      ...(isFirst ? [['DEL', held]] : []),
      ...(changed.size === 0 ? [] : [['HSET', held, ...[...changed].flat()]]),
      ...(gone.length === 0 ? [] : [['HDEL', held, ...gone]]),
      ['HSET', this.#link.key('servers'), name, Math.round(now)],
      ['SET', heartbeat, serverText(record), 'PX', HEARTBEAT_HOLDS_MS, 'GET'],
      ['PEXPIRE', held, HEARTBEAT_HOLDS_MS],
    ]);
    const [former, isThere] = replies.slice(-2);
    return { run: parseServer(former, name)?.run, isWhole: isThere === 1 };
  }

  /** Takes an announcement back: the server is stopping. @throws RedisError */
  async withdraw(name: string): Promise<void> {
    await this.#batch([
      ['DEL', this.#link.key('server', name), this.#link.key('held', name)],
      ['HDEL', this.#link.key('servers'), name],
    ]);
  }

  /** Returns the live servers, by name, and forgets those silent for an hour. @throws RedisError */
  async servers(now: number): Promise<readonly ServerRecord[]> {
    const key = this.#link.key('servers');
    const known = pairsOf(await this.#link.run(['HGETALL', key], this.#deadlineMs)).slice(0, MAX_SERVERS);
    if (known.length === 0) return [];
    const old = known.filter(([, seenAt]) => !(now - Number(seenAt) < FORGOTTEN_MS)).map(([name]) => name);
    const names = known.map(([name]) => name).toSorted();
    const replies = await this.#batch([
      ['MGET', ...names.map((name) => this.#link.key('server', name))],
      ...(old.length === 0 ? [] : [['HDEL', key, ...old]]),
    ]);
    const texts = Array.isArray(replies[0]) ? (replies[0] as unknown[]) : [];
    return names.flatMap((name, at) => parseServer(texts[at], name) ?? []);
  }

  /** Returns what a server announces about each of its channels. @throws RedisError */
  async channelsOf(name: string): Promise<ReadonlyMap<string, ChannelRecordOfServer>> {
    const pairs = pairsOf(await this.#link.run(['HGETALL', this.#link.key('held', name)], this.#deadlineMs));
    const channels = new Map<string, ChannelRecordOfServer>();
    for (const [channel, text] of pairs) {
      const record = parseChannel(text);
      if (record !== undefined) channels.set(channel, record);
    }
    return channels;
  }

  /** Returns what each of these servers announces about one channel. @throws RedisError */
  async channelOn(names: readonly string[], channel: string): Promise<readonly (ChannelRecordOfServer | undefined)[]> {
    if (names.length === 0) return [];
    const replies = await this.#batch(names.map((name) => ['HGET', this.#link.key('held', name), channel]));
    return replies.map(parseChannel);
  }

  /** @throws RedisError, also when one of the commands was refused. */
  async #batch(commands: readonly Command[]): Promise<readonly unknown[]> {
    const replies = await this.#link.batch(commands, this.#deadlineMs);
    const refused = replies.find((reply) => reply instanceof Error);
    if (refused !== undefined) throw refused;
    return replies;
  }
}
