/**
 * Metrics of a fleet: channels that follow a registry, and channels that promotions move. The config bounds the first,
 * a cap the others. Knows no registry and no Redis.
 */
import type { MemberStats, PromotedStat } from '../fleet/fleet-member.ts';
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

/** @limit Promoted channels that have a label of their own. Shows: the others have no `reveille_promoted_generation`. */
const MAX_PROMOTED = 100;

export function declareMember(declare: Declarations, member: () => MemberStats | undefined): void {
  const each = (read: (one: PromotedStat) => number) => (): Sample[] =>
    (member()?.promoted ?? []).slice(0, MAX_PROMOTED).map((one): Sample => [one.channel, read(one)]);
  /** A server without a fleet has no sample, so that no alert takes it for one that has lost its fleet. */
  const one = (read: (stats: MemberStats) => number) => (): Sample[] => {
    const stats = member();
    return stats === undefined ? [] : [[read(stats)]];
  };
  declare.gauges(
    'reveille_fleet_joined',
    'Whether the last exchange with Redis about promotions succeeded.',
    [],
    one(({ isJoined }) => Number(isJoined)),
  );
  declare.gauges(
    'reveille_fleet_servers',
    'Live servers of the fleet that this server sees, itself included.',
    [],
    one(({ servers }) => servers.length),
  );
  declare.gauges(
    'reveille_promoted_generation',
    'Generation of the promotion that this server followed last.',
    ['channel'],
    each(({ generation }) => generation),
  );
  declare.gauges(
    'reveille_promoted_channel_behind',
    'Whether new boots get another version from this server than the promoted one.',
    ['channel'],
    each(({ isBehind }) => Number(isBehind)),
  );
  declare.counter(
    'reveille_promotions_followed_total',
    'Promotions that this server has followed since its start.',
    () => member()?.followed,
  );
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
