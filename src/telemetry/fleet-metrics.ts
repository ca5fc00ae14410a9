/**
 * Metrics of channels that follow a registry: behind, failing, and versions that nodes asked for. The config bounds the
 * channels. Knows no registry.
 */
import type { Declarations, Sample } from './metric-kinds.ts';

/** A channel that follows a tag. */
export interface FollowedStat {
  readonly channel: string;
  /** Name of the tag. */
  readonly from: string;
  /** Digest that the tag named in the last answer. */
  readonly wanted: string | undefined;
  /** Digest that the channel last moved to because the registry named it. */
  readonly followed: string | undefined;
  /** True while the version that the tag names has not arrived. */
  readonly isBehind: boolean;
  /** Why the last question or download failed. */
  readonly failure: string | undefined;
  /** Time since the registry's last answer; undefined before the first. */
  readonly answeredAgoMs: number | undefined;
}

export interface FollowedStats {
  readonly channels: readonly FollowedStat[];
  /** Versions that were fetched because nodes asked for them, and fetches that failed. */
  readonly fetched: number;
  readonly fetchFailures: number;
}

export function declareFleet(declare: Declarations, fleet: () => FollowedStats | undefined): void {
  const each = (read: (one: FollowedStat) => number | undefined) => (): Sample[] =>
    (fleet()?.channels ?? []).flatMap((one): Sample[] => {
      const value = read(one);
      return value === undefined ? [] : [[one.channel, value]];
    });
  declare.gauges(
    'reveille_followed_channel_behind',
    'Whether the version that the registry names has not arrived.',
    ['channel'],
    each(({ isBehind }) => Number(isBehind)),
  );
  declare.gauges(
    'reveille_followed_channel_failing',
    'Whether the last question to the registry, or the last download, failed.',
    ['channel'],
    each(({ failure }) => Number(failure !== undefined)),
  );
  declare.gauges(
    'reveille_followed_channel_answer_age_seconds',
    "Time since the registry's last answer.",
    ['channel'],
    each(({ answeredAgoMs }) => (answeredAgoMs === undefined ? undefined : answeredAgoMs / 1000)),
  );
  declare.counter(
    'reveille_versions_fetched_total',
    'Versions fetched from a registry because nodes asked for them.',
    () => fleet()?.fetched,
  );
  declare.counter(
    'reveille_version_fetch_failures_total',
    'Versions that nodes asked for and that could not be fetched.',
    () => fleet()?.fetchFailures,
  );
}
