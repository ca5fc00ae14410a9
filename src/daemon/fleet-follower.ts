/**
 * Keeps the channels of a store at the tags that they follow in registries, and fetches versions that nodes ask for by
 * digest. Downloads run as commands in other processes. Knows answers and names; no bytes.
 */
import type { VerbEnd } from '../admin/api.ts';
import type { Store } from '../boot-set/index.ts';
import type { FollowConfig } from '../config/follow-list.ts';
import { errorLine } from '../text/error-text.ts';
import type { FollowedStats } from '../telemetry/fleet-metrics.ts';
import { FollowedChannel } from './followed-channel.ts';
import { LackingDigests, SILENT_MS } from './lacking-digests.ts';

/** @limit Versions that a server fetches at once because nodes ask for them. Shows: requests stay unanswered. */
const MAX_FETCHES = 2;
/** @limit Failed fetches that are remembered for a minute, so that they are not repeated at once. */
const MAX_FAILED = 256;
/**
 * The digits that configs of a fleet name, or more. Shorter prefixes are for people: anybody could try them until the
 * server fetches something.
 */
const DIGEST = /^@(?:sha256-)?([0-9a-f]{32,64})(?:\/|$)/i;

type Told = (message: string, detail: Readonly<Record<string, unknown>>) => void;

export interface FleetFollowerOptions {
  readonly follow: readonly FollowConfig[];
  readonly authFile: string | undefined;
  readonly caFile: string | undefined;
  readonly channels: Pick<Store['tables']['channels'], 'get'>;
  /** Runs a command on the store. Never rejects. */
  readonly run: (verb: string, args: readonly string[], signal?: AbortSignal) => Promise<VerbEnd>;
  /** Called when a version has arrived. */
  readonly onArrived: () => void;
  readonly onInfo: Told;
  readonly onWarning: Told;
  /** Clock in milliseconds, with an arbitrary origin. */
  readonly now?: () => number;
}

export interface Followed extends Pick<FollowConfig, 'from' | 'isPromoted'> {
  readonly wanted: string | undefined;
}

export class FleetFollower {
  readonly #options: FleetFollowerOptions;
  readonly #now: () => number;
  readonly #followed: FollowedChannel[] = [];
  readonly #timers = new Map<FollowedChannel, NodeJS.Timeout>();
  readonly #lacking = new LackingDigests();
  /** Names of the versions being fetched: channel, `@` and digest. */
  readonly #fetching = new Set<string>();
  /** Times of fetches that failed, by the same names. */
  readonly #failedAt = new Map<string, number>();
  readonly #stopping = new AbortController();
  #fetched = 0;
  #fetchFailures = 0;

  constructor(options: FleetFollowerOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Starts following. @throws StoreError when a file that the settings name can't be read. */
  async start(): Promise<void> {
    const { follow, authFile, caFile } = this.#options;
    const { Registry } = await import('../registry/registry.ts');
    const { parseReference } = await import('../registry/reference.ts');
    for (const config of follow) {
      const reference = parseReference(config.from);
      const registry = new Registry(reference, { authFile, caFile }, this.#stopping.signal);
      const channel = new FollowedChannel(config, reference, registry);
      this.#followed.push(channel);
      void this.#turn(channel);
    }
  }

  /** See BootSetsOptions. Asks no registry: whoever may send requests could make it work. */
  awaits(path: string): boolean {
    const channel = this.#followed.find(({ config }) => path.startsWith(config.channel) && isPart(path, config));
    if (channel === undefined) return false;
    const name = channel.config.channel;
    const rest = path.slice(name.length);
    const prefix = DIGEST.exec(rest)?.[1]?.toLowerCase();
    if (prefix === undefined) {
      if (rest.startsWith('@')) return false;
      // The channel's first version: on its way, or unknown for so long.
      return this.#isPulling(channel) || this.#lacking.isSilent(name, this.#now());
    }
    const digest = channel.listed(prefix);
    if (digest === undefined) return this.#lacking.isSilent(`${name}@${prefix}`, this.#now());
    if (digest !== channel.wanted || !this.#isPulling(channel)) this.#fetch(channel, digest);
    return this.#fetching.has(`${name}@${digest}`) || this.#lacking.isSilent(`${name}@${digest}`, this.#now());
  }

  /** Fetches a promoted version that the store lacks, if the followed repository lists it. */
  fetch(channel: string, digest: string): void {
    const followed = this.#followed.find(({ config }) => config.channel === channel);
    if (followed?.listed(digest) === digest) this.#fetch(followed, digest);
  }

  /** Returns the tag that a channel follows, and the digest that it named last; undefined: it follows none. */
  follows(channel: string): Followed | undefined {
    const followed = this.#followed.find(({ config }) => config.channel === channel);
    if (followed === undefined) return undefined;
    const { from, isPromoted } = followed.config;
    return { from, wanted: followed.wanted ?? this.#followedBy(channel), isPromoted };
  }

  stats(): FollowedStats {
    return {
      fetched: this.#fetched,
      fetchFailures: this.#fetchFailures,
      channels: this.#followed.map(({ config, wanted, failure, pullFailure, answeredAt }) => ({
        channel: config.channel,
        from: config.from,
        wanted,
        followed: this.#followedBy(config.channel),
        isBehind: wanted !== undefined && wanted !== this.#followedBy(config.channel),
        failure: failure ?? pullFailure,
        answeredAgoMs: answeredAt === undefined ? undefined : this.#now() - answeredAt,
      })),
    };
  }

  /** Stops asking. Running downloads are the runner's to end. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the server is stopping'));
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await Promise.all(this.#followed.map((channel) => channel.close()));
  }

  /** Asks for a tag, pulls what it names, and schedules the next turn. */
  async #turn(channel: FollowedChannel): Promise<void> {
    const { everyMs } = channel.config;
    await this.#ask(channel);
    // Asks on while a version is downloaded: the tag may have been moved because that version is the wrong one.
    void this.#pull(channel);
    if (this.#stopping.signal.aborted) return;
    // Servers that started together must not ask together for ever.
    const waitMs = everyMs * (0.9 + 0.2 * Math.random());
    this.#timers.set(channel, setTimeout(() => void this.#turn(channel), waitMs).unref());
  }

  async #ask(channel: FollowedChannel): Promise<void> {
    const { onWarning, onInfo } = this.#options;
    const { channel: name, from } = channel.config;
    try {
      await channel.ask();
      if (channel.failure !== undefined) onInfo('the followed registry answers again', { channel: name, from });
      channel.failure = undefined;
      channel.answeredAt = this.#now();
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      const reason = errorLine(error);
      if (isNews(reason, channel.failure)) {
        onWarning('a followed registry cannot be asked', { channel: name, from, reason });
      }
      channel.failure = reason;
    }
  }

  /**
   * Stages the version that the tag names, and moves the channel to it once it is whole, unless promotions move it. Does
   * neither again if people have moved the channel since.
   */
  async #pull(channel: FollowedChannel): Promise<void> {
    const { onInfo, onWarning } = this.#options;
    const { wanted, config, pulling } = channel;
    // The store may be closed when the server is stopping.
    if (this.#stopping.signal.aborted || wanted === undefined) return;
    if (pulling !== undefined) {
      // Not twice in a row: a tag that moves faster than versions arrive must not keep the channel where it is for ever.
      if (pulling.digest !== wanted && !channel.hasGivenUp) pulling.end.abort();
      return;
    }
    if (wanted === this.#followedBy(config.channel)) return;
    const stop = new AbortController();
    channel.pulling = { digest: wanted, end: stop };
    const flags = ['--follow', ...(config.isPromoted ? ['--stage'] : [])];
    const end = await this.#run(channel, wanted, flags, stop.signal);
    channel.pulling = undefined;
    if (this.#stopping.signal.aborted) return;
    channel.hasGivenUp = stop.signal.aborted && end.code !== 0;
    if (channel.hasGivenUp) {
      await this.#pull(channel);
      return;
    }
    if (end.code === 0) {
      channel.pullFailure = undefined;
      this.#options.onArrived();
      onInfo(config.isPromoted ? 'a version is staged' : 'the channel follows the registry', {
        channel: config.channel,
        digest: `sha256:${wanted}`,
      });
      return;
    }
    if (isNews(end.stderr, channel.pullFailure)) {
      onWarning('a version cannot be pulled: the channel stays', { channel: config.channel, reason: end.stderr });
    }
    channel.pullFailure = end.stderr;
  }

  /** Fetches a version that a node asks for, unless enough fetches are running, or this one has failed of late. */
  #fetch(channel: FollowedChannel, digest: string): void {
    const { onInfo, onWarning } = this.#options;
    const { channel: name } = channel.config;
    const key = `${name}@${digest}`;
    if (this.#fetching.has(key) || this.#fetching.size >= MAX_FETCHES || this.#stopping.signal.aborted) return;
    if (this.#now() - (this.#failedAt.get(key) ?? Number.NEGATIVE_INFINITY) < SILENT_MS) return;
    this.#fetching.add(key);
    void this.#run(channel, digest, ['--stage']).then((end) => {
      this.#fetching.delete(key);
      this.#failedAt.delete(key);
      if (end.code === 0) {
        this.#fetched++;
        this.#options.onArrived();
        onInfo('a version that a node asked for was fetched', { channel: name, digest: `sha256:${digest}` });
      } else {
        this.#fetchFailures++;
        if (this.#failedAt.size >= MAX_FAILED) this.#failedAt.delete(this.#failedAt.keys().next().value!);
        this.#failedAt.set(key, this.#now());
        onWarning('a version that a node asks for cannot be fetched', { channel: name, reason: end.stderr });
      }
    });
  }

  async #run(
    { config, reference }: FollowedChannel,
    digest: string,
    flags: readonly string[],
    signal?: AbortSignal,
  ): Promise<VerbEnd> {
    const { authFile, caFile, run } = this.#options;
    const { withTarget } = await import('../registry/reference.ts');
    const args = [
      ...flags,
      ...(authFile === undefined ? [] : [`--registry-auth-file=${authFile}`]),
      ...(caFile === undefined ? [] : [`--registry-ca-file=${caFile}`]),
      withTarget(reference, `sha256:${digest}`).text,
      config.channel,
    ];
    return await run('pull', args, signal);
  }

  #followedBy(channel: string): string | undefined {
    return this.#options.channels.get(channel)?.followed;
  }

  /** Returns true while the version that the tag names is on its way. */
  #isPulling({ wanted, pullFailure, config }: FollowedChannel): boolean {
    return wanted !== undefined && pullFailure === undefined && wanted !== this.#followedBy(config.channel);
  }
}

/** Returns true when a failure has another reason than the one before: figures in it may change each time. */
function isNews(reason: string, before: string | undefined): boolean {
  const kindOf = (text = ''): string => text.replace(/[0-9]+/g, '');
  return before === undefined || kindOf(reason) !== kindOf(before);
}

/** Returns true when the name continues the channel's as a file in it, or as one of its versions. */
function isPart(path: string, { channel }: FollowConfig): boolean {
  return path[channel.length] === '/' || path[channel.length] === '@';
}
