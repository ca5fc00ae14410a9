/**
 * The rules of pins: when a request goes on with the version that its node began with, and when a new boot has begun.
 * Pure: records in, decisions out; time is an argument.
 *
 * What they keep is one sentence: the files that a node gets between power-on and its kernel's start are of one
 * version. Where a rule can't tell whether a boot is new, it goes on with the old version: stale is better than mixed.
 */
import type { BootStage } from './boot-stage.ts';
import type { ChannelSettings, PinRecord } from '../store/records.ts';

/**
 * How long a node that is past the cap must have been silent for a loader or config to begin a new boot: the cap may fall
 * between the two.
 */
const PAUSE_MS = 60_000;

export type PinPolicy = Required<Pick<ChannelSettings, 'pinIdleMs' | 'pinCapMs'>>;

/** What there is to know when a file of a channel is asked for. */
export interface PinSituation {
  readonly stage: BootStage;
  /** Whether a transfer to this node is open: then it is in the middle of a boot, whatever it asks for. */
  readonly open: boolean;
  /** Whether the node has begun a boot elsewhere, with a file that is not of this channel. */
  readonly over: boolean;
  /** Whether the pinned version is still there. */
  readonly exists: boolean;
  /** Whether the pinned version has files that a boot begins with: without any, no name tells the beginning. */
  readonly hasBeginning: boolean;
}

/**
 * `begin`: choose a version anew. `keep`: go on. `late`: go on, though the pin had ended. `gone`: the version that the
 * node would have to go on with is no more, and another one would not match what it has.
 */
export type PinDecision = 'begin' | 'keep' | 'late' | 'gone';

/** Whether a pin has ended: by silence or by age. An open transfer counts as a request just now. */
export function hasLapsed(pin: PinRecord, open: boolean, now: number, { pinIdleMs, pinCapMs }: PinPolicy): boolean {
  return !open && (now - pin.usedAt > pinIdleMs || now - pin.createdAt > pinCapMs);
}

/** What a request for a file that its channel has means to the node's pin. */
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
 * The stage of a pin after a request has been answered. A beginning in the middle of a transfer may be a node that was
 * reset: it has got a loader of this version, so whatever comes next must be of this version as well.
 */
export function stageAfter(before: 0 | 1, stage: BootStage): 0 | 1 {
  if (stage === 'neutral') return before;
  return stage === 'zero' ? 0 : 1;
}

/**
 * Which of two pins for one channel is the node's, now that two names have turned out to be one node's: that of the boot
 * that began last.
 */
export function laterBegun(a: PinRecord, b: PinRecord): PinRecord {
  return b.createdAt > a.createdAt ? b : a;
}

/**
 * Whether a machine that shows at an address goes on with the pin of the one before it there: yes if that one's boot
 * was no further than loaders and configs, because then it may well have been the new one that got them.
 */
export function isInherited(pin: PinRecord, address: string, now: number, policy: PinPolicy): boolean {
  return pin.stage === 0 && pin.address === address && !hasLapsed(pin, false, now, policy);
}
