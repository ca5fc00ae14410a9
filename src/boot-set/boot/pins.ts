/**
 * The rules of pins: when a request continues with the version its node began with, and when a new boot has begun.
 * Pure: records in, decisions out; time is an argument.
 *
 * The rules keep one promise: all files that a node gets between power-on and its kernel's start are of one version.
 * Where a rule can't tell whether a boot is new, it keeps the old version: stale is better than mixed.
 */
import type { BootStage } from './boot-stage.ts';
import type { PinPolicy, PinRecord } from '../store/records.ts';
import { isPinLive } from '../store/roots.ts';

/**
 * A node past the cap must have been silent for this long before a loader or config begins a new boot: the cap may fall
 * between the two.
 */
const PAUSE_MS = 60_000;

/** The facts that decide a request for a file of a channel. */
export interface PinSituation {
  readonly stage: BootStage;
  /** True when a transfer to this node is open. The node is then in the middle of a boot, whatever it asks for. */
  readonly open: boolean;
  /** True when the node has since begun a boot with a file outside this channel. */
  readonly over: boolean;
  /** True when the pinned version still exists. */
  readonly exists: boolean;
  /** True when the pinned version has files that a boot begins with. Without them no name marks a beginning. */
  readonly hasBeginning: boolean;
}

/**
 * `begin`: choose a version for a new boot. `keep`: continue with the pin. `late`: continue, although the pin had
 * ended. `gone`: the pinned version no longer exists, and another one would not match the node's files.
 */
export type PinDecision = 'begin' | 'keep' | 'late' | 'gone';

/** Returns true when a pin has ended, by silence or by age. An open transfer counts as a request at this moment. */
export function hasLapsed(pin: PinRecord, open: boolean, now: number, policy: PinPolicy): boolean {
  return !open && !isPinLive(pin, policy, now);
}

/** Decides what a request for an existing file of the channel means for the node's pin. */
export function judge(
  pin: PinRecord | undefined,
  { stage, open, over, exists, hasBeginning }: PinSituation,
  now: number,
  policy: PinPolicy,
): PinDecision {
  if (pin === undefined) return 'begin';
  const lapsed = hasLapsed(pin, open, now, policy);
  if (!open && over) return 'begin';
  if (stage === 'zero') {
    const paused = now - pin.usedAt > Math.min(PAUSE_MS, policy.pinIdleMs);
    return !exists || (!open && (pin.stage === 1 || (lapsed && paused))) ? 'begin' : 'keep';
  }
  if (lapsed && !hasBeginning) return 'begin';
  if (!exists) return 'gone';
  return lapsed ? 'late' : 'keep';
}

/**
 * Returns the stage of a pin after a request was answered. A beginning during a transfer may come from a node that was
 * reset: it now has a loader of this version, so the files that follow must be of this version as well.
 */
export function stageAfter(before: 0 | 1, stage: BootStage): 0 | 1 {
  if (stage === 'neutral') return before;
  return stage === 'zero' ? 0 : 1;
}

/** Returns the pin to keep for a channel when two names turn out to be one node: that of the later boot. */
export function laterBegun(a: PinRecord, b: PinRecord): PinRecord {
  return b.createdAt > a.createdAt ? b : a;
}

/**
 * Returns true when a machine that appears at an address continues with the pin of the former machine there: when that
 * boot had reached only loaders and configs, the new machine may be the one that received them.
 */
export function isInherited(pin: PinRecord, address: string, now: number, policy: PinPolicy): boolean {
  return pin.stage === 0 && pin.address === address && !hasLapsed(pin, false, now, policy);
}
