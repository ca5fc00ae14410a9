/** What boot sets tell of themselves, and the counting of pins that it takes. Knows records and rules; no requests. */
import type { ChannelRecord } from './store/records.ts';
import type { Pin } from './boot/pin-table.ts';
import type { PinPolicies } from './boot/pin-policies.ts';
import { hasLapsed, type PinPolicy } from './boot/pins.ts';

/** Pins that have not lapsed, of one version of a channel. */
export interface VersionPins {
  readonly version: number;
  readonly pins: number;
}

export interface ChannelStats {
  readonly name: string;
  readonly current: number | undefined;
  /** Pins that have not lapsed. */
  readonly pins: number;
  /** The same by version, the newest first; only versions that have some. */
  readonly byVersion: readonly VersionPins[];
}

export interface BootSetsStats {
  readonly channels: readonly ChannelStats[];
  readonly versions: number;
  /** Pins remembered, lapsed ones included. */
  readonly pins: number;
  /** Those of them that nobody has answered under yet. */
  readonly provisionalPins: number;
  readonly pinsEvicted: number;
  /** Requests that went on with a version after its pin had ended. */
  readonly latePins: number;
  /** Requests from shared networks that were answered without a pin. */
  readonly sharedAnswers: number;
}

/** Looks at every pin there is. @param now see SteadyTime. */
export function channelStats(
  channels: Iterable<ChannelRecord>,
  pins: Iterable<Pin>,
  policies: PinPolicies,
  now: number,
): ChannelStats[] {
  const policyOf = new Map<string, PinPolicy>();
  const counts = new Map<string, Map<number, number>>();
  for (const { record, open } of pins) {
    const { channel, version } = record;
    let policy = policyOf.get(channel);
    if (policy === undefined) {
      policy = policies.of(channel);
      policyOf.set(channel, policy);
    }
    if (hasLapsed(record, open > 0, now, policy)) continue;
    let ofChannel = counts.get(channel);
    if (ofChannel === undefined) {
      ofChannel = new Map();
      counts.set(channel, ofChannel);
    }
    ofChannel.set(version, (ofChannel.get(version) ?? 0) + 1);
  }
  return [...channels].map(({ name, current }) => {
    const byVersion = [...(counts.get(name) ?? [])]
      .map(([version, count]) => ({ version, pins: count }))
      .toSorted((one, other) => other.version - one.version);
    return { name, current, pins: byVersion.reduce((sum, one) => sum + one.pins, 0), byVersion };
  });
}
