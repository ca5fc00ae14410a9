/**
 * The records that a server announces to its fleet: a heartbeat with its load, and for each channel the versions held.
 * Forms of the records in Redis; everything read from there is checked. Pure.
 */
import { isDigest } from '../boot-set/store/layout.ts';
import { isTime, isWholeNumber, type PromotionRecord, promotionOf } from './promotion.ts';

/** @limit Versions of a channel that a server announces, the highest numbers first. Shows: `reveille promote` says that the server lacks the version. */
export const MAX_VERSIONS_ANNOUNCED = 500;
/** Names of channels that are behind and that a heartbeat lists. */
export const MAX_BEHIND_LISTED = 5;
/** Longest name of a server or a channel in a record, in characters. */
const MAX_NAME = 300;
/** Longest record that is read, in characters. */
const MAX_RECORD = 1024 ** 2;

/** The heartbeat of a server. */
export interface ServerRecord {
  /** Host name and port, which tell the servers of a fleet apart. */
  readonly name: string;
  /** Drawn at the start of the process. */
  readonly run: string;
  /** Version of Reveille. */
  readonly version: string;
  /** Start of the process, in milliseconds since the epoch. */
  readonly startedAt: number;
  readonly channels: number;
  /** Number of channels whose promoted version this server does not serve, and the names of the first of them. */
  readonly behind: number;
  readonly behindNames: readonly string[];
  /** Number of versions in its store. */
  readonly staged: number;
  /** Number of nodes in the middle of a boot. */
  readonly pins: number;
  /** Running transfers, and the limit of them. */
  readonly transfers: number;
  readonly sessions: number;
  /** Server's clock minus that of Redis, in milliseconds. */
  readonly skewMs: number;
  /** True while another server announces itself under the same name. */
  readonly isNameTaken: boolean;
}

/** A version that a server holds. */
export interface HeldVersion {
  readonly number: number;
  readonly manifest: string;
  /** True when the server itself needs it, so that the others must not collect it. */
  readonly isNeeded: boolean;
}

/** A channel that follows a tag of a registry. */
export interface FollowRecord {
  readonly from: string;
  /** Digest that the tag named last; undefined before the first answer. */
  readonly wanted: string | undefined;
  /** False when the channel moves as soon as the tag does. */
  readonly isPromoted: boolean;
}

/** A server's record of one channel. */
export interface ChannelRecordOfServer {
  /** Digest of the current version. */
  readonly current: string | undefined;
  readonly promoted: PromotionRecord | undefined;
  readonly follow: FollowRecord | undefined;
  readonly versions: readonly HeldVersion[];
}

export function serverText(record: ServerRecord): string {
  return JSON.stringify(record);
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsIn(text: unknown): Fields | undefined {
  if (typeof text !== 'string' || text.length > MAX_RECORD) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
  } catch {
    return undefined;
  }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_NAME;
}

/** @returns undefined when the text is not a heartbeat of the server of this name. */
export function parseServer(text: unknown, name: string): ServerRecord | undefined {
  const fields = fieldsIn(text);
  if (fields === undefined || fields['name'] !== name || !isName(name)) return undefined;
  const { run, version, startedAt, channels, behind, behindNames, staged, pins, transfers, sessions } = fields;
  const { skewMs, isNameTaken } = fields;
  const counts = [channels, behind, staged, pins, transfers, sessions];
  if (!isName(run) || !isName(version) || !counts.every(isWholeNumber) || !isTime(startedAt)) return undefined;
  if (typeof skewMs !== 'number' || !Number.isFinite(skewMs)) return undefined;
  if (!Array.isArray(behindNames) || !behindNames.every(isName)) return undefined;
  return {
    name,
    run,
    version,
    startedAt,
    channels: channels as number,
    behind: behind as number,
    behindNames: behindNames.slice(0, MAX_BEHIND_LISTED),
    staged: staged as number,
    pins: pins as number,
    transfers: transfers as number,
    sessions: sessions as number,
    skewMs,
    isNameTaken: isNameTaken === true,
  };
}

export function channelText({ current, promoted, follow, versions }: ChannelRecordOfServer): string {
  return JSON.stringify({
    current,
    promoted,
    follow,
    versions: versions
      .slice(0, MAX_VERSIONS_ANNOUNCED)
      .map(({ number, manifest, isNeeded }) => [number, manifest, isNeeded ? 1 : 0]),
  });
}

function digestIn(value: unknown): string | undefined {
  return typeof value === 'string' && isDigest(value) ? value : undefined;
}

function followIn(value: unknown): FollowRecord | undefined {
  const { from, wanted, isPromoted } = (value ?? {}) as Fields;
  return isName(from) ? { from, wanted: digestIn(wanted), isPromoted: isPromoted === true } : undefined;
}

function versionIn(value: unknown): HeldVersion | undefined {
  const [number, manifest, needed] = Array.isArray(value) ? (value as unknown[]) : [];
  const digest = digestIn(manifest);
  if (!isWholeNumber(number) || digest === undefined) return undefined;
  return { number, manifest: digest, isNeeded: needed === 1 };
}

/** @returns undefined when the text is not such a record. */
export function parseChannel(text: unknown): ChannelRecordOfServer | undefined {
  const fields = fieldsIn(text);
  if (fields === undefined || !Array.isArray(fields['versions'])) return undefined;
  const versions = (fields['versions'] as unknown[]).slice(0, MAX_VERSIONS_ANNOUNCED).map(versionIn);
  if (versions.includes(undefined)) return undefined;
  return {
    current: digestIn(fields['current']),
    promoted: promotionOf(fields['promoted']),
    follow: followIn(fields['follow']),
    versions: versions as HeldVersion[],
  };
}

/** Returns true when the channel's promoted version is not the one that new boots get from the server. */
export function isBehind({ current, promoted }: ChannelRecordOfServer, shared: PromotionRecord | undefined): boolean {
  if (shared === undefined) return false;
  return promoted?.generation !== shared.generation || current !== shared.manifest;
}
