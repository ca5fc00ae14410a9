/**
 * The records in the database of a boot-set store: the interface between commands that publish, collect and roll back,
 * and the server that resolves names by them. Plain data; times are in milliseconds since the epoch.
 */

import { isDigest } from './layout.ts';

/** One file of a boot set. */
export interface FileRecord {
  /** Path relative to the set, with `/` as its separator. */
  readonly name: string;
  /** SHA-256 of its bytes as 64 hex digits; also the name of its blob. */
  readonly digest: string;
  /** Size in bytes. */
  readonly size: number;
}

/** One immutable version of a channel. Key: its explicit name, `CHANNEL-NUMBER`. */
export interface VersionRecord {
  readonly channel: string;
  /** Starts at 1; never reused. */
  readonly number: number;
  /** SHA-256 of its manifest as 64 hex digits. */
  readonly manifest: string;
  /** Files as in the manifest, sorted by name; copied here so that opening a store reads no blobs. */
  readonly files: readonly FileRecord[];
  readonly kernelArguments?: string;
  /** Labels given by the publisher; they are not part of the version's identity. */
  readonly labels: Readonly<Record<string, string>>;
  /** True when the version must never be collected. */
  readonly keep: boolean;
  readonly publishedAt: number;
  /** Time since when nothing has needed the version; unset while something does. */
  readonly unrootedAt?: number;
}

/** Settings of a channel that differ from the server's. */
export interface ChannelSettings {
  /** Silence after which a pin ends, in milliseconds. */
  readonly pinIdleMs?: number;
  /** Age after which a pin ends, in milliseconds. */
  readonly pinCapMs?: number;
  /** Number of former versions kept for a rollback. */
  readonly keepVersions?: number;
}

/** Defaults, which apply unless the channel or the server sets its own values. */
export const DEFAULT_CHANNEL_SETTINGS: Required<ChannelSettings> = {
  /** @limit Silence after which a pin ends. Setting: `pinIdle`. Shows: `reveille pins`. */
  pinIdleMs: 15 * 60_000,
  /** @limit Age at which a pin ends. Setting: `pinCap`. Shows: `reveille pins`. */
  pinCapMs: 2 * 3_600_000,
  /** @limit Former versions of a channel that are kept. Setting: `keepVersions`. Shows: `reveille gc`. */
  keepVersions: 3,
};

/**
 * Grace time of a version, from the first collection that finds it unneeded.
 * @limit Grace time of a version that nothing needs. Setting: `gcGrace`. Shows: `reveille gc`.
 */
export const GRACE_MS = 10 * 60_000;

/** How long pins of a channel hold. */
export type PinPolicy = Required<Pick<ChannelSettings, 'pinIdleMs' | 'pinCapMs'>>;

/** A rollout: some nodes get a candidate, the others the channel's current version. */
export interface RolloutRecord {
  readonly candidate: number;
  /** Share of nodes, 0 to 100. */
  readonly percent?: number;
  /**
   * Patterns that select a node, by `mac`, `uuid`, `serial`, `ip` or a label of the inventory; `*` stands for anything.
   */
  readonly select?: Readonly<Record<string, string>>;
  /** True while no further nodes get the candidate. */
  readonly paused: boolean;
}

/** A move of a channel that holds on every server of a fleet. */
export interface PromotionRecord {
  /** Number of the channel's promotions so far; it only grows. */
  readonly generation: number;
  /** Time of the promotion by the clock of Redis, in milliseconds since the epoch. */
  readonly at: number;
  /** Digest of the manifest of the version that was promoted. */
  readonly manifest: string;
}

/** A channel: where new boots of a name go. Key: its name, such as `maas/amd64/precise/install`. */
export interface ChannelRecord {
  readonly name: string;
  /** Number of the current version; undefined when nothing, or only a candidate, is published. */
  readonly current: number | undefined;
  /** Formerly current versions, the most recent first, each once. */
  readonly previous: readonly number[];
  readonly nextNumber: number;
  readonly rollout?: RolloutRecord;
  readonly settings: ChannelSettings;
  /** Digest of the manifest that the followed registry named when its version was last made current or staged. */
  readonly followed?: string;
  /** The promotion by which the channel last moved. */
  readonly promoted?: PromotionRecord;
}

/**
 * The version that a node boots from a channel, while it boots. Key: node, NUL, channel. When a node's name comes from
 * another address while the node speaks from its own, that address has a separate pin, whose node is `NODE@ADDRESS`.
 */
export interface PinRecord {
  readonly node: string;
  readonly channel: string;
  readonly version: number;
  readonly createdAt: number;
  readonly usedAt: number;
  /** 1 when a file of a later stage than loader and config has been requested. */
  readonly stage: 0 | 1;
  /** The address of the last request. */
  readonly address: string;
  /** Set while nobody at that address has acknowledged any of the version: the request may be forged. */
  readonly provisional?: true | undefined;
  /** The system's uptime at `usedAt`, in milliseconds; gives the pin's age when the wall clock was set. */
  readonly uptime?: number | undefined;
}

/** A version chosen by hand for a node. Key: node, NUL, channel. */
export interface OverrideRecord {
  readonly node: string;
  readonly channel: string;
  readonly version: number;
}

/** The last uses of a version that have no pin, noted at most once a minute. Key: the version's explicit name. */
export interface UseNote {
  /** When a file of it was last requested by explicit name, or still being sent. */
  readonly usedAt: number;
  /** When a config that names it was last rendered. */
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

/** Times may have fractions, and a clock that was wrong may have given negative ones. */
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

function isPromotion(value: unknown): boolean {
  if (value === undefined) return true;
  if (!isFields(value)) return false;
  const { generation, at, manifest } = value;
  return isNumber(generation) && isTime(at) && typeof manifest === 'string' && isDigest(manifest);
}

function isChannel(
  key: string,
  { name, current, previous, nextNumber, rollout, settings, followed, promoted }: Fields,
): boolean {
  return (
    name === key &&
    (current === undefined || isNumber(current)) &&
    Array.isArray(previous) &&
    previous.every(isNumber) &&
    isNumber(nextNumber) &&
    isRollout(rollout) &&
    ['string', 'undefined'].includes(typeof followed) &&
    isPromotion(promoted) &&
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

/**
 * Returns true when a value has the form of the table's records. The database is a file that anyone may have written.
 */
export function isWhole(table: string, key: string, value: unknown): boolean {
  if (table === 'numbers') return isNumber(value);
  return isFields(value) && FORMS[table]!(key, value);
}
