/**
 * What the store of boot sets remembers, as records of its database: the seam between those who publish, collect and
 * roll back, and the server, which resolves names by them. Plain data; times are milliseconds since the epoch.
 */

import { isDigest } from './layout.ts';

/** One file of a boot set. */
export interface FileRecord {
  /** Relative to the set, `/` between its parts. */
  readonly name: string;
  /** SHA-256 of its bytes, 64 hex digits: the name of its blob. */
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

/** One immutable version of a channel. Key: its explicit name, `CHANNEL-NUMBER`. */
export interface VersionRecord {
  readonly channel: string;
  /** From 1, never used again. */
  readonly number: number;
  /** SHA-256 of its manifest, 64 hex digits. */
  readonly manifest: string;
  /** As the manifest has them, in the order of their names: opening a store reads no blobs. */
  readonly files: readonly FileRecord[];
  readonly kernelArguments?: string;
  /** Given by whoever published it; no part of what makes it this version. */
  readonly labels: Readonly<Record<string, string>>;
  /** Never collected. */
  readonly keep: boolean;
  readonly publishedAt: number;
  /** Since when nothing has needed it; unset while something does. */
  readonly unrootedAt?: number;
}

/** What a channel has otherwise than the server's settings say. */
export interface ChannelSettings {
  /** Silence after which a pin ends, in milliseconds. */
  readonly pinIdleMs?: number;
  /** Age after which a pin ends, in milliseconds. */
  readonly pinCapMs?: number;
  /** Former versions that are kept for a rollback. */
  readonly keepVersions?: number;
}

/** A candidate for some nodes, while the others get the channel's current version. */
export interface RolloutRecord {
  readonly candidate: number;
  /** Share of nodes, 0 to 100. */
  readonly percent?: number;
  /** What a node must be (`mac`, `uuid`, `serial`, `ip`, or a label of the inventory) to get it; `*` stands for anything. */
  readonly select?: Readonly<Record<string, string>>;
  /** Nobody new gets it. */
  readonly paused: boolean;
}

/** Where new boots of a name go. Key: its name, such as `maas/amd64/precise/install`. */
export interface ChannelRecord {
  readonly name: string;
  /** undefined: nothing is published, or only a candidate. */
  readonly current: number | undefined;
  /** What was current before, the last first, each once. */
  readonly previous: readonly number[];
  readonly nextNumber: number;
  readonly rollout?: RolloutRecord;
  readonly settings: ChannelSettings;
}

/**
 * Which version a node boots from a channel, while it boots. Key: node, NUL, channel. Where a node's name is heard from
 * another address while the node speaks from its own, that one has a pin for itself, whose node is `NODE@ADDRESS`.
 */
export interface PinRecord {
  readonly node: string;
  readonly channel: string;
  readonly version: number;
  readonly createdAt: number;
  readonly usedAt: number;
  /** 1: a file of a later stage than loader or config has been asked for. */
  readonly stage: 0 | 1;
  /** The address last asked from. */
  readonly address: string;
  /** Nobody at that address has acknowledged anything of the version yet: the request may be anyone's. */
  readonly provisional?: true | undefined;
  /** The system's uptime at `usedAt`, in milliseconds: what is left to go by when the wall clock was set. */
  readonly uptime?: number | undefined;
}

/** A version that a person has chosen for a node. Key: node, NUL, channel. */
export interface OverrideRecord {
  readonly node: string;
  readonly channel: string;
  readonly version: number;
}

/** Uses of a version that no pin stands for, noted once a minute at most. Key: the version's explicit name. */
export interface UseNote {
  /** When a file of it was last asked for by explicit name, or still being sent. */
  readonly usedAt: number;
  /** When a config was last rendered that names it. */
  readonly renderedAt?: number;
}

export function versionName(channel: string, number: number): string {
  return `${channel}-${number}`;
}

export function pinKey(node: string, channel: string): string {
  return `${node}\0${channel}`;
}

type Fields = Readonly<Record<string, unknown>>;

function isNumber(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Times may have fractions, and clocks were wrong before. */
function isTime(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value);
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): boolean {
  return isFields(value) && Object.values(value).every((text) => typeof text === 'string');
}

function isFile(value: unknown): boolean {
  if (!isFields(value)) return false;
  const { name, digest, size } = value;
  return typeof name === 'string' && typeof digest === 'string' && isDigest(digest) && isNumber(size);
}

function isVersion(
  key: string,
  { channel, number, manifest, files, labels, keep, publishedAt, ...more }: Fields,
): boolean {
  return (
    typeof channel === 'string' &&
    isNumber(number) &&
    versionName(channel, number as number) === key &&
    typeof manifest === 'string' &&
    isDigest(manifest) &&
    Array.isArray(files) &&
    files.every(isFile) &&
    isTexts(labels) &&
    typeof keep === 'boolean' &&
    isTime(publishedAt) &&
    ['string', 'undefined'].includes(typeof more['kernelArguments'])
  );
}

function isRollout(value: unknown): boolean {
  if (value === undefined) return true;
  if (!isFields(value)) return false;
  const { candidate, percent, select, paused } = value;
  return (
    isNumber(candidate) &&
    (percent === undefined || isTime(percent)) &&
    (select === undefined || isTexts(select)) &&
    typeof paused === 'boolean'
  );
}

function isChannel(key: string, { name, current, previous, nextNumber, rollout, settings }: Fields): boolean {
  return (
    name === key &&
    (current === undefined || isNumber(current)) &&
    Array.isArray(previous) &&
    previous.every(isNumber) &&
    isNumber(nextNumber) &&
    isRollout(rollout) &&
    isFields(settings) &&
    Object.values(settings).every(isNumber)
  );
}

function isChoice({ node, channel, version }: Fields): boolean {
  return typeof node === 'string' && typeof channel === 'string' && isNumber(version);
}

const FORMS: Readonly<Record<string, (key: string, value: Fields) => boolean>> = {
  channels: isChannel,
  versions: isVersion,
  pins: (_, pin) =>
    isChoice(pin) && isTime(pin['createdAt']) && isTime(pin['usedAt']) && typeof pin['address'] === 'string',
  overrides: (_, override) => isChoice(override),
  useNotes: (_, { usedAt, renderedAt }) => isTime(usedAt) && (renderedAt === undefined || isTime(renderedAt)),
};

/** Whether what a table has at `key` is of the form that its records have. The database is a file: anybody may write it. */
export function isWhole(table: string, key: string, value: unknown): boolean {
  if (table === 'numbers') return isNumber(value);
  return isFields(value) && FORMS[table]!(key, value);
}
