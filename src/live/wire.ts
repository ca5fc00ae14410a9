/**
 * Data for the live page, `reveille top` and `reveille node`: plain data, as sent over HTTP. Text in it that came from
 * a node has been escaped. Knows no server and no browser.
 */

/** HTTPS counts as `http`. */
export type Protocol = 'tftp' | 'http';

/** States of a node, in the order of every list: those that need attention come first. */
export const NODE_STATES = [
  /** Its transfer has made no progress for 5 s. */
  'stuck',
  /** Its last transfer failed, and nothing came after it. */
  'failed',
  /** Its last request was refused, and nothing came after it. */
  'stopped',
  /** Its transfer has made no progress for 3 s. */
  'silent',
  /** Its request is being looked up, or waits for a session. */
  'waiting',
  /** The first reply has not been acknowledged yet. */
  'opening',
  'loading',
  /** The node is between two files. */
  'between',
  /** Everything it asked for was sent, and it has been silent since. */
  'done',
] as const;
export type NodeState = (typeof NODE_STATES)[number];

/** States that need attention. */
export const TROUBLE: ReadonlySet<NodeState> = new Set(['stuck', 'failed', 'stopped', 'silent']);

/** The part of a boot that a file belongs to, by its name. */
export type FileKind = 'loader' | 'config' | 'kernel' | 'initrd' | 'module' | 'file';

/** One node, as a list shows it. */
export interface NodeRow {
  /** The address that the node asks from. */
  readonly id: string;
  /** The inventory's name for the node; otherwise its address. */
  readonly name: string;
  readonly mac: string;
  /** Its group, by kind of grouping: `{"subnet": "192.0.2.0/24", "rack": "7"}`. */
  readonly groups: Readonly<Record<string, string>>;
  readonly state: NodeState;
  /** The file that it fetches, or last asked for. */
  readonly file: string;
  readonly kind: FileKind;
  /** `CHANNEL-NUMBER` where that file belongs to a boot set; otherwise empty. */
  readonly version: string;
  /** Progress of that file, 0..100. */
  readonly percent: number;
  /** Acknowledged bytes per second, averaged over the last seconds. */
  readonly rate: number;
  readonly retransmits: number;
  /** Whole seconds since its last progress or request; 0 while it makes progress. */
  readonly silent: number;
  /** The reason for its trouble, in words; otherwise empty. */
  readonly why: string;
}

/** The changed fields of a row. */
export type RowChange = Partial<NodeRow> & Pick<NodeRow, 'id'>;

/** The five areas where a boot can go wrong before the kernel runs. */
export const AREAS = ['requests', 'server', 'network', 'files', 'nodes'] as const;
export type Area = (typeof AREAS)[number];

/** `quiet`: there is nothing to judge by. */
export type AreaState = 'fine' | 'quiet' | 'watch' | 'bad';

export interface AreaReport {
  readonly area: Area;
  readonly state: AreaState;
  /** Summary in a few words. */
  readonly headline: string;
  /** A sentence: the usual meaning, or what to look at. */
  readonly detail: string;
}

/** A refusal or failure that nodes have met, however often. */
export interface Problem {
  /** The problem in plain words. */
  readonly what: string;
  /** The file, with placeholders in braces for the parts that differ from node to node. */
  readonly file: string;
  readonly count: number;
  /** Last occurrence, in milliseconds since the epoch. */
  readonly lastAt: number;
  /** Address of the last node that met it. */
  readonly node: string;
  /** Number of nodes that have asked for nothing since. */
  readonly stopped: number;
}

export interface ChannelRow {
  readonly name: string;
  readonly current: number | null;
  /** Boots under way by version, the newest version first. */
  readonly pins: readonly { readonly version: number; readonly boots: number }[];
  /** Set for a channel that follows a registry. */
  readonly registry?: { readonly isBehind: boolean; readonly failure: string | null };
}

/** A live server of the fleet. */
export interface FleetRow {
  /** Host name and port. */
  readonly name: string;
  /** True for the server that shows the row. */
  readonly isThis: boolean;
  readonly version: string;
  readonly channels: number;
  /** Channels whose promoted version it does not serve: how many, and the names of the first of them. */
  readonly behind: number;
  readonly behindNames: readonly string[];
  /** Versions in its store. */
  readonly staged: number;
  /** Nodes in the middle of a boot. */
  readonly pins: number;
  readonly transfers: number;
  readonly sessions: number;
  /** Its clock minus that of Redis, in milliseconds. */
  readonly skewMs: number;
}

export interface CacheRow {
  readonly heldBytes: number;
  readonly idleBytes: number;
  readonly shelvedBytes: number;
  readonly entries: number;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
}

/** One second of the charts. */
export interface ChartPoint {
  /** Seconds since the epoch. */
  readonly at: number;
  readonly bytesPerS: number;
  /** Transfers under way. */
  readonly active: number;
  /** Milliseconds from a request to its first reply; null where none was sent in that second. */
  readonly firstReplyP50: number | null;
  readonly firstReplyP99: number | null;
}

export interface Figures {
  /** Number of distinct nodes with a transfer. */
  readonly booting: number;
  readonly active: number;
  readonly queued: number;
  readonly trouble: number;
  readonly bytesPerS: number;
  readonly requestsPerS: number;
  /** Share of retransmits among the DATA packets of the last minute, 0..1; null when none was sent. */
  readonly retransmitShare: number | null;
  /** Milliseconds, over the last minute; null when no first reply was sent. */
  readonly firstReplyP99: number | null;
  /** Milliseconds since the epoch; null before the first. */
  readonly lastRequestAt: number | null;
  /** Number of recently active nodes without a row, because there are more than the maximum of rows. */
  readonly unlisted: number;
}

export interface ServerFacts {
  readonly version: string;
  readonly engine: string;
  readonly ready: boolean;
  readonly addresses: readonly string[];
  /** URLs of HTTP and HTTPS. */
  readonly http: readonly string[];
  readonly workers: number;
  /** True if all transfers run at the port that was asked. */
  readonly singlePort: boolean;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Servers of the same keeper before this one: those that died, and those that a successor replaced. */
  readonly deaths: number;
  readonly upgrades: number;
}

/** Parts that are replaced as a whole when they change. */
interface Whole {
  /** Milliseconds since the epoch, by the server's clock. */
  readonly now: number;
  readonly server: ServerFacts;
  readonly figures: Figures;
  readonly areas: readonly AreaReport[];
  readonly problems: readonly Problem[];
  readonly channels: readonly ChannelRow[];
  /** Live servers of the fleet; empty where there is no fleet, or it is out of sight. */
  readonly fleet: readonly FleetRow[];
  readonly cache: CacheRow;
  /** Ways to group nodes, the best first: labels of the inventory, then `subnet`. */
  readonly groupings: readonly string[];
}

export interface LiveSnapshot extends Whole {
  readonly nodes: readonly NodeRow[];
  /** The last ten minutes, oldest first. */
  readonly chart: readonly ChartPoint[];
}

/** Changes since the last snapshot or change. */
export interface LiveChange extends Partial<Whole> {
  readonly now: number;
  readonly figures: Figures;
  readonly changed: readonly (NodeRow | RowChange)[];
  readonly gone: readonly string[];
  /** Seconds of the chart that are new or have changed. */
  readonly points: readonly ChartPoint[];
}

/** Where a boot stopped, and why. */
export interface Verdict {
  readonly state: NodeState;
  /** The area to look at; `after`: this server has done its part. */
  readonly area: Area | 'after';
  /** One sentence that says what was seen. */
  readonly headline: string;
  /** The usual meaning of that. */
  readonly meaning: string;
}

/** One request of a node, or a time in which it requested nothing. */
export type BootStep =
  | {
      readonly step: 'ask';
      readonly protocol: Protocol;
      /** Milliseconds since the epoch. */
      readonly at: number;
      readonly file: string;
      readonly kind: FileKind;
      /** `blksize=1468 windowsize=4`; empty over HTTP. */
      readonly options: string;
      /** Number of repetitions of the request. */
      readonly repeats: number;
      readonly answer: 'sending' | 'sent' | 'size' | 'refused' | 'failed' | 'nothing';
      /** The outcome in words. */
      readonly what: string;
      readonly version: string;
      readonly origin: string;
      readonly bytes: number;
      readonly size: number;
      readonly retransmits: number;
      /** Time from the first request to the first reply, in milliseconds; null where it is not known. */
      readonly firstReplyMs: number | null;
      /** Time from the first request to the end, or to now, in milliseconds. */
      readonly tookMs: number;
      readonly port: number;
      readonly local: string;
    }
  | { readonly step: 'gap'; readonly at: number; readonly tookMs: number };

/** One request of a boot, with its answer. */
export type Ask = Extract<BootStep, { step: 'ask' }>;

export interface Boot {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly tookMs: number;
  readonly bytes: number;
  readonly retransmits: number;
  /** Versions of boot sets that the boot received. More than one of a channel is a mixed boot. */
  readonly versions: readonly string[];
  readonly verdict: Verdict;
  readonly steps: readonly BootStep[];
}

/** The report shown by `reveille node` and the node view. */
export interface NodeReport {
  readonly now: number;
  /** The node as the user wrote it. */
  readonly asked: string;
  readonly name: string;
  readonly addresses: readonly string[];
  /** `mac:…`, `uuid:…`, `serial:…`. */
  readonly ids: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** True when the inventory contains the node. */
  readonly inInventory: boolean;
  readonly verdict: Verdict;
  /** The newest first. */
  readonly boots: readonly Boot[];
  /** Number of requests that are no longer remembered: the memory is bounded. */
  readonly forgotten: number;
}
