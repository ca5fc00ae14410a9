/**
 * Plans a promotion from what the live servers announce: which version, which generation, and who lacks it. Pure.
 * Refusals are errors of one line.
 */
import type { ChannelRecordOfServer, ServerRecord } from './announcement.ts';
import type { PromotionRecord } from './promotion.ts';

/** Servers and digests that a message lists. */
const MAX_LISTED = 5;
/** Shortest prefix of a digest that names a version. */
const DIGEST = /^(?:sha256:)?([0-9a-f]{7,64})$/;
const NUMBER = /^[1-9][0-9]{0,9}$/;

/** A promotion that can't be made, or a question about a fleet that has no answer: one line. */
export class FleetError extends Error {
  override readonly name = 'FleetError';
  /** True when the command line or the config is wrong; false when servers or Redis are at fault. */
  readonly isMistake: boolean;

  constructor(message: string, isMistake = true) {
    super(message);
    this.isMistake = isMistake;
  }
}

/** A live server with its record of the channel. */
export interface ServerChannel {
  readonly server: ServerRecord;
  /** undefined: the server does not have the channel. */
  readonly channel: ChannelRecordOfServer | undefined;
}

export interface PromotionWish {
  readonly channel: string;
  /** Version as a digest, the first digits of one, a number or `CHANNEL-NUMBER`; undefined: the one that was staged last. */
  readonly version: string | undefined;
  /** True to promote although servers lack the version. */
  readonly isForced: boolean;
  /** Prefix of the keys in Redis, for messages. */
  readonly prefix: string;
}

export interface PromotionPlan {
  readonly promotion: PromotionRecord;
  /** Names of the live servers that lack the version. */
  readonly lacking: readonly string[];
}

export function listed(names: readonly string[]): string {
  const more = names.length - MAX_LISTED;
  return `${names.slice(0, MAX_LISTED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function mistake(channel: string, problem: string): FleetError {
  return new FleetError(`channel "${channel}": ${problem}`);
}

/** Finds the version by its number: the servers that have a version of this number must mean the same. */
function byNumber(number: number, servers: readonly ServerChannel[], channel: string): string {
  const meanings = new Map<string, string[]>();
  for (const { server, channel: one } of servers) {
    const manifest = one?.versions.find((version) => version.number === number)?.manifest;
    if (manifest !== undefined) meanings.set(manifest, [...(meanings.get(manifest) ?? []), server.name]);
  }
  const [first, ...others] = meanings;
  if (first === undefined) throw mistake(channel, `version ${number}: expected a version that a live server has`);
  if (others.length === 0) return first[0];
  const each = [...meanings].map(([manifest, names]) => `sha256:${manifest.slice(0, 12)} on ${listed(names)}`);
  throw mistake(channel, `version ${number} differs between servers (${listed(each)}): expected a digest`);
}

function byDigest(prefix: string, servers: readonly ServerChannel[], channel: string): string {
  const held = servers.flatMap(({ channel: one }) => one?.versions ?? []).map(({ manifest }) => manifest);
  const found = [...new Set(held)].filter((manifest) => manifest.startsWith(prefix));
  if (found.length === 1) return found[0]!;
  const problem = found.length === 0 ? 'a version that a live server has' : 'more digits: several versions begin so';
  throw mistake(channel, `version sha256:${prefix}: expected ${problem}`);
}

/** Finds the version that the followed tag named last, on all servers. */
function byTag(servers: readonly ServerChannel[], channel: string): string {
  const named = new Map<string, string[]>();
  for (const { server, channel: one } of servers) {
    const wanted = one?.follow?.wanted;
    if (wanted !== undefined) named.set(wanted, [...(named.get(wanted) ?? []), server.name]);
  }
  const [first, ...others] = named;
  if (first === undefined)
    throw mistake(channel, 'expected a version, because no live server follows a registry for it');
  if (others.length === 0) return first[0];
  const each = [...named].map(([manifest, names]) => `sha256:${manifest.slice(0, 12)} on ${listed(names)}`);
  throw new FleetError(
    `channel "${channel}": the servers have not seen the same tag yet (${listed(each)}): name the version, or try again`,
    false,
  );
}

function manifestOf({ channel, version }: PromotionWish, servers: readonly ServerChannel[]): string {
  if (version === undefined) return byTag(servers, channel);
  const text = version.startsWith(`${channel}-`) ? version.slice(channel.length + 1) : version;
  if (NUMBER.test(text)) return byNumber(Number(text), servers, channel);
  const prefix = DIGEST.exec(text.toLowerCase())?.[1];
  if (prefix !== undefined) return byDigest(prefix, servers, channel);
  throw mistake(channel, `expected a version such as 7, ${channel}-7 or sha256:3f29c1d0, got "${version}"`);
}

/** Servers of another fleet, or with another config, would follow as well: their promotions would be the same key. */
function checkFleet({ channel, prefix }: PromotionWish, servers: readonly ServerChannel[]): void {
  const taken = servers.filter(({ server }) => server.isNameTaken).map(({ server }) => server.name);
  if (taken.length > 0) {
    throw new FleetError(`${listed(taken)}: two servers have this name: expected a host name for each server`);
  }
  const sources = new Map<string, string[]>();
  for (const { server, channel: one } of servers) {
    const from = one?.follow?.from;
    if (from !== undefined) sources.set(from, [...(sources.get(from) ?? []), server.name]);
  }
  if (sources.size > 1) {
    const each = [...sources].map(([from, names]) => `${from} on ${listed(names)}`);
    throw mistake(
      channel,
      `follows different tags (${listed(each)}): expected one tag, or another pinsPrefix than "${prefix}" for each fleet`,
    );
  }
  const alone = servers
    .filter(({ channel: one }) => one?.follow?.isPromoted === false)
    .map(({ server }) => server.name);
  if (alone.length > 0) {
    throw mistake(channel, `moves with its tag on ${listed(alone)}: expected "move: promoted" in the setting follow`);
  }
}

/**
 * @param servers all live servers.
 * @param shared promotion in Redis.
 * @param now time by the clock of Redis, in milliseconds since the epoch.
 * @throws FleetError when it can't be promoted, or a server lacks it and it is not forced.
 */
export function planPromotion(
  wish: PromotionWish,
  servers: readonly ServerChannel[],
  shared: PromotionRecord | undefined,
  now: number,
): PromotionPlan {
  const { channel, isForced, prefix } = wish;
  if (servers.length === 0) {
    throw new FleetError(
      `no live server announces itself under "${prefix}": expected servers with the setting pins`,
      false,
    );
  }
  const without = servers.filter(({ channel: one }) => one === undefined).map(({ server }) => server.name);
  if (without.length === servers.length) throw mistake(channel, 'expected a channel that a live server has');
  if (!isForced) checkFleet(wish, servers);
  const manifest = manifestOf(wish, servers);
  if (wish.version === undefined && !isForced && manifest === shared?.manifest) {
    throw new FleetError(
      `channel "${channel}": sha256:${manifest.slice(0, 12)}, which the tag names, is promoted already: name a version to promote it again`,
      false,
    );
  }
  const lacking = servers
    .filter(({ channel: one }) => one?.versions.some((version) => version.manifest === manifest) !== true)
    .map(({ server }) => server.name);
  if (lacking.length > 0 && !isForced) {
    const hint =
      without.length === 0 ? '' : ` (${listed(without)} without the channel: another fleet under "${prefix}"?)`;
    throw new FleetError(
      `channel "${channel}": sha256:${manifest.slice(0, 12)} is not staged on ${listed(lacking)}${hint}: wait, or use --force`,
      false,
    );
  }
  // Servers know promotions that Redis has lost in a failover.
  const known = servers.map(({ channel: one }) => one?.promoted);
  const generations = [shared, ...known].map((one) => one?.generation ?? 0);
  const times = [shared, ...known].map((one) => one?.at ?? 0);
  return {
    // A clock of Redis that was set back must not make the promotion older than the one before it.
    promotion: { generation: Math.max(...generations) + 1, at: Math.max(now, ...times), manifest },
    lacking,
  };
}
