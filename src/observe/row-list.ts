/**
 * The list of nodes as the page shows it: nodes with a transfer, and nodes that were active recently. Combines
 * transfers under way, the history of nodes, and their names in the inventory. Knows no HTTP.
 */
import type { NodeId } from '../boot-set/node/node-identity.ts';
import type { TransferView } from '../server/types.ts';
import type { Ask } from './ask.ts';
import { bootsOf, isWell } from './boots.ts';
import { diagnose, stateOf } from './diagnosis.ts';
import type { NodeHistory, NodeMemory } from './node-history.ts';
import { subnetOf } from './subnet.ts';
import { compareRows, kindOfFile } from '../live/words.ts';
import { type Area, type NodeRow, type NodeState, TROUBLE } from '../live/wire.ts';

/** Silence after which a node leaves the list. */
const LISTED_MS = 15 * 60_000;
/** Silence after which a node without trouble leaves the list. */
const LISTED_DONE_MS = 5 * 60_000;
/**
 * Maximum number of rows; those that need attention come first.
 * @limit Nodes listed on the live page, the worst first. Shows: the page counts the others.
 */
export const MAX_ROWS = 5000;
/** Weight of the last second in a rate. */
const FRESH = 0.5;
/** Time in milliseconds for which a node's inventory data is reused. */
const WHO_MS = 5000;
/** Number of a node's latest requests that are searched for the beginning of its last boot. */
const ASKS_OF_A_BOOT = 64;

/** A node's entry in the inventory. */
export interface KnownNode {
  readonly name: string;
  readonly mac: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

export interface RowListParts {
  readonly history: NodeHistory;
  /** @returns the inventory's entry for the first of these ids that it knows. */
  readonly known: (ids: readonly NodeId[]) => KnownNode | undefined;
  /** Escapes text from outside, so that it is safe to show. */
  readonly show: (text: string, most: number) => string;
}

export interface Rows {
  readonly rows: readonly NodeRow[];
  readonly booting: number;
  /** Number of nodes in trouble, by the area that their verdict points to. */
  readonly trouble: Readonly<Record<Area | 'after', number>>;
  readonly unlisted: number;
}

interface Moved {
  bytes: number;
  at: number;
  rate: number;
}

/** @returns the most informative of a node's transfers: the one that began last. */
function latest(views: readonly TransferView[]): TransferView {
  return views.reduce((best, view) => (view.id > best.id ? view : best));
}

const NONE: readonly TransferView[] = [];

type Who = Pick<NodeRow, 'name' | 'mac' | 'groups'>;

export class RowList {
  readonly #parts: RowListParts;
  readonly #whos = new Map<
    string,
    { readonly ids: readonly NodeId[]; readonly node: KnownNode | undefined; readonly at: number; readonly who: Who }
  >();
  /** Progress of transfers when the list was last made, by transfer id. */
  #moved = new Map<number, Moved>();

  constructor(parts: RowListParts) {
    this.#parts = parts;
  }

  /** @param now milliseconds since the epoch. */
  make(views: readonly TransferView[], now: number): Rows {
    const rates = this.#rates(views, now);
    const byAddress = new Map<string, TransferView[]>();
    for (const view of views) {
      if (view.state === 'ended') continue;
      const { address } = view.client;
      const others = byAddress.get(address);
      if (others === undefined) byAddress.set(address, [view]);
      else others.push(view);
    }
    const trouble: Record<Area | 'after', number> = {
      requests: 0,
      server: 0,
      network: 0,
      files: 0,
      nodes: 0,
      after: 0,
    };
    const rows: NodeRow[] = [];
    for (const memory of this.#parts.history.nodes()) {
      const own = byAddress.get(memory.address) ?? NONE;
      const row = this.#row(memory, own, rates, now, trouble);
      if (row !== undefined) rows.push(row);
    }
    if (rows.length > MAX_ROWS) rows.sort(compareRows);
    return {
      rows: rows.slice(0, MAX_ROWS),
      booting: byAddress.size,
      trouble,
      unlisted: Math.max(0, rows.length - MAX_ROWS),
    };
  }

  #rates(views: readonly TransferView[], now: number): ReadonlyMap<number, Moved> {
    const moved = new Map<number, Moved>();
    for (const { id, bytes } of views) {
      const before = this.#moved.get(id);
      const passedS = before === undefined ? 0 : (now - before.at) / 1000;
      // The previous list is too recent to compute a rate from, so the rate stays.
      if (before !== undefined && passedS < 0.2) moved.set(id, before);
      else {
        const fresh = before === undefined ? 0 : Math.max(0, bytes - before.bytes) / passedS;
        const rate = before === undefined || before.rate === 0 ? fresh : before.rate * (1 - FRESH) + fresh * FRESH;
        moved.set(id, { bytes, at: now, rate });
      }
    }
    this.#moved = moved;
    return moved;
  }

  #row(
    memory: NodeMemory,
    views: readonly TransferView[],
    rates: ReadonlyMap<number, Moved>,
    now: number,
    trouble: Record<Area | 'after', number>,
  ): NodeRow | undefined {
    const silence = now - memory.lastAt;
    if (views.length === 0 && silence > LISTED_MS) return undefined;
    const { asks } = memory;
    const moving = views.length === 0 ? undefined : latest(views);
    const state = stateOf(asks, { now, moving });
    if (state === 'done' && silence > LISTED_DONE_MS) return undefined;
    const ask = asks.findLast((one) => moving === undefined || one.transfer === moving.id) ?? asks.at(-1)!;
    const file = moving === undefined || ask.transfer === moving.id ? ask.file : this.#parts.show(moving.file, 200);
    let why = '';
    if (TROUBLE.has(state)) {
      const boot = bootsOf(asks.slice(-ASKS_OF_A_BOOT)).at(-1)!;
      const verdict = diagnose(boot, { now, moving, alike: 0 });
      trouble[verdict.area]++;
      why = verdict.headline;
    }
    const { name, mac, groups } = this.#who(memory, now);
    ask.kind ??= kindOfFile(ask.file);
    let rate = 0;
    for (const { id } of views) rate += rates.get(id)?.rate ?? 0;
    // The fields are listed one by one, because this runs for every node in every second.
    return {
      id: memory.address,
      name,
      mac,
      groups,
      state,
      file,
      kind: file === ask.file ? ask.kind : kindOfFile(file),
      version: ask.started?.version ?? '',
      percent: percentOf(ask, moving),
      rate: Math.round(rate / 1000) * 1000,
      retransmits: moving?.retransmits ?? (ask.end?.kind === 'sent' ? ask.end.retransmits : 0),
      silent: silentS(moving, silence, state),
      why,
    };
  }

  #who({ address, ids }: NodeMemory, now: number): Who {
    const before = this.#whos.get(address);
    if (before !== undefined && before.ids === ids && now - before.at < WHO_MS) return before.who;
    const node = this.#parts.known([...ids, `ip:${address.toLowerCase()}`]);
    // The object stays the same while nothing has changed, so that its contents need no comparison.
    const who = before?.ids === ids && before.node === node ? before.who : this.#look(address, ids, node);
    // Clearing the whole map now and then also drops the entries of nodes that are no longer listed.
    if (this.#whos.size > 2 * MAX_ROWS) this.#whos.clear();
    this.#whos.set(address, { ids, node, at: now, who });
    return who;
  }

  #look(address: string, ids: readonly NodeId[], node: KnownNode | undefined): Who {
    const mac = ids.find((id) => id.startsWith('mac:'))?.slice(4) ?? node?.mac[0] ?? '';
    const { show } = this.#parts;
    const labels = Object.entries(node?.labels ?? {}).map(([key, value]) => [show(key, 60), show(value, 60)]);
    return {
      name: node === undefined ? address : show(node.name, 60),
      mac,
      groups: { ...(Object.fromEntries(labels) as Record<string, string>), subnet: subnetOf(address) },
    };
  }
}

function percentOf(ask: Ask, moving: TransferView | undefined): number {
  if (moving !== undefined) return moving.size === 0 ? 0 : Math.floor((moving.bytes / moving.size) * 100);
  if (isWell(ask)) return 100;
  const size = ask.started?.size ?? 0;
  return ask.end?.kind === 'sent' && size > 0 ? Math.min(99, Math.floor((ask.end.bytes / size) * 100)) : 0;
}

/**
 * @returns whole seconds of silence; 0 while the node makes progress or is finished, so that its row does not change
 * every second.
 */
function silentS(moving: TransferView | undefined, silence: number, state: NodeState): number {
  const ms = moving === undefined ? silence : moving.silentMs;
  if (state === 'done' || state === 'between') return 0;
  return ms < 1000 ? 0 : Math.floor(ms / 1000);
}

/** @returns ways to group nodes, the best first: labels that divide them into several groups, then their subnet. */
export function groupingsOf(rows: readonly NodeRow[]): string[] {
  const values = new Map<string, Set<string>>();
  const counts = new Map<string, number>();
  for (const { groups } of rows) {
    for (const [key, value] of Object.entries(groups)) {
      if (key === 'subnet') continue;
      values.set(key, (values.get(key) ?? new Set()).add(value));
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  // A label with a different value for each node makes no groups, nor does one that few nodes have.
  const good = [...values].filter(
    ([key, set]) => set.size <= counts.get(key)! / 2 && counts.get(key)! >= rows.length / 2,
  );
  const rank = (key: string): number =>
    /^rack$/i.test(key) ? 0 : /rack|cabinet|chassis|row|room|site/i.test(key) ? 1 : 2;
  const labels = good.map(([key]) => key).toSorted((a, b) => rank(a) - rank(b) || a.localeCompare(b, 'en'));
  return [...labels, 'subnet'];
}
