/**
 * Transfers whose worker has died: which of them go on, with another worker, and which are over; and those that begin
 * before the dead worker has been replaced, where no other can take them. Knows slots and the table; the pool knows
 * threads.
 */
import type { TransferReport } from '../engine/report.ts';
import type { UnreadDatagram } from '../engine/types.ts';
import { type Loss, noLosses } from './figures.ts';
import { faultReport } from './pool.ts';
import { BEGIN, isPackable, type OrderTerms } from './report-record.ts';
import { lostReport } from './resumption.ts';
import type { TransferTable } from './transfer-table.ts';

/** Numbers of transfers of a worker that has died. */
export interface Bereaved {
  /** They go on with another worker. */
  readonly resumed: number;
  readonly lost: number;
}

export const NOBODY: Bereaved = { resumed: 0, lost: 0 };

interface Waiting {
  readonly slot: number;
  readonly terms: OrderTerms;
  /** The worker that must run the transfer; undefined: any. */
  readonly worker: number | undefined;
  /** True if the transfer is over, and the worker only reports its end. */
  readonly isOver?: boolean;
}

/** @returns false when the worker, or each of them, can't take one more transfer now. */
type Give = (slot: number, terms: OrderTerms, worker: number | undefined) => boolean;

export class Takeover {
  readonly lost: Record<Loss, number> = noLosses();
  resumed = 0;
  readonly #table: TransferTable;
  readonly #ended: (slot: number, report: TransferReport) => void;
  /** Transfers that no worker has, oldest first. At most one for each slot. */
  #waiting: Waiting[] = [];

  constructor(table: TransferTable, ended: (slot: number, report: TransferReport) => void) {
    this.#table = table;
    this.#ended = ended;
  }

  /** Reports transfers as lost. */
  lose(slots: readonly number[], loss: Loss, fault: string): void {
    this.lost[loss] += slots.length;
    for (const slot of slots) this.#ended(slot, faultReport(fault));
  }

  /**
   * Reports the transfers that were over when their worker died; the others wait for give(). At a shared port those that
   * are over wait too: the next worker first reads what their clients have sent, which their next transfers must not get.
   *
   * @param unread datagrams whose tokens are serial numbers of transfers, and whose tags are slots. @param worker the
   *   number of the worker, which its successor has too. @returns how many go on.
   */
  take(slots: readonly number[], unread: readonly UnreadDatagram[], worker: number | undefined): number {
    let resumed = 0;
    const { cells } = this.#table;
    // The last packet of a transfer counts: it acknowledges more than those before.
    const packets = unread.filter(({ bytes }) => isPackable(bytes));
    const byToken = new Map(packets.map(({ token, bytes }) => [token, bytes]));
    const byTag = new Map(packets.map(({ tag, bytes }) => [tag, bytes]));
    for (const slot of slots) {
      const order = this.#table.read(slot)!;
      const report = lostReport(order, cells);
      const isOver = report !== undefined;
      const isShared = order.port?.shared !== undefined;
      if (isOver && !isShared) {
        this.#ended(slot, report);
        continue;
      }
      cells.release(slot, cells.owner(slot));
      const terms = { isResumed: true, unread: byToken.get(order.serial) ?? byTag.get(slot) };
      this.#waiting.push({ slot, terms, worker: isShared ? worker : undefined, isOver });
      if (!isOver) resumed++;
    }
    return resumed;
  }

  /** Lets a transfer wait that has not begun. @param worker the one that must run it. */
  keep(slot: number, worker: number): void {
    this.#waiting.push({ slot, terms: BEGIN, worker });
  }

  /** Lets a transfer wait that another process began. @param worker the one that must run it; undefined: any. */
  adopt(slot: number, worker: number | undefined): void {
    this.#waiting.push({ slot, terms: { isResumed: true, unread: undefined }, worker });
  }

  /** Offers each waiting transfer to a worker, in their order. */
  give(give: Give): void {
    const full = new Set<number | undefined>();
    this.#waiting = this.#waiting.filter(({ slot, terms, worker, isOver }) => {
      // A worker may have room again for a later one: of two transfers with the same client, the older comes first.
      if (full.has(worker)) return true;
      if (!give(slot, terms, worker)) {
        full.add(worker);
        return true;
      }
      if (terms.isResumed && isOver !== true) this.resumed++;
      return false;
    });
  }

  /** Number of transfers that wait for a worker. */
  get waiting(): number {
    return this.#waiting.length;
  }

  hasWaiting(worker: number): boolean {
    return this.#waiting.some((one) => one.worker === worker);
  }

  /** Loses the transfers that still wait. */
  close(): void {
    const slots = this.#waiting.map(({ slot }) => slot);
    this.#waiting = [];
    this.lose(slots, 'stopping', 'The server is stopping');
  }
}
