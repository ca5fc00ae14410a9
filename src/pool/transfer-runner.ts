/** Runs transfer orders on one engine: the part of a worker that is the same on a thread and inline. */
import { Driver } from '../engine/driver.ts';
import type { Job } from '../engine/job.ts';
import { COUNTER, latencyOf, sendErrorColumn, vitalColumn } from '../engine/counters.ts';
import type { LatencyHistogram } from '../engine/latencies.ts';
import type { SharedView } from '../bytes/shared-bytes.ts';
import type { TransferReport } from '../engine/report.ts';
import { SEND_ERRNOS } from '../engine/send-errors.ts';
import type { Engine, LinkReceiver } from '../engine/types.ts';
import { Sender } from '../session/sender.ts';
import type { TransferOrder } from './pool.ts';
import { CellSupervision } from './cell-supervision.ts';
import { lostReport, resumedPlan } from './resumption.ts';
import type { StateCells } from './state-cells.ts';

const HEALTH_EVERY_MS = 250;
const TRANSFERS = vitalColumn('transfers');
/** Columns of the values that each thread's engine counts from zero: the row may have had another thread before. */
const HEALTH = [
  COUNTER.receiveDrops,
  COUNTER.sendDrops,
  COUNTER.segmentFallbacks,
  ...SEND_ERRNOS.map((errno) => sendErrorColumn(errno)),
] as const;
/** Takes packets that nobody wants. */
const NOBODY: LinkReceiver = { onDatagram: () => {}, onUnreachable: () => {}, onUnreadable: () => {} };
const NO_OPENING = new Uint8Array(0);

export class TransferRunner {
  readonly #engine: Engine;
  readonly #cells: StateCells;
  readonly #driver: Driver;
  readonly #counters: Float64Array;
  readonly #firstReplies: LatencyHistogram;
  readonly #healthBefore: readonly number[];
  #healthAt = 0;
  #rings: number;
  #hasLeft = false;

  /** @param counters this thread's row. */
  constructor(engine: Engine, cells: StateCells, counters: Float64Array) {
    this.#engine = engine;
    this.#cells = cells;
    this.#counters = counters;
    this.#rings = cells.rings;
    this.#firstReplies = latencyOf(counters, 'firstReply');
    this.#healthBefore = HEALTH.map((column) => counters[column]!);
    counters[TRANSFERS] = 0;
    engine.turnaround = latencyOf(counters, 'turnaround');
    this.#driver = new Driver(engine, counters, {
      doorbell: () => this.#hasRung(),
      roundTrips: latencyOf(counters, 'roundTrip'),
    });
  }

  /** Goes on with a transfer whose worker has died, unless it is over. @param unread what its client has sent and nobody has handled. */
  resume(
    order: Omit<TransferOrder, 'content'>,
    content: SharedView,
    unread: Uint8Array | undefined,
    ended: (slot: number, report: TransferReport) => void,
  ): void {
    // Its client may have begun another transfer since the order was written.
    const report = lostReport(order, this.#cells);
    if (report !== undefined) return this.#reportOver(order, report, ended);
    const now = this.#engine.clock.now();
    const plan = resumedPlan(order.plan, order.slot, this.#cells, now);
    this.start({ ...order, plan }, content, ended, unread);
  }

  /**
   * Reports the end of a transfer that is over. At a shared port it first reads what its client has sent, such as an
   * ERROR: once the end is reported, the client's next transfer begins, which must not get it.
   */
  #reportOver(
    { slot, port, local, peer }: Omit<TransferOrder, 'content'>,
    report: TransferReport,
    ended: (slot: number, report: TransferReport) => void,
  ): void {
    const tell = (): void => {
      this.#cells.setEnded(slot, report.outcome);
      ended(slot, report);
    };
    if (port?.shared === undefined) return tell();
    const link = this.#engine.adopt!(port, { local, peer }, NOBODY);
    // The other transfers of the dead worker get their links in this turn, or before their packets are delivered.
    this.#engine.clock.wake(this.#engine.clock.now(), () => {
      this.#engine.catchUp?.();
      link.close();
      tell();
    });
  }

  /** Starts a transfer. Keeps no reference to the order: a running transfer should hold no more than it needs. */
  start(
    order: Omit<TransferOrder, 'content'>,
    content: SharedView,
    ended: (slot: number, report: TransferReport) => void,
    unread?: Uint8Array,
  ): void {
    const { slot, local, localPort, peer, port, openedAt } = order;
    const { resumption } = order.plan;
    const sender = new Sender(order.plan);
    this.#counters[TRANSFERS]!++;
    const job: Job = {
      session: sender,
      link: { local, localPort, peer, peerPort: 'fixed' },
      port,
      opening: order.opening ?? NO_OPENING,
      openedAt,
      resumedFrom: resumption === undefined ? undefined : this.#engine.clock.now() - resumption.silentMs,
      unread,
      content,
      ringBytes: order.ringBytes,
      supervision: new CellSupervision(this.#cells, order, sender, this.#firstReplies),
    };
    this.#driver.start(job, (report) => {
      // The table stays as it is for the process that goes on.
      if (this.#hasLeft) return;
      this.#counters[TRANSFERS]!--;
      this.#cells.setEnded(slot, report.outcome);
      this.#noteHealth();
      ended(slot, report);
    });
  }

  /** Called by the driver every few milliseconds while transfers run. */
  #hasRung(): boolean {
    this.#noteHealth();
    const { rings } = this.#cells;
    if (rings === this.#rings) return false;
    this.#rings = rings;
    // A wish may depend on packets that have arrived unread.
    this.#engine.catchUp?.();
    return true;
  }

  /** Asks the sockets for their losses: one system call each, so only now and then. */
  #noteHealth(): void {
    const now = this.#engine.clock.now();
    if (now - this.#healthAt < HEALTH_EVERY_MS) return;
    this.#healthAt = now;
    const { receiveDrops, sendDrops, segmentFallbacks, sendErrors } = this.#engine.health();
    const counted = [receiveDrops, sendDrops, segmentFallbacks, ...SEND_ERRNOS.map((errno) => sendErrors[errno])];
    for (const [index, count] of counted.entries()) this.#counters[HEALTH[index]!] = this.#healthBefore[index]! + count;
  }

  /** Frees every port without a word to the clients: another process goes on with their transfers. */
  async leave(): Promise<void> {
    this.#engine.catchUp?.();
    this.#hasLeft = true;
    this.#engine.mute?.();
    await this.close();
  }

  /** Ends running transfers and frees every port. */
  async close(): Promise<void> {
    this.#driver.abortAll();
    await this.#engine.close();
  }
}
