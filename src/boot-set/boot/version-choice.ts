/**
 * Which version a new boot gets: the one chosen for the node by hand, a rollout's candidate, or the channel's current
 * one. Without memory: the same node and the same rollout always give the same answer, in every process.
 */
import { createHash } from 'node:crypto';
import { inOtherOrder, kindOf, type NodeId } from '../node/node-identity.ts';
import type { ChannelRecord, RolloutRecord } from '../store/records.ts';
import { glob } from '../../text/glob.ts';

/** Labels of a node, once there is an inventory to ask. */
export type LabelsOf = (node: NodeId) => Readonly<Record<string, string>> | undefined;

/** Where a node stands between 0 and 100, for a set: evenly spread, and another place for every set. */
function placeOf(node: NodeId, set: string): number {
  return (createHash('sha256').update(`${node}\0${set}`).digest().readUInt32BE(0) / 2 ** 32) * 100;
}

/** `*` stands for anything. MACs may be written with `-`. */
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
 * @param ids of the node, the best first.
 * @param candidateSet the digest of the candidate's manifest.
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
  /** The number chosen by hand for one of the ids. */
  override(node: NodeId): number | undefined;
  /** The digest of a version's manifest; undefined: there is no such version. */
  manifest(number: number): string | undefined;
  readonly labelsOf: LabelsOf;
}

/** @returns undefined when there is nothing for this node. */
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
