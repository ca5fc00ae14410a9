/**
 * A Valkey or Redis server on virtual time, for simulations: strings with expiry, hashes, sets, notices, and scripts as
 * functions. Links may be slow, cut off, or lose answers; the server may be flushed, or fail over to an older state.
 */
import type { Clock } from '../../src/engine/types.ts';
import { DEADLINE_MS, type RedisCommand, type RedisLink, type RedisState } from '../../src/redis/redis-link.ts';
import { RedisError } from '../../src/redis/redis-error.ts';
import type { Random } from './random.ts';

type Value = string | Map<string, string> | Set<string>;

interface Entry {
  readonly value: Value;
  /** Virtual time, ms. */
  readonly expiresAt: number;
}

/** Does what a script does, in place of its Lua. */
export type Script = (redis: VirtualRedis, keys: readonly string[], args: readonly string[]) => unknown;

export interface VirtualRedisOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Time between a command and its answer, ms. Default 1. */
  readonly delayMs?: (random: Random) => number;
  /** By the text of the Lua script. */
  readonly scripts?: ReadonlyMap<string, Script>;
}

/** The engine's clock at the virtual time 0. */
const EPOCH_MS = 1_700_000_000_000;

const REFUSED = {
  arguments: 'ERR wrong number of arguments',
  type: 'WRONGTYPE Operation against a key holding the wrong kind of value',
};

export class VirtualRedis {
  readonly options: VirtualRedisOptions;
  readonly links = new Map<string, VirtualLink>();
  commands = 0;
  #entries = new Map<string, Entry>();

  constructor(options: VirtualRedisOptions) {
    this.options = options;
  }

  /** @param name of the server that has the link. */
  link(name: string, prefix = 'fleet'): VirtualLink {
    const link = new VirtualLink(this, prefix);
    this.links.set(name, link);
    return link;
  }

  /** Forgets everything. */
  flush(): void {
    this.#entries.clear();
  }

  /** @returns the present state, for failOver(). */
  snapshot(): ReadonlyMap<string, Entry> {
    return new Map(this.#entries);
  }

  /** Continues with an older state: writes since then are lost, although they were acknowledged. */
  failOver(snapshot: ReadonlyMap<string, Entry>): void {
    this.#entries = new Map(snapshot);
    for (const link of this.links.values()) link.reconnect();
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Runs a command at once. @throws RedisError 'refused'. */
  execute(command: RedisCommand): unknown {
    this.commands++;
    const [name, ...args] = command.map(String);
    switch (name!.toUpperCase()) {
      case 'PING':
        return 'PONG';
      case 'TIME': {
        const ms = this.options.clock.now() + EPOCH_MS;
        return [String(Math.floor(ms / 1000)), String(Math.floor((ms % 1000) * 1000))];
      }
      case 'GET':
        return this.#text(args[0]!) ?? null;
      case 'MGET':
        return args.map((key) => this.#text(key) ?? null);
      case 'SET':
        return this.#set(args);
      case 'DEL':
        return args.filter((key) => this.#entry(key) !== undefined && this.#entries.delete(key)).length;
      case 'EXISTS':
        return args.filter((key) => this.#entry(key) !== undefined).length;
      case 'PTTL':
        return this.#pttl(args[0]!);
      case 'PEXPIRE':
        return this.#expire(args[0]!, Number(args[1]));
      case 'HSET':
        return this.#hashSet(args);
      case 'HGET':
        return this.#hash(args[0]!)?.get(args[1]!) ?? null;
      case 'HMGET':
        return args.slice(1).map((field) => this.#hash(args[0]!)?.get(field) ?? null);
      case 'HGETALL':
        return [...(this.#hash(args[0]!) ?? [])].flat();
      case 'HDEL':
        return this.#hashDelete(args);
      case 'SADD':
        return this.#setAdd(args);
      case 'SREM':
        return args.slice(1).filter((member) => this.#members(args[0]!)?.delete(member)).length;
      case 'SMEMBERS':
        return [...(this.#members(args[0]!) ?? [])];
      case 'PUBLISH':
        return this.#publish(args[0]!, args[1]!);
      case 'EVAL':
        return this.#evaluate(args);
      default:
        throw new RedisError('refused', `ERR unknown command '${name}'`);
    }
  }

  #entry(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.expiresAt > this.options.clock.now()) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  #text(key: string): string | undefined {
    const value = this.#entry(key)?.value;
    if (value !== undefined && typeof value !== 'string') throw new RedisError('refused', REFUSED.type);
    return value;
  }

  #hash(key: string): Map<string, string> | undefined {
    const value = this.#entry(key)?.value;
    if (value !== undefined && !(value instanceof Map)) throw new RedisError('refused', REFUSED.type);
    return value;
  }

  #members(key: string): Set<string> | undefined {
    const value = this.#entry(key)?.value;
    if (value !== undefined && !(value instanceof Set)) throw new RedisError('refused', REFUSED.type);
    return value;
  }

  #set(args: readonly string[]): unknown {
    const [key, value, ...rest] = args;
    if (value === undefined) throw new RedisError('refused', REFUSED.arguments);
    const flags = rest.map((word) => word.toUpperCase());
    const isThere = this.#entry(key!) !== undefined;
    const px = flags.indexOf('PX');
    const answer = flags.includes('GET') ? (this.#text(key!) ?? null) : 'OK';
    const isBarred = (flags.includes('NX') && isThere) || (flags.includes('XX') && !isThere);
    if (isBarred) return flags.includes('GET') ? answer : null;
    const expiresAt = px < 0 ? Number.POSITIVE_INFINITY : this.options.clock.now() + Number(rest[px + 1]);
    this.#entries.set(key!, { value, expiresAt });
    return answer;
  }

  #pttl(key: string): number {
    const entry = this.#entry(key);
    if (entry === undefined) return -2;
    return entry.expiresAt === Number.POSITIVE_INFINITY ? -1 : entry.expiresAt - this.options.clock.now();
  }

  #expire(key: string, ms: number): number {
    const entry = this.#entry(key);
    if (entry === undefined) return 0;
    this.#entries.set(key, { ...entry, expiresAt: this.options.clock.now() + ms });
    return 1;
  }

  #hashDelete([key, ...fields]: readonly string[]): number {
    const before = this.#hash(key!);
    if (before === undefined) return 0;
    // A copy: a snapshot keeps what it has.
    const after = new Map(before);
    const gone = fields.filter((field) => after.delete(field)).length;
    this.#entries.set(key!, { value: after, expiresAt: this.#entry(key!)!.expiresAt });
    return gone;
  }

  #hashSet([key, ...pairs]: readonly string[]): number {
    const before = this.#hash(key!);
    const after = new Map(before);
    for (let at = 0; at + 1 < pairs.length; at += 2) after.set(pairs[at]!, pairs[at + 1]!);
    const expiresAt = this.#entry(key!)?.expiresAt ?? Number.POSITIVE_INFINITY;
    this.#entries.set(key!, { value: after, expiresAt });
    return after.size - (before?.size ?? 0);
  }

  #setAdd([key, ...members]: readonly string[]): number {
    const before = this.#members(key!);
    const after = new Set([...(before ?? []), ...members]);
    const expiresAt = this.#entry(key!)?.expiresAt ?? Number.POSITIVE_INFINITY;
    this.#entries.set(key!, { value: after, expiresAt });
    return after.size - (before?.size ?? 0);
  }

  #publish(channel: string, text: string): number {
    let heard = 0;
    for (const link of this.links.values()) if (link.hear(channel, text)) heard++;
    return heard;
  }

  #evaluate([text, count, ...rest]: readonly string[]): unknown {
    const script = this.options.scripts?.get(text!);
    if (script === undefined) throw new RedisError('refused', 'ERR this script has no twin on virtual time');
    return script(this, rest.slice(0, Number(count)), rest.slice(Number(count)));
  }
}

export class VirtualLink implements RedisLink {
  readonly #redis: VirtualRedis;
  readonly #prefix: string;
  readonly #topics = new Map<string, (text: string) => void>();
  readonly #listeners: ((state: RedisState) => void)[] = [];
  #state: RedisState = 'up';
  /** True: commands never arrive. The link goes down at the first deadline, and up again after `mend()`. */
  isCut = false;
  /** Share of commands that arrive while their answers are lost. */
  lostAnswers = 0;
  trouble: string | undefined;

  constructor(redis: VirtualRedis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  get state(): RedisState {
    return this.#state;
  }

  /** Cuts the link; it notices at its first deadline. */
  cut(): void {
    this.isCut = true;
  }

  /** The connection breaks, and another one is made. */
  reconnect(): void {
    if (this.isCut || this.#state === 'down') return;
    this.#change('down');
    this.#change('up');
  }

  mend(): void {
    this.isCut = false;
    this.#change('up');
  }

  key(...parts: string[]): string {
    return [this.#prefix, ...parts].join(':');
  }

  onState(listener: (state: RedisState) => void): void {
    this.#listeners.push(listener);
  }

  async run(command: RedisCommand, deadlineMs?: number): Promise<unknown> {
    const [answer] = await this.batch([command], deadlineMs);
    if (answer instanceof RedisError) throw answer;
    return answer;
  }

  batch(commands: readonly RedisCommand[], deadlineMs: number = DEADLINE_MS): Promise<readonly unknown[]> {
    if (this.#state === 'down') return Promise.reject(new RedisError('down', 'the link is down'));
    const { clock, random, delayMs = () => 1 } = this.#redis.options;
    const sentAt = clock.now();
    const wholeMs = delayMs(random);
    const isLost = random.chance(this.lostAnswers);
    return new Promise((resolve, reject) => {
      const cancel = clock.wake(sentAt + deadlineMs, () => {
        this.#change('down');
        reject(new RedisError('deadline', `no answer within ${deadlineMs} ms`));
      });
      clock.wake(sentAt + wholeMs / 2, () => {
        if (this.isCut) return;
        const answers = commands.map((command) => this.#execute(command));
        if (isLost) return;
        clock.wake(sentAt + wholeMs, () => {
          if (this.isCut) return;
          cancel();
          resolve(answers);
        });
      });
    });
  }

  subscribe(topic: string, onNotice: (text: string) => void): Promise<void> {
    this.#topics.set(this.key(topic), onNotice);
    return Promise.resolve();
  }

  /** Delivers a notice, unless the link is cut. @returns whether somebody listens. */
  hear(channel: string, text: string): boolean {
    const onNotice = this.#topics.get(channel);
    if (onNotice === undefined || this.isCut || this.#state === 'down') return false;
    const { clock, random, delayMs = () => 1 } = this.#redis.options;
    clock.wake(clock.now() + delayMs(random) / 2, () => {
      if (!this.isCut) onNotice(text);
    });
    return true;
  }

  close(): Promise<void> {
    this.#topics.clear();
    return Promise.resolve();
  }

  #execute(command: RedisCommand): unknown {
    try {
      return this.#redis.execute(command);
    } catch (error) {
      if (error instanceof RedisError) return error;
      throw error;
    }
  }

  #change(state: RedisState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.trouble = state === 'down' ? 'cut off' : undefined;
    for (const listener of this.#listeners) listener(state);
  }
}
