/**
 * Recent refusals and failures of nodes, with equal ones combined: readers see a line for each kind, not for each node.
 * Bounded; counts events as they happen, and judges only on demand. Knows no HTTP.
 */
import type { DropRecord, RefusalRecord, TransferRecord } from '../server/types.ts';
import type { NodeHistory } from './node-history.ts';
import { FAULTS } from '../server/records.ts';
import { isWell } from './boots.ts';
import { STOPPED_MS } from './diagnosis.ts';
import { unansweredWords } from './unanswered.ts';
import { nodeErrorWords, outcomeWords, refusalWords } from '../live/words.ts';
import type { Problem } from '../live/wire.ts';

/**
 * Maximum number of kinds; those that have not occurred for the longest time are forgotten first.
 * @limit Kinds of refusals and failures remembered. Shows: nothing: the oldest kind is forgotten.
 */
const MAX_PROBLEMS = 256;
/** Number of nodes kept for each kind, the latest ones, to see whether they went on. */
const MAX_NODES = 64;
/** Age after which a problem is no longer shown. */
const LIFE_MS = 15 * 60_000;
const SHOWN = 40;
const MAX_FILE_SHOWN = 120;

interface Kept {
  /** True for the end of a transfer; false for the answer to a request. */
  readonly isOfTransfer: boolean;
  readonly what: string;
  readonly file: string;
  count: number;
  lastAt: number;
  /** Time of the problem by address, the latest address last. */
  readonly nodes: Map<string, number>;
}

/** @returns the name with the parts that differ from node to node replaced by placeholders in braces. */
export function withoutNode(file: string): string {
  return file
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi, '{uuid}')
    .replace(
      /(?<![0-9a-f])(?:20[-:](?:[0-9a-f]{2}[-:]){2})?(?:[0-9a-f]{2}[-:]){5}[0-9a-f]{2}(?![-:]?[0-9a-f])/gi,
      '{mac}',
    )
    .replace(/(pxelinux\.cfg\/|grub\.cfg-)[0-9A-F]{1,8}$/, '$1{hexip}')
    .replace(/(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])/g, '{ip}');
}

export class Problems {
  readonly #history: Pick<NodeHistory, 'node'>;
  readonly #show: (text: string, most: number) => string;
  readonly #now: () => number;
  /** Ordered by the last occurrence, the oldest first. */
  readonly #kept = new Map<string, Kept>();

  /** @param show escapes text from outside, so that it is safe to show. @param now milliseconds since the epoch. */
  constructor(
    history: Pick<NodeHistory, 'node'>,
    show: (text: string, most: number) => string,
    now: () => number = Date.now,
  ) {
    this.#history = history;
    this.#show = show;
    this.#now = now;
  }

  refusal({ client, filename, code, reason }: RefusalRecord): void {
    this.#met(client.address, refusalWords(code, this.#show(reason, MAX_FILE_SHOWN)), filename);
  }

  drop({ protocol, client, filename, reason }: DropRecord): void {
    this.#met(client.address, unansweredWords(protocol, reason), filename);
  }

  transfer({ protocol, client, file, outcome, errorCode, fault }: TransferRecord): void {
    if (outcome === 'complete' || outcome === 'completeUnconfirmed' || outcome === 'probe') return;
    if (fault === FAULTS.beganAnew) return;
    const what =
      outcome === 'clientError' && protocol === 'http'
        ? outcomeWords(outcome, protocol)
        : outcome === 'clientError'
          ? `the node gave up with error ${errorCode ?? 0}: ${nodeErrorWords(errorCode)}`
          : `${outcomeWords(outcome, protocol)}${fault === undefined ? '' : `: ${this.#show(fault, MAX_FILE_SHOWN)}`}`;
    this.#met(client.address, what, file, true);
  }

  /** @returns problems at which nodes have stopped first, then the latest. */
  list(): Problem[] {
    const now = this.#now();
    return [...this.#kept.values()]
      .filter(({ lastAt }) => now - lastAt <= LIFE_MS)
      .map(({ what, file, count, lastAt, nodes, isOfTransfer }) => ({
        what,
        file,
        count,
        lastAt,
        node: [...nodes.keys()].at(-1)!,
        stopped: [...nodes].filter(([address, at]) =>
          this.#hasStopped(address, isOfTransfer ? undefined : file, at, now),
        ).length,
      }))
      .toSorted((a, b) => b.stopped - a.stopped || b.lastAt - a.lastAt)
      .slice(0, SHOWN);
  }

  /** @param file undefined for a problem of a transfer: its file is that of the last ask. */
  #hasStopped(address: string, file: string | undefined, at: number, now: number): boolean {
    const last = this.#history.node(address)?.asks.at(-1);
    if (last === undefined || last.at > at || now - at < STOPPED_MS) return false;
    // A loader tries several names in one millisecond: it stopped at the last one.
    if (file === undefined) return last.end?.kind === 'sent' && !isWell(last);
    return last.end?.kind !== 'sent' && withoutNode(last.file) === file;
  }

  #met(address: string, what: string, filename: string, isOfTransfer = false): void {
    const now = this.#now();
    const file = withoutNode(this.#show(filename, MAX_FILE_SHOWN));
    const key = `${what}\0${file}`;
    const kept = this.#kept.get(key) ?? {
      isOfTransfer,
      what,
      file,
      count: 0,
      lastAt: now,
      nodes: new Map<string, number>(),
    };
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    kept.count++;
    kept.lastAt = now;
    kept.nodes.delete(address);
    kept.nodes.set(address, now);
    if (kept.nodes.size > MAX_NODES) kept.nodes.delete(kept.nodes.keys().next().value!);
    if (this.#kept.size > MAX_PROBLEMS) this.#kept.delete(this.#kept.keys().next().value!);
  }
}
