/**
 * What the live page, `reveille top` and `reveille node` are told: plain data, as it crosses HTTP. Text in it that came
 * from a node has been escaped. Knows no server and no browser.
 */

/** What a node is doing. The order is that of every list: those that need somebody come first. */
export const NODE_STATES = [
  /** Its transfer has not moved for 5 s. */
  'stuck',
  /** Its last transfer ended badly, and nothing came after it. */
  'failed',
  /** What it asked last was refused, and nothing came after it. */
  'stopped',
  /** Its transfer has not moved for 3 s. */
  'silent',
  /** Its request is being looked up, or waits for a session. */
  'waiting',
  /** Our first reply is on its way. */
  'opening',
  'loading',
  /** Between two files. */
  'between',
  /** Everything it asked for was sent, and it has been quiet since. */
  'done',
] as const;
export type NodeState = (typeof NODE_STATES)[number];

/** States that somebody should look at. */
export const TROUBLE: ReadonlySet<NodeState> = new Set(['stuck', 'failed', 'stopped', 'silent']);

/** Of which part of a boot a file is, by its name. */
export type FileKind = 'loader' | 'config' | 'kernel' | 'initrd' | 'module' | 'file';

/** One node, as a list shows it. */
export interface NodeRow {
  /** The address that it asks from. */
  readonly id: string;
  /** As the inventory calls it; else the address. */
  readonly name: string;
  readonly mac: string;
  /** Where it belongs, by kind of grouping: `{"subnet": "192.0.2.0/24", "rack": "7"}`. */
  readonly groups: Readonly<Record<string, string>>;
  readonly state: NodeState;
  /** What it fetches, or asked for last. */
  readonly file: string;
  readonly kind: FileKind;
  /** `CHANNEL-NUMBER` where that file is one of a boot set; else empty. */
  readonly version: string;
  /** Of that file, 0..100. */
  readonly percent: number;
  /** Acknowledged bytes per second, over the last seconds. */
  readonly rate: number;
  readonly retransmits: number;
  /** Whole seconds since it last moved or was heard of; 0 while it moves. */
  readonly silent: number;
  /** Why it is in trouble, in words; else empty. */
  readonly why: string;
}

/** What of a row has changed. */
export type RowChange = Partial<NodeRow> & Pick<NodeRow, 'id'>;

/** The five places where a boot can go wrong before the kernel runs. */
export const AREAS = ['requests', 'server', 'network', 'files', 'nodes'] as const;
export type Area = (typeof AREAS)[number];

/** `quiet`: nothing to judge by. */
export type AreaState = 'fine' | 'quiet' | 'watch' | 'bad';

export interface AreaReport {
  readonly area: Area;
  readonly state: AreaState;
  /** A few words. */
  readonly headline: string;
  /** A sentence: what it usually means, or what to look at. */
  readonly detail: string;
}

/** A refusal or failure that nodes have met, however often. */
export interface Problem {
  /** In plain words. */
  readonly what: string;
  /** The file, with what differs from node to node in braces. */
  readonly file: string;
  readonly count: number;
  /** Milliseconds since the epoch. */
  readonly lastAt: number;
  /** The last node that met it. */
  readonly node: string;
  /** Nodes that were not heard of again after it. */
  readonly stopped: number;
}

export interface ChannelRow {
  readonly name: string;
  readonly current: number | null;
  /** Boots under way by version, the newest version first. */
  readonly pins: readonly { readonly version: number; readonly boots: number }[];
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
  /** Transfers running. */
  readonly active: number;
  /** Milliseconds from a request to its first reply; null where none was sent in that second. */
  readonly firstReplyP50: number | null;
  readonly firstReplyP99: number | null;
}

export interface Figures {
  /** Distinct nodes with a transfer. */
  readonly booting: number;
  readonly active: number;
  readonly queued: number;
  readonly trouble: number;
  readonly bytesPerS: number;
  readonly requestsPerS: number;
  /** Of the DATA packets of the last minute, 0..1; null when none was sent. */
  readonly retransmitShare: number | null;
  /** Over the last minute; null when none was sent. */
  readonly firstReplyP99: number | null;
  /** Milliseconds since the epoch; null before the first. */
  readonly lastRequestAt: number | null;
  /** Nodes heard of that no row stands for: there are more than rows. */
  readonly unlisted: number;
}

export interface ServerFacts {
  readonly version: string;
  readonly engine: string;
  readonly ready: boolean;
  readonly addresses: readonly string[];
  readonly workers: number;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

/** What changes as a whole. */
interface Whole {
  /** Milliseconds since the epoch, by the server's clock. */
  readonly now: number;
  readonly server: ServerFacts;
  readonly figures: Figures;
  readonly areas: readonly AreaReport[];
  readonly problems: readonly Problem[];
  readonly channels: readonly ChannelRow[];
  readonly cache: CacheRow;
  /** Ways to group nodes, the best first: labels of the inventory, then `subnet`. */
  readonly groupings: readonly string[];
}

export interface LiveSnapshot extends Whole {
  readonly nodes: readonly NodeRow[];
  /** The last ten minutes, oldest first. */
  readonly chart: readonly ChartPoint[];
}

/** What has changed since the snapshot or change before. */
export interface LiveChange extends Partial<Whole> {
  readonly now: number;
  readonly figures: Figures;
  readonly changed: readonly (NodeRow | RowChange)[];
  readonly gone: readonly string[];
  /** Seconds of the chart that are new or have changed. */
  readonly points: readonly ChartPoint[];
}

/** Where and why a boot stopped. */
export interface Verdict {
  readonly state: NodeState;
  /** Where to look; `after`: TFTP has done its part. */
  readonly area: Area | 'after';
  /** What was seen, in one sentence. */
  readonly headline: string;
  /** What that usually means. */
  readonly meaning: string;
}

/** One thing that a node asked for, or a time in which it asked for nothing. */
export type BootStep =
  | {
      readonly step: 'ask';
      /** Milliseconds since the epoch. */
      readonly at: number;
      readonly file: string;
      readonly kind: FileKind;
      /** `blksize=1468 windowsize=4`. */
      readonly options: string;
      /** Times that the request was repeated. */
      readonly repeats: number;
      readonly answer: 'sending' | 'sent' | 'size' | 'refused' | 'failed' | 'nothing';
      /** In words. */
      readonly what: string;
      readonly version: string;
      readonly origin: string;
      readonly bytes: number;
      readonly size: number;
      readonly retransmits: number;
      /** From the first request to the first reply, in milliseconds; null where it is not known. */
      readonly firstReplyMs: number | null;
      /** From the first request to the end, or to now. */
      readonly tookMs: number;
      readonly port: number;
      readonly local: string;
    }
  | { readonly step: 'gap'; readonly at: number; readonly tookMs: number };

export interface Boot {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly tookMs: number;
  readonly bytes: number;
  readonly retransmits: number;
  /** Versions of boot sets that it was given. More than one of a channel is a mixed boot. */
  readonly versions: readonly string[];
  readonly verdict: Verdict;
  readonly steps: readonly BootStep[];
}

/** What `reveille node` and the node view show. */
export interface NodeReport {
  readonly now: number;
  /** As it was asked for. */
  readonly asked: string;
  readonly name: string;
  readonly addresses: readonly string[];
  /** `mac:…`, `uuid:…`, `serial:…`. */
  readonly ids: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Whether the inventory has it. */
  readonly inInventory: boolean;
  readonly verdict: Verdict;
  /** The newest first. */
  readonly boots: readonly Boot[];
  /** Requests that are no longer remembered: the memory is bounded. */
  readonly forgotten: number;
}
