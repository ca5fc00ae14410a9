/**
 * The live state, updated once a second: a snapshot for each new reader, then changes. Always samples the charts; makes
 * the list of nodes only while there are readers. Knows no HTTP.
 */
import type { NodeId } from '../boot-set/node/node-identity.ts';
import type {
  DropRecord,
  RefusalRecord,
  RequestRecord,
  Server,
  ServerObserver,
  StartRecord,
  TransferRecord,
} from '../server/types.ts';
import { urlOf } from '../http/http-url.ts';
import { formatAddress } from '../text/address-text.ts';
import { TimeSeries, countsOf } from './time-series.ts';
import { NodeHistory } from './node-history.ts';
import { reportOf } from './node-report.ts';
import { areaReports } from './area-states.ts';
import { Problems } from './problems.ts';
import { groupingsOf, type KnownNode, RowList, type Rows } from './row-list.ts';
import type {
  CacheRow,
  ChannelRow,
  FleetRow,
  LiveChange,
  LiveSnapshot,
  NodeReport,
  NodeRow,
  RowChange,
  ServerFacts,
} from '../live/wire.ts';

/** Interval of samples and of changes. */
export const TICK_MS = 1000;
/** Time for which the ways to group nodes are reused. */
const GROUPINGS_MS = 5000;
/** A list no older than this is reused for another reader. */
const FRESH_MS = 500;

export interface LiveStateParts {
  /** undefined while the server has not started. */
  readonly server: () =>
    | Pick<Server, 'transfers' | 'stats' | 'ready' | 'addresses' | 'httpAddresses' | 'engine'>
    | undefined;
  readonly channels: () => readonly ChannelRow[];
  readonly fleet: () => readonly FleetRow[];
  readonly cache: () => CacheRow;
  /** @returns the inventory's entry for the first of these ids that it knows. */
  readonly known: (ids: readonly NodeId[]) => KnownNode | undefined;
  /** Escapes text from outside, so that it is safe to show. */
  readonly show: (text: string, most: number) => string;
  readonly version: string;
  readonly workers: number;
  readonly singlePort: boolean;
  /** The servers before this one. `cause`: how the last of them died; undefined: it did not. */
  readonly history: () => { readonly deaths: number; readonly upgrades: number; readonly cause: string | undefined };
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number;
}

type Whole = Omit<LiveSnapshot, 'nodes' | 'chart'>;

export class LiveState {
  readonly history: NodeHistory;
  readonly #parts: LiveStateParts;
  readonly #now: () => number;
  readonly #problems: Problems;
  readonly #series = new TimeSeries();
  readonly #list: RowList;
  readonly #startedAt: number;
  readonly #listeners = new Set<(change: LiveChange) => void>();
  #lastRequestAt: number | null = null;
  #timer: NodeJS.Timeout | undefined;
  /** State as the listeners know it. */
  #told: { readonly rows: ReadonlyMap<string, NodeRow>; readonly whole: Readonly<Record<string, string>> } | undefined;
  #groupings: { readonly names: readonly string[]; readonly count: number; readonly at: number } | undefined;
  #made: { readonly at: number; readonly rows: Rows } | undefined;

  constructor(parts: LiveStateParts) {
    this.#parts = parts;
    this.#now = parts.now ?? Date.now;
    this.history = new NodeHistory({ show: parts.show, now: this.#now });
    this.#problems = new Problems(this.history, parts.show, this.#now);
    this.#list = new RowList({ history: this.history, known: parts.known, show: parts.show });
    this.#startedAt = this.#now();
  }

  /** Starts to sample. The timer does not keep the process alive. */
  start(): void {
    this.#timer ??= setInterval(() => this.tick(), TICK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#listeners.clear();
  }

  /** Optional hooks: a server makes these records only for an observer that has them. */
  get observer(): Required<Pick<ServerObserver, 'onRequest' | 'onDrop'>> {
    return {
      onRequest: (record: RequestRecord) => {
        this.#lastRequestAt = this.#now();
        this.history.request(record);
      },
      onDrop: (record: DropRecord) => {
        this.history.drop(record);
        this.#problems.drop(record);
      },
    };
  }

  onStart(record: StartRecord): void {
    this.history.start(record);
  }

  onTransfer(record: TransferRecord): void {
    this.history.transfer(record);
    this.#problems.transfer(record);
    const { firstReplyMs, durationMs } = record;
    const now = this.#now();
    if (firstReplyMs !== undefined) this.#series.replied(now - durationMs, firstReplyMs, now);
  }

  onRefusal(record: RefusalRecord): void {
    this.history.refusal(record);
    this.#problems.refusal(record);
  }

  /** Takes one sample, and sends the changes to every listener. */
  tick(): void {
    const server = this.#parts.server();
    if (server === undefined) return;
    const stats = server.stats();
    const now = this.#now();
    this.#series.sample(now, countsOf(stats), stats.transfersActive);
    if (this.#listeners.size === 0) {
      this.#told = undefined;
      return;
    }
    const change = this.#change(now);
    for (const listen of this.#listeners) listen(change);
  }

  /**
   * Passes a snapshot to `begin`, and from then on every change to `listen`: no change is lost between the two.
   *
   * @returns a function that ends it.
   */
  follow(begin: (snapshot: LiveSnapshot) => void, listen: (change: LiveChange) => void): () => void {
    const snapshot = this.snapshot();
    this.#told ??= { rows: new Map(snapshot.nodes.map((row) => [row.id, row])), whole: {} };
    begin(snapshot);
    this.#listeners.add(listen);
    return () => {
      this.#listeners.delete(listen);
    };
  }

  snapshot(): LiveSnapshot {
    const now = this.#now();
    // Current listeners know the rows as last sent, and the next change is relative to those: a new reader gets the
    // same rows.
    const rows = this.#told === undefined ? this.#rows(now).rows : [...this.#told.rows.values()];
    return { ...this.#whole(now), nodes: rows, chart: this.#series.points() };
  }

  /**
   * @returns a report on a node. @param asked the node as the user wrote it. @param ids ids that `asked` may name, the
   * best first.
   */
  node(asked: string, ids: readonly NodeId[]): NodeReport {
    return reportOf({
      asked,
      ids,
      now: this.#now(),
      history: this.history,
      known: this.#parts.known,
      show: this.#parts.show,
      transfers: this.#parts.server()?.transfers() ?? [],
    });
  }

  #rows(now: number): Rows {
    if (this.#made !== undefined && now - this.#made.at >= 0 && now - this.#made.at < FRESH_MS) return this.#made.rows;
    const rows = this.#list.make(this.#parts.server()?.transfers() ?? [], now);
    this.#made = { at: now, rows };
    return rows;
  }

  #whole(now: number): Whole {
    const { channels, fleet, cache } = this.#parts;
    const server = this.#parts.server();
    const { rows, booting, trouble, unlisted } = this.#rows(now);
    const { transfersActive: active = 0, transfersQueued: queued = 0 } = server?.stats() ?? {};
    const problems = this.#problems.list();
    const { minute, now: pace } = this.#series;
    const firstReplyP99 = this.#series.firstReplyOfMinute(0.99);
    const lastRequestAt = this.#lastRequestAt;
    return {
      now,
      server: this.#facts(server),
      figures: {
        booting,
        active,
        queued,
        trouble: Object.values(trouble).reduce((sum, count) => sum + count, 0),
        bytesPerS: Math.round(pace.bytesPerS),
        requestsPerS: Math.round(pace.requestsPerS),
        retransmitShare: minute.dataSent === 0 ? null : minute.retransmits / minute.dataSent,
        firstReplyP99,
        lastRequestAt,
        unlisted,
      },
      areas: areaReports({
        now,
        ready: server?.ready ?? false,
        startedAt: this.#startedAt,
        deathBefore: this.#parts.history().cause,
        lastRequestAt,
        requestsPerS: pace.requestsPerS,
        minute,
        firstReplyP99,
        active,
        queued,
        booting,
        trouble,
        worstFile: problems[0],
      }),
      problems,
      channels: channels(),
      fleet: fleet(),
      cache: cache(),
      groupings: this.#groupingsOf(rows, now),
    };
  }

  /** Reads every label of every node, so it is not done each time. */
  #groupingsOf(rows: readonly NodeRow[], now: number): readonly string[] {
    const known = this.#groupings;
    if (known !== undefined && known.count === rows.length && now - known.at < GROUPINGS_MS) return known.names;
    this.#groupings = { names: groupingsOf(rows), count: rows.length, at: now };
    return this.#groupings.names;
  }

  #facts(server: ReturnType<LiveStateParts['server']>): ServerFacts {
    const { version, workers, singlePort } = this.#parts;
    const { deaths, upgrades } = this.#parts.history();
    const addresses = server?.addresses ?? [];
    return {
      version,
      engine: server?.engine ?? '',
      ready: server?.ready ?? false,
      addresses: addresses.map(formatAddress),
      http: (server?.httpAddresses ?? []).map(urlOf),
      workers,
      singlePort,
      startedAt: this.#startedAt,
      deaths,
      upgrades,
    };
  }

  #change(now: number): LiveChange {
    this.#made = undefined;
    const whole = this.#whole(now);
    const { figures, ...rest } = whole;
    const rows = new Map<string, NodeRow>();
    for (const row of this.#rows(now).rows) rows.set(row.id, row);
    const before = this.#told?.rows ?? new Map<string, NodeRow>();
    const texts = Object.fromEntries(
      Object.entries(rest).flatMap(([key, value]) => (key === 'now' ? [] : [[key, JSON.stringify(value)]])),
    );
    const changedParts = Object.entries(rest).filter(([key]) => key !== 'now' && texts[key] !== this.#told?.whole[key]);
    const changed: (NodeRow | RowChange)[] = [];
    for (const [id, row] of rows) {
      const known = before.get(id);
      const change = known === undefined ? row : changeOf(known, row);
      if (change !== undefined) changed.push(change);
    }
    this.#told = { rows, whole: texts };
    return {
      ...(Object.fromEntries(changedParts) as Partial<Whole>),
      now,
      figures,
      changed,
      gone: [...before.keys()].filter((id) => !rows.has(id)),
      points: this.#series.takeChanged(),
    };
  }
}

/** The fields in which a node's row may change; `groups` is the same object while nothing in it has changed. */
const CHANGING = [
  'state',
  'percent',
  'rate',
  'silent',
  'retransmits',
  'file',
  'kind',
  'version',
  'why',
  'name',
  'mac',
  'groups',
] as const satisfies readonly (keyof NodeRow)[];

/** @returns undefined when nothing has changed. */
function changeOf(before: NodeRow, row: NodeRow): RowChange | undefined {
  let change: Record<string, unknown> | undefined;
  for (const key of CHANGING) {
    if (row[key] === before[key]) continue;
    change ??= { id: row.id };
    change[key] = row[key];
  }
  return change as RowChange | undefined;
}
