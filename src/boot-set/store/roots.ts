/** Finds the versions that are still needed: the roots of garbage collection. Pure: records and time are arguments. */
import type {
  ChannelRecord,
  ChannelSettings,
  UseNote,
  OverrideRecord,
  PinPolicy,
  PinRecord,
  VersionRecord,
} from './records.ts';
import { versionName } from './records.ts';

/**
 * How long a rendered config keeps the version it names. It may be read much later: by a loader in its menu, or by a
 * node waiting for power.
 * @limit Time for which a rendered config keeps the version that it names.
 */
export const RENDERED_MS = 24 * 3_600_000;

export interface Needs {
  readonly channels: readonly ChannelRecord[];
  readonly versions: readonly Pick<VersionRecord, 'channel' | 'number' | 'manifest' | 'keep'>[];
  readonly overrides: readonly OverrideRecord[];
  readonly pins: readonly PinRecord[];
  readonly useNotes: readonly (readonly [name: string, note: UseNote])[];
  /**
   * Digests of the versions that other servers of the fleet needed, with the time at which this was last known.
   * Default: none.
   */
  readonly neededByOthers?: ReadonlyMap<string, number>;
  /** Settings for channels without their own. */
  readonly defaults: Required<ChannelSettings>;
}

/**
 * Returns true when a pin still holds: its last use is at most its idle time ago, and its beginning at most its cap. The
 * server that answers by pins and the processes that collect or show them decide alike, to the millisecond: a version
 * must not be collected while a boot continues with it.
 */
export function isPinLive(pin: PinRecord, { pinIdleMs, pinCapMs }: PinPolicy, now: number): boolean {
  return now - pin.usedAt <= pinIdleMs && now - pin.createdAt <= pinCapMs;
}

/** @returns the names of the versions that must not be collected; some of them may not exist. */
export function rootsOf(
  { channels, versions, overrides, pins, useNotes, neededByOthers, defaults }: Needs,
  now: number,
): Set<string> {
  const roots = new Set<string>();
  const settings = new Map<string, Required<ChannelSettings>>();
  const settingsOf = (channel: string): Required<ChannelSettings> => settings.get(channel) ?? defaults;
  const followed = new Set<string>();
  for (const { name, current, previous, rollout, settings: own, followed: wanted } of channels) {
    settings.set(name, { ...defaults, ...own });
    // A staged version waits for its promotion.
    if (wanted !== undefined) followed.add(`${name}@${wanted}`);
    const kept = previous.slice(0, settingsOf(name).keepVersions);
    for (const number of [current, rollout?.candidate, ...kept]) {
      if (number !== undefined) roots.add(versionName(name, number));
    }
  }
  for (const { channel, number, manifest, keep } of versions) {
    // A node of another server may come here in the middle of its boot. Its pin there holds as long as one here.
    const age = now - (neededByOthers?.get(manifest) ?? Number.NEGATIVE_INFINITY);
    if (keep || followed.has(`${channel}@${manifest}`) || age <= settingsOf(channel).pinIdleMs) {
      roots.add(versionName(channel, number));
    }
  }
  for (const { channel, version } of overrides) roots.add(versionName(channel, version));
  for (const pin of pins) {
    if (isPinLive(pin, settingsOf(pin.channel), now)) roots.add(versionName(pin.channel, pin.version));
  }
  const channelOf = new Map(versions.map(({ channel, number }) => [versionName(channel, number), channel]));
  for (const [name, { usedAt, renderedAt }] of useNotes) {
    const { pinIdleMs } = settingsOf(channelOf.get(name) ?? '');
    // A use by explicit name counts as long as a pin.
    if (now - usedAt <= pinIdleMs || (renderedAt !== undefined && now - renderedAt < RENDERED_MS)) roots.add(name);
  }
  return roots;
}
