/** Lists the versions that a server holds of each channel, for its fleet. Pure: records and counts are arguments. */
import type { Catalog } from './store/catalog.ts';
import type { PromotionRecord } from './store/records.ts';
import { type Needs, rootsOf } from './store/roots.ts';
import type { ChannelStats } from './stats.ts';

/** A version in the store. */
export interface Holding {
  readonly number: number;
  readonly manifest: string;
  /** True when a channel, a boot, a choice by hand or a rendered config of this server needs it. */
  readonly isNeeded: boolean;
}

export interface ChannelHoldings {
  readonly name: string;
  /** Digest of the current version. */
  readonly current: string | undefined;
  readonly promoted: PromotionRecord | undefined;
  /** Number of nodes in the middle of a boot. */
  readonly pins: number;
  /** The highest number first. */
  readonly versions: readonly Holding[];
}

/** @param needs records that keep versions, besides channels, versions and pins. @param stats counts of pins. */
export function holdingsOf(
  catalog: Pick<Catalog, 'channels' | 'all'>,
  needs: Omit<Needs, 'channels' | 'versions' | 'pins' | 'neededByOthers'>,
  stats: readonly ChannelStats[],
  now: number,
): readonly ChannelHoldings[] {
  const channels = [...catalog.channels.values()];
  const versions = catalog.all().map(({ channel, number, manifest }) => ({ channel, number, manifest, keep: false }));
  const roots = rootsOf({ ...needs, channels, versions, pins: [] }, now);
  for (const { name, byVersion } of stats) for (const { version } of byVersion) roots.add(`${name}-${version}`);
  const held = new Map(channels.map(({ name }): [string, typeof versions] => [name, []]));
  for (const version of versions) held.get(version.channel)?.push(version);
  const pins = new Map(stats.map((one) => [one.name, one.pins]));
  return channels.map(({ name, current, promoted }) => {
    const own = (held.get(name) ?? []).toSorted((one, other) => other.number - one.number);
    return {
      name,
      current: own.find(({ number }) => number === current)?.manifest,
      promoted,
      pins: pins.get(name) ?? 0,
      versions: own.map(({ number, manifest }) => ({
        number,
        manifest,
        isNeeded: roots.has(`${name}-${number}`),
      })),
    };
  });
}
