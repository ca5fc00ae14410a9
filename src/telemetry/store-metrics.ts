/**
 * Metrics of a store of boot sets: channels and their versions, pins, garbage collections. Knows channels and versions
 * by name and number; their labels are bounded. Knows no node.
 */
import type { BootSetsStats, ChannelStats } from '../boot-set/stats.ts';
import type { MemberStats } from '../fleet/fleet-member.ts';
import { OTHERS } from './event-counts.ts';
import type { FollowedStats } from './fleet-metrics.ts';
import type { Declarations, Sample } from './metric-kinds.ts';

/** Garbage collections since the start of the server: how many ran and failed, and what they removed. */
export interface CollectionStats {
  readonly runs: number;
  readonly failures: number;
  /** Collected versions, and the bytes that collections have freed. */
  readonly versions: number;
  readonly bytes: number;
}

/** The figures of a store that is served. */
export interface StoreStats extends BootSetsStats {
  readonly collection: CollectionStats;
  /** Channels that follow a registry; undefined where none does. */
  readonly fleet?: FollowedStats | undefined;
  /** Membership in a fleet; undefined where there is none. */
  readonly member?: MemberStats | undefined;
}

/**
 * Maximum number of channels with labels of their own; the pins of the others are summed up.
 * @limit Channels that have a label of their own. Shows: the others share one label in `reveille_channel_pins`.
 */
const MAX_CHANNELS = 100;
/**
 * Maximum number of versions of a channel with labels of their own: the newest ones in use.
 * @limit Versions of a channel that have a label of their own. Shows: the others share one label in
 * `reveille_channel_pins`.
 */
const MAX_VERSIONS = 5;

function withStore(stats: StoreStats | undefined, read: (stats: StoreStats) => number): number | undefined {
  return stats === undefined ? undefined : read(stats);
}

/** The current version has a sample even when no boot uses it. */
function pinsOf({ name, current, byVersion }: ChannelStats): Sample[] {
  const shown = byVersion.slice(0, MAX_VERSIONS);
  const others = byVersion.slice(MAX_VERSIONS);
  const isShown = current === undefined || byVersion.some(({ version }) => version === current);
  return [
    ...(isShown ? [] : [[name, current, 0] as const]),
    ...shown.map(({ version, pins }) => [name, version, pins] as const),
    ...(others.length === 0 ? [] : [[name, OTHERS, others.reduce((sum, { pins }) => sum + pins, 0)] as const]),
  ];
}

export function declareStore(declare: Declarations, store: () => StoreStats | undefined): void {
  const channels = (): StoreStats['channels'] => store()?.channels ?? [];
  declare.gauges('reveille_channel_version', "The number of a channel's current version.", ['channel'], () =>
    channels()
      .slice(0, MAX_CHANNELS)
      .flatMap(({ name, current }): Sample[] => (current === undefined ? [] : [[name, current]])),
  );
  declare.gauges(
    'reveille_channel_pins',
    'Nodes in the middle of a boot, by channel and version, for the five newest versions in use.',
    ['channel', 'version'],
    () => {
      const named = channels().slice(0, MAX_CHANNELS).flatMap(pinsOf);
      const others = channels().slice(MAX_CHANNELS);
      if (others.length === 0) return named;
      return [...named, [OTHERS, OTHERS, others.reduce((sum, { pins }) => sum + pins, 0)]];
    },
  );
  const gauge = (name: string, help: string, read: (stats: StoreStats) => number): void =>
    declare.gauge(name, help, () => withStore(store(), read));
  const counter = (name: string, help: string, read: (stats: StoreStats) => number): void =>
    declare.counter(name, help, () => withStore(store(), read));
  gauge('reveille_store_versions', 'Versions in the store.', ({ versions }) => versions);
  gauge('reveille_pins', 'Pins in memory, including those of finished boots.', ({ pins }) => pins);
  counter('reveille_pins_evicted_total', 'Pins evicted to make room.', ({ pinsEvicted }) => pinsEvicted);
  counter(
    'reveille_late_pins_total',
    'Requests that continued with a version after their pin ended.',
    ({ latePins }) => latePins,
  );
  counter(
    'reveille_shared_answers_total',
    'Requests from shared networks that got the current version.',
    ({ sharedAnswers }) => sharedAnswers,
  );
  counter('reveille_gc_runs_total', 'Garbage collections.', ({ collection }) => collection.runs);
  counter('reveille_gc_failures_total', 'Garbage collections that failed.', ({ collection }) => collection.failures);
  counter('reveille_gc_versions_total', 'Versions collected.', ({ collection }) => collection.versions);
  counter(
    'reveille_gc_freed_bytes_total',
    'Bytes that garbage collections freed.',
    ({ collection }) => collection.bytes,
  );
}
