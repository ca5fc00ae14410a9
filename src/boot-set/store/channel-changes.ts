/**
 * Changes that people make to channels, versions and nodes. Each runs in a write transaction and throws before it has
 * written anything. Knows tables; no files and no clock.
 */
import { parseVersionName } from './channel-name.ts';
import {
  type ChannelRecord,
  type ChannelSettings,
  pinKey,
  type PromotionRecord,
  type RolloutRecord,
  type VersionRecord,
  versionName,
} from './records.ts';
import type { Tables } from './state.ts';
import { quote, StoreError } from './store-error.ts';

/**
 * Cap on the former versions whose order a channel remembers; a setting says how many of them are kept.
 * @limit Former versions of a channel whose order is remembered. Shows: nothing: older versions are collected.
 */
export const MAX_PREVIOUS = 100;

export interface Move {
  readonly channel: string;
  readonly from: number | undefined;
  readonly to: number;
}

export function channelOf(tables: Tables, name: string): ChannelRecord {
  const channel = tables.channels.get(name);
  if (channel === undefined)
    throw new StoreError(`channel ${quote(name)}: expected an existing channel, found none of that name`);
  return channel;
}

/** Finds a version by its name, such as `install-3`, or by its number alone within `channel`. */
export function versionOf(tables: Tables, name: string, channel?: string): VersionRecord {
  const known = channel !== undefined && /^[1-9][0-9]{0,9}$/.test(name) ? versionName(channel, Number(name)) : name;
  const version = parseVersionName(known) === undefined ? undefined : tables.versions.get(known);
  if (version === undefined)
    throw new StoreError(`version ${quote(name)}: expected an existing version, found none of that name`);
  if (channel !== undefined && version.channel !== channel) {
    throw new StoreError(`version ${quote(name)}: expected a version of channel ${quote(channel)}`);
  }
  return version;
}

/** Returns the channel with another current version. A rollout of that version ends. */
export function withCurrent(channel: ChannelRecord, number: number): ChannelRecord {
  const { rollout, ...rest } = channel;
  const before = channel.current === undefined || channel.current === number ? [] : [channel.current];
  const older = channel.previous.filter((one) => one !== number && one !== channel.current);
  return {
    ...rest,
    current: number,
    previous: [...before, ...older].slice(0, MAX_PREVIOUS),
    ...(rollout === undefined || rollout.candidate === number ? {} : { rollout }),
  };
}

/** Moves the channel back to its former version, or to the version named. Two rollbacks without a name cancel out. */
export function rollback(tables: Tables, name: string, to?: string): Move {
  const channel = channelOf(tables, name);
  const number =
    to === undefined
      ? channel.previous.find((one) => tables.versions.get(versionName(name, one)) !== undefined)
      : versionOf(tables, to, name).number;
  if (number === undefined)
    throw new StoreError(`channel ${quote(name)}: there is no previous version to roll back to`);
  tables.channels.put(name, withCurrent(channel, number));
  return { channel: name, from: channel.current, to: number };
}

/** A promotion, and the number that its version has in this store. */
export interface PromotedVersion {
  readonly channel: string;
  readonly number: number;
  readonly promotion: PromotionRecord;
}

/**
 * Makes promoted versions current. A version that is gone leaves its channel as it is.
 *
 * @param supersedes returns true when the first promotion supersedes the second.
 * @returns the channels that have followed.
 */
export function followPromotions(
  tables: Tables,
  promoted: readonly PromotedVersion[],
  supersedes: (one: PromotionRecord, other: PromotionRecord | undefined) => boolean,
): readonly PromotedVersion[] {
  return promoted.filter(({ channel: name, number, promotion }) => {
    const channel = tables.channels.get(name);
    const version = tables.versions.get(versionName(name, number));
    if (channel === undefined || version?.manifest !== promotion.manifest) return false;
    if (!supersedes(promotion, channel.promoted)) return false;
    tables.channels.put(name, { ...withCurrent(channel, number), promoted: promotion });
    return true;
  });
}

/** Removes every reason to keep the channel's versions, except boots in progress. */
export function removeChannel(tables: Tables, name: string): readonly VersionRecord[] {
  const { rollout: _, ...channel } = channelOf(tables, name);
  tables.channels.put(name, { ...channel, current: undefined, previous: [] });
  for (const [key, override] of tables.overrides.entries()) {
    if (override.channel === name) tables.overrides.remove(key);
  }
  const versions = tables.versions.entries().filter(([, version]) => version.channel === name);
  for (const [key, version] of versions) if (version.keep) tables.versions.put(key, { ...version, keep: false });
  return versions.map(([, version]) => version);
}

/** Removes every reason to keep one version, except boots in progress. Rejects a version that nodes are sent to. */
export function removeVersion(tables: Tables, name: string): VersionRecord {
  const version = versionOf(tables, name);
  const channel = tables.channels.get(version.channel);
  const because = (why: string): StoreError => new StoreError(`version ${quote(name)}: cannot be removed: ${why}`);
  if (channel?.current === version.number) throw because('it is current: publish or roll back first');
  if (channel?.rollout?.candidate === version.number) throw because('it is being rolled out: abort the rollout first');
  const pinned = tables.overrides
    .entries()
    .find(([, override]) => override.channel === version.channel && override.version === version.number);
  if (pinned !== undefined) throw because(`node ${quote(pinned[1].node)} is pinned to it`);
  if (channel !== undefined) {
    const previous = channel.previous.filter((one) => one !== version.number);
    tables.channels.put(channel.name, { ...channel, previous });
  }
  if (version.keep) tables.versions.put(name, { ...version, keep: false });
  return version;
}

export function setKeep(tables: Tables, name: string, keep: boolean): VersionRecord {
  const version = { ...versionOf(tables, name), keep };
  tables.versions.put(name, version);
  return version;
}

/** Starts a rollout, or changes which nodes the current one selects. */
export function setRollout(
  tables: Tables,
  name: string,
  { to, percent, select }: { to?: string; percent?: number; select?: Readonly<Record<string, string>> },
): RolloutRecord {
  const channel = channelOf(tables, name);
  const candidate = to === undefined ? channel.rollout?.candidate : versionOf(tables, to, name).number;
  if (candidate === undefined)
    throw new StoreError(`channel ${quote(name)}: expected a version, because no rollout is running`);
  if (candidate === channel.current) {
    throw new StoreError(
      `version ${quote(versionName(name, candidate))}: expected another version than the current one`,
    );
  }
  const rollout: RolloutRecord = {
    candidate,
    paused: false,
    ...(percent === undefined ? {} : { percent }),
    ...(select === undefined ? {} : { select }),
  };
  tables.channels.put(name, { ...channel, rollout });
  return rollout;
}

function rolloutOf(channel: ChannelRecord): RolloutRecord {
  if (channel.rollout !== undefined) return channel.rollout;
  throw new StoreError(`channel ${quote(channel.name)}: expected a running rollout, found none`);
}

export function pauseRollout(tables: Tables, name: string, paused: boolean): RolloutRecord {
  const channel = channelOf(tables, name);
  const rollout = { ...rolloutOf(channel), paused };
  tables.channels.put(name, { ...channel, rollout });
  return rollout;
}

/** Makes the candidate current. */
export function promoteRollout(tables: Tables, name: string): Move {
  const channel = channelOf(tables, name);
  const { candidate } = rolloutOf(channel);
  tables.channels.put(name, withCurrent(channel, candidate));
  return { channel: name, from: channel.current, to: candidate };
}

export function abortRollout(tables: Tables, name: string): RolloutRecord {
  const channel = channelOf(tables, name);
  const { rollout: _, ...rest } = channel;
  const aborted = rolloutOf(channel);
  tables.channels.put(name, rest);
  return aborted;
}

/** @param settings values to set; null removes the channel's own value, so that the server's applies. */
export function changeSettings(
  tables: Tables,
  name: string,
  settings: { readonly [K in keyof ChannelSettings]: ChannelSettings[K] | null },
): ChannelRecord {
  const channel = channelOf(tables, name);
  const merged = Object.entries({ ...channel.settings, ...settings }).filter(([, value]) => value !== null);
  const changed = { ...channel, settings: Object.fromEntries(merged) as ChannelSettings };
  tables.channels.put(name, changed);
  return changed;
}

/** Sends a node to one version, whatever the channel says. */
export function pinNode(tables: Tables, node: string, to: string): VersionRecord {
  const version = versionOf(tables, to);
  const { channel, number } = version;
  tables.overrides.put(pinKey(node, channel), { node, channel, version: number });
  return version;
}

export function unpinNode(tables: Tables, node: string, channel: string): void {
  const key = pinKey(node, channel);
  if (tables.overrides.get(key) === undefined) {
    throw new StoreError(`node ${quote(node)}: expected a pin in channel ${quote(channel)}, found none`);
  }
  tables.overrides.remove(key);
}

/** Removes the pins of a node's boots, also those for other addresses. @returns the number removed. */
export function dropPins(tables: Tables, node: string): number {
  const keys = tables.pins.entries().filter(([, pin]) => pin.node === node || pin.node.startsWith(`${node}@`));
  for (const [key] of keys) tables.pins.remove(key);
  return keys.length;
}
