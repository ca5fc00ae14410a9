/**
 * What the store of boot sets remembers, as records of its database: the seam between those who publish, collect and
 * roll back, and the server, which resolves names by them. Plain data; times are milliseconds since the epoch.
 */

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

/** Which version a node boots from a channel, while it boots. Key: node, NUL, channel. */
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
