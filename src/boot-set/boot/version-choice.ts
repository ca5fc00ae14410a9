/**
 * Chooses the version for a new boot: the one chosen for the node by hand, else a rollout's candidate, else the
 * channel's current version. Stateless: the same node and rollout give the same answer in every process.
 */
import { createHash } from 'node:crypto';
import { inOtherOrder, kindOf, type NodeId } from '../node/node-identity.ts';
import type { ChannelRecord, RolloutRecord } from '../store/records.ts';
import { glob } from '../../text/glob.ts';

/** Returns a node's labels in the inventory; undefined when it has none or there is no inventory. */
export type LabelsOf = (node: NodeId) => Readonly<Record<string, string>> | undefined;

/**
 * Returns the node's position in a rollout of this set, from 0 up to 100. Positions are evenly spread and independent
 * between sets.
 */
function placeOf(node: NodeId, set: string): number {
  return (createHash('sha256').update(`${node}\0${set}`).digest().readUInt32BE(0) / 2 ** 32) * 100;
}

/** Matches a pattern in which `*` stands for anything, ignoring case. MAC patterns may use `-` as their separator. */
function matches(pattern: string, value: string, key: string): boolean {
  const wanted = key === 'mac' ? pattern.replaceAll('-', ':') : pattern;
  return glob(wanted, { ignoreCase: true })(value);
}

function isSelected(select: NonNullable<RolloutRecord['select']>, ids: readonly NodeId[], labelsOf: LabelsOf): boolean {
  return Object.entries(select).every(([key, pattern]) => {
    const id = ids.find((known) => kindOf(known) === key);
    if (id !== undefined) {
      const value = id.slice(key.length + 1);
      return matches(pattern, value, key) || (key === 'uuid' && matches(pattern, inOtherOrder(value), key));
    }
    return ids.some((known) => {
      const value = labelsOf(known)?.[key];
      return value !== undefined && matches(pattern, value, key);
    });
  });
}

/**
 * @param ids the node's ids, the best first.
 * @param candidateSet digest of the candidate's manifest.
 */
function isInRollout(
  rollout: RolloutRecord,
  ids: readonly NodeId[],
  candidateSet: string,
  labelsOf: LabelsOf,
): boolean {
  if (rollout.paused || ids.length === 0) return false;
  if (rollout.select !== undefined && !isSelected(rollout.select, ids, labelsOf)) return false;
  return rollout.percent === undefined
    ? rollout.select !== undefined
    : placeOf(ids[0]!, candidateSet) < rollout.percent;
}

export interface VersionChoices {
  readonly channel: ChannelRecord;
  /** @returns the version number chosen by hand for this id. */
  override(node: NodeId): number | undefined;
  /** @returns the digest of a version's manifest; undefined when the version does not exist. */
  manifest(number: number): string | undefined;
  readonly labelsOf: LabelsOf;
}

/** @returns the version's number; undefined when the channel has no version for this node. */
export function chooseVersion(ids: readonly NodeId[], choices: VersionChoices): number | undefined {
  const { channel } = choices;
  for (const id of ids) {
    const chosen = choices.override(id);
    if (chosen !== undefined && choices.manifest(chosen) !== undefined) return chosen;
  }
  const { rollout, current } = channel;
  const candidateSet = rollout === undefined ? undefined : choices.manifest(rollout.candidate);
  if (
    rollout !== undefined &&
    candidateSet !== undefined &&
    isInRollout(rollout, ids, candidateSet, choices.labelsOf)
  ) {
    return rollout.candidate;
  }
  return current;
}
