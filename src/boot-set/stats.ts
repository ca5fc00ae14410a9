/** Statistics of boot sets, including pin counts. Knows records and pin rules; no requests. */
import type { ChannelRecord, PinPolicy } from './store/records.ts';
import type { Pin } from './boot/pin.ts';
import type { PinPolicies } from './boot/pin-policies.ts';
import type { SharedPinsStats } from './boot/shared-engine.ts';
import { hasLapsed } from './boot/pins.ts';

/** Count of pins on one version of a channel, without lapsed ones. */
export interface VersionPins {
  readonly version: number;
  readonly pins: number;
}

export interface ChannelStats {
  readonly name: string;
  readonly current: number | undefined;
  /** Count of pins that have not lapsed. */
  readonly pins: number;
  /** The same count by version, the newest first; versions without pins are omitted. */
  readonly byVersion: readonly VersionPins[];
}

export interface BootSetsStats {
  readonly channels: readonly ChannelStats[];
  readonly versions: number;
  /** Count of remembered pins, lapsed ones included. */
  readonly pins: number;
  /** Pins under which no client has acknowledged anything yet. */
  readonly provisionalPins: number;
  readonly pinsEvicted: number;
  /** Requests that continued with a version after its pin had ended. */
  readonly latePins: number;
  /** Requests from shared networks that were answered without a pin. */
  readonly sharedAnswers: number;
  /** undefined where pins are not shared. */
  readonly sharedPins?: SharedPinsStats | undefined;
}

/** Scans all pins. @param now see SteadyTime. */
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
