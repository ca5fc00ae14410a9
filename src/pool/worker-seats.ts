/**
 * The main thread's end of the link to each worker: orders out, reports in. Uses rings in shared memory where the
 * engine can wake threads, otherwise messages. Knows which transfers each worker has; nothing of threads.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { TransferReport } from '../engine/report.ts';
import { throwLater } from '../engine/throw-later.ts';
import type { Engine } from '../engine/types.ts';
import type { TransferOrder } from './pool.ts';
import { allocateRing, RecordRing } from './record-ring.ts';
import { BEGIN, ORDERS, type OrderTerms, readReport, REPORTS, slotOfReport, writeOrder } from './report-record.ts';
import type { ReportMessage, Seat } from './thread-messages.ts';
import type { TransferTable } from './transfer-table.ts';

type OnEnded = (slot: number, report: TransferReport) => void;

/** One worker's seat. A worker that replaces a lost one gets new rings. */
export class WorkerSeat {
  readonly number: number;
  /** Slots of the transfers the worker has. */
  readonly #slots = new Set<number>();
  readonly #engine: Engine;
  readonly #table: TransferTable;
  readonly #onEnded: OnEnded;
  #way: RingWay | MessageWay | undefined;
  /** True if a worker is present and takes orders. */
  #isReady = false;
  /**
   * The number of the worker that has the seat, 0..workers - 1; undefined: the seat gets no transfers. Its thread is the
   * spare if it is ready.
   */
  worker: number | undefined;
  /** The thread that has the seat; -1 before it is ready. */
  threadId = -1;
  /** When it last took over the transfers of another, ms. */
  tookOverAt = Number.NEGATIVE_INFINITY;

  constructor(number: number, engine: Engine, table: TransferTable, onEnded: OnEnded) {
    this.number = number;
    this.#engine = engine;
    this.#table = table;
    this.#onEnded = onEnded;
  }

  get transfers(): number {
    return this.#slots.size;
  }

  /**
   * Opens a new link for a new worker. @param wake identifier for waking the main thread. @returns the worker's task.
   */
  open(wake: number | undefined): { task: Seat; transfer: MessagePort[] } {
    this.#isReady = false;
    if (wake === undefined) {
      const way = new MessageWay(this.#ended);
      this.#way = way;
      return { task: { seat: this.number, port: way.far }, transfer: [way.far] };
    }
    const way = new RingWay(this.#engine, this.#table);
    this.#way = way;
    return { task: { seat: this.number, rings: { ...way.buffers, wake } }, transfer: [] };
  }

  /** Call when the worker takes orders. @param wake identifier for waking it. */
  ready(threadId: number, wake: number): void {
    this.#isReady = true;
    this.threadId = threadId;
    if (this.#way instanceof RingWay) this.#way.worker = wake;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** True if the worker can take one more order now. */
  get hasRoom(): boolean {
    return this.#isReady && this.#way?.hasRoom === true;
  }

  /** Gives the worker an order. @returns false when it can't take one more now. */
  post(order: TransferOrder): boolean {
    if (!this.#isReady || this.#way === undefined || !this.#way.post(order)) return false;
    this.#slots.add(order.slot);
    return true;
  }

  /** Gives the worker a transfer that is in the table. @returns false when it can't take one more now. */
  give(slot: number, terms: OrderTerms): boolean {
    if (!(this.#way instanceof RingWay) || !this.#isReady || !this.#way.give(slot, terms)) return false;
    this.#slots.add(slot);
    return true;
  }

  /** Wakes the worker if it has been given orders since the last call. */
  flush(): void {
    if (this.#way instanceof RingWay) this.#way.flush();
  }

  /** Takes `most` of the waiting reports, or half of them if that is more. @returns whether there may be more. */
  collect(most = Number.POSITIVE_INFINITY): boolean {
    return this.#way instanceof RingWay && this.#way.collect(most, this.#ended);
  }

  /** Stops giving orders: the worker is going down. */
  stop(): void {
    this.#isReady = false;
  }

  /** Call when the worker's thread has exited. Takes its last reports. @returns the slots of its other transfers. */
  vacate(): number[] {
    this.collect();
    this.#isReady = false;
    this.threadId = -1;
    this.#way?.close();
    this.#way = undefined;
    const slots = [...this.#slots];
    this.#slots.clear();
    return slots;
  }

  close(): void {
    this.collect();
    this.#way?.close();
  }

  readonly #ended = (slot: number, report: TransferReport): void => {
    if (!this.#slots.delete(slot)) return;
    try {
      this.#onEnded(slot, report);
    } catch (error) {
      throwLater(error);
    }
  };
}

class RingWay {
  readonly buffers = { orders: allocateRing(ORDERS), reports: allocateRing(REPORTS) };
  worker = -1;
  readonly #engine: Engine;
  readonly #table: TransferTable;
  readonly #orders = new RecordRing(this.buffers.orders, ORDERS);
  readonly #reports = new RecordRing(this.buffers.reports, REPORTS);
  #posted = false;

  constructor(engine: Engine, table: TransferTable) {
    this.#engine = engine;
    this.#table = table;
  }

  get hasRoom(): boolean {
    return this.#orders.claim() >= 0;
  }

  post(order: TransferOrder): boolean {
    if (!this.hasRoom) return false;
    this.#table.write(order, this.#engine.locate!(order.content));
    return this.give(order.slot, BEGIN);
  }

  give(slot: number, terms: OrderTerms): boolean {
    if (!writeOrder(this.#orders, slot, terms)) return false;
    this.#posted = true;
    return true;
  }

  flush(): void {
    if (!this.#posted) return;
    this.#posted = false;
    if (this.#orders.wakes()) this.#engine.wakes!.ring(this.worker);
  }

  collect(most: number, ended: OnEnded): boolean {
    this.#reports.awake();
    // Takes at least half of a backlog: a transfer whose report waits holds its memory, its port and its descriptor.
    const batch = Math.max(most, this.#reports.unread >> 1);
    for (let count = 0; count < batch; count++) {
      const at = this.#reports.peek();
      if (at < 0) return false;
      const slot = slotOfReport(this.#reports, at);
      const report = readReport(this.#reports, at);
      this.#reports.release();
      ended(slot, report);
    }
    return true;
  }

  close(): void {}
}

class MessageWay {
  readonly far: MessagePort;
  readonly hasRoom = true;
  readonly #near: MessagePort;

  constructor(ended: OnEnded) {
    const { port1, port2 } = new MessageChannel();
    this.#near = port1;
    this.far = port2;
    port1.on('message', ({ slot, report }: ReportMessage) => ended(slot, report));
    port1.unref();
  }

  post(order: TransferOrder): boolean {
    this.#near.postMessage(order);
    return true;
  }

  close(): void {
    this.#near.close();
  }
}
