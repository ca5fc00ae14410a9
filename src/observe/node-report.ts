/**
 * The last boots of one node: found by address, MAC, UUID, serial number or inventory name, and shown as timelines that
 * say where each boot stopped and what that usually means. Pure over the history.
 */
import { areOfTwoMachines, ipNode, kindOf, type NodeId } from '../boot-set/node/node-identity.ts';
import type { TransferView } from '../server/types.ts';
import type { Ask } from './ask.ts';
import { bootsOf, movedAt, stepsOf } from './boots.ts';
import { diagnose, neverHeard } from './diagnosis.ts';
import type { NodeHistory, NodeMemory } from './node-history.ts';
import type { KnownNode } from './row-list.ts';
import type { Boot, NodeReport } from '../live/wire.ts';

/** Number of boots in a report. */
const MAX_BOOTS = 10;
/** Boots that began within this time before another one may be attempts at the same. */
const ALIKE_MS = 30 * 60_000;

export interface ReportParts {
  /** The node as the user wrote it. */
  readonly asked: string;
  /** Ids that `asked` may name, the best first. */
  readonly ids: readonly NodeId[];
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly history: NodeHistory;
  readonly known: (ids: readonly NodeId[]) => (KnownNode & { readonly address?: readonly string[] }) | undefined;
  readonly show: (text: string, most: number) => string;
  readonly transfers: readonly TransferView[];
}

/** @returns the memories of all addresses of the node, the latest first. */
function memoriesOf({ ids, history }: ReportParts, listed: readonly string[]): NodeMemory[] {
  const addresses = new Set<string>();
  for (const id of ids) {
    if (kindOf(id) === 'ip') addresses.add(id.slice(3));
    for (const address of history.addressesOf(id)) addresses.add(address);
  }
  const own = [...addresses].map((address) => history.node(address)).filter((memory) => memory !== undefined);
  // An address from the inventory may meanwhile belong to another machine.
  const told = listed
    .filter((address) => !addresses.has(address))
    .map((address) => history.node(address))
    .filter((memory) => memory !== undefined && !areOfTwoMachines(memory.ids, ids));
  return [...own, ...(told as NodeMemory[])].toSorted((a, b) => b.lastAt - a.lastAt);
}

function bootOf(boot: readonly Ask[], parts: ReportParts, alike: number): Boot {
  const { now, transfers } = parts;
  const first = boot[0]!;
  const last = boot.at(-1)!;
  const moving = transfers.find(({ id, state }) => state !== 'ended' && boot.some((ask) => ask.transfer === id));
  const endedAt = moving === undefined ? Math.max(...boot.map(movedAt)) : now;
  const steps = stepsOf(boot, now).map((step) =>
    step.step === 'ask' && step.answer === 'sending' && moving !== undefined && step.at === last.at
      ? { ...step, bytes: moving.bytes, size: moving.size, retransmits: moving.retransmits }
      : step,
  );
  const asks = steps.filter((step) => step.step === 'ask');
  return {
    at: first.at,
    tookMs: Math.max(0, endedAt - first.at),
    bytes: asks.reduce((sum, { bytes }) => sum + bytes, 0),
    retransmits: asks.reduce((sum, { retransmits }) => sum + retransmits, 0),
    versions: [...new Set(asks.map(({ version }) => version).filter((version) => version !== ''))],
    verdict: diagnose(boot, { now, moving, alike }),
    steps,
  };
}

/** @returns the number of boots directly before that ended at the same file. @param boots oldest first. */
function alikeBefore(boots: readonly (readonly Ask[])[], index: number): number {
  const boot = boots[index]!;
  const file = boot.at(-1)!.file;
  let count = 0;
  for (let before = index - 1; before >= 0; before--) {
    const other = boots[before]!;
    if (other.at(-1)!.file !== file || boot[0]!.at - other[0]!.at > ALIKE_MS) break;
    count++;
  }
  return count;
}

export function reportOf(parts: ReportParts): NodeReport {
  const { asked, now, show } = parts;
  const named = parts.known(parts.ids);
  const memories = memoriesOf(parts, named?.address ?? []);
  const learned = memories[0]?.ids ?? [];
  const byAddress = memories[0] === undefined ? [] : [ipNode(memories[0].address)];
  const node = named ?? parts.known([...learned, ...byAddress]);
  const asks = memories.flatMap((memory) => memory.asks).toSorted((a, b) => a.at - b.at);
  const cut = bootsOf(asks);
  const boots = cut
    .map((boot, index) => ({ boot, index }))
    .slice(-MAX_BOOTS)
    .toReversed()
    .map(({ boot, index }) => bootOf(boot, parts, alikeBefore(cut, index)));
  const labels = Object.entries(node?.labels ?? {}).map(([key, value]) => [show(key, 60), show(value, 60)]);
  const shown = show(asked, 100);
  const macs = (node?.mac ?? []).map((mac) => `mac:${mac}`);
  return {
    now,
    asked: shown,
    name: node === undefined ? (memories[0]?.address ?? shown) : show(node.name, 60),
    addresses: memories.map(({ address }) => address),
    ids: [...new Set([...parts.ids.filter((id) => kindOf(id) !== 'ip'), ...learned, ...macs])],
    labels: Object.fromEntries(labels) as Record<string, string>,
    inInventory: node !== undefined,
    verdict: boots[0]?.verdict ?? neverHeard(shown),
    boots,
    forgotten: memories.reduce((sum, { forgotten }) => sum + forgotten, 0),
  };
}
