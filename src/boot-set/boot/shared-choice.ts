/**
 * Decides between what this server and the engine of shared pins know of a node. Pure. One rule is above all others: a
 * boot under way at one server is not split by an engine that was flushed, failed over, or away.
 */
import type { SharedValue } from './shared-record.ts';

/**
 * A boot past loaders and configs counts as under way for this long after its last request.
 * @limit Time after its last request for which a boot that began while the server of shared pins was away stays with its
 * own pin. Shows: `reveille_shared_pins_kept_total`.
 */
const UNDER_WAY_MS = 60_000;

/** A node's shared value as this server has last seen it. */
export interface SeenValue {
  /** Empty: there was none. undefined: never seen. */
  readonly text: string | undefined;
  readonly number: number;
  /** True when the node was here since then without the engine's knowledge. */
  readonly isUnheard: boolean;
  /** Time since it was seen. */
  readonly seenAgoMs: number;
  /** True when it said that the node boots nothing. */
  readonly isOver: boolean;
}

/** The node's boot at this server. */
export interface LocalBoot {
  /** True when no file has been sent under it yet. */
  readonly isBeginning: boolean;
  readonly usedAgoMs: number;
  /** True when the boot is past loaders and configs. */
  readonly isPast: boolean;
  /** True when the other server's pins are of the same versions. */
  readonly isSame: boolean;
}

/** The node's boot as the engine has it, before this server took it over. */
export interface FoundBoot extends Pick<SharedValue, 'number' | 'holder' | 'usedAgoMs'> {
  readonly begunAgoMs: number;
}

/**
 * `theirs`: the other server's pins stand. `ours`: this server's replace them. `kept`: this server's stay here, the
 * other's stay with the others.
 */
export type Standing = 'ours' | 'theirs' | 'kept';

/**
 * @param server this server.
 * @param local undefined: the node boots nothing here.
 */
export function whoseStand(found: FoundBoot, seen: SeenValue, local: LocalBoot | undefined, server: string): Standing {
  if (local === undefined) {
    // A boot that was over is back, because the engine has lost its end.
    const isBack = seen.isOver && found.number < seen.number && found.usedAgoMs > seen.seenAgoMs;
    return isBack ? 'ours' : 'theirs';
  }
  // Written by this server; its answer was lost.
  if (found.holder === server) return 'ours';
  const isHeard = seen.text !== undefined && !seen.isUnheard;
  if (local.isBeginning || (isHeard && found.number > seen.number)) return 'theirs';
  // The engine missed something, or lost it: a lower number is from before. The server where the node was last knows.
  if (found.usedAgoMs > local.usedAgoMs) return 'ours';
  const isUnderWay = local.isPast && local.usedAgoMs < UNDER_WAY_MS && found.begunAgoMs >= local.usedAgoMs;
  return isUnderWay && seen.text !== undefined && !local.isSame ? 'kept' : 'theirs';
}
