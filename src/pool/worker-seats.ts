/**
 * The main thread's end of the link to each worker: orders out, reports in. Uses rings in shared memory where the
 * engine can wake threads, otherwise messages. Knows which transfers each worker has; nothing of threads.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { TransferReport } from '../engine/report.ts';
import { throwLater } from '../engine/throw-later.ts';
import type { Engine } from '../engine/types.ts';
import { faultReport, type TransferOrder } from './pool.ts';
import { allocateRing, RecordRing } from './record-ring.ts';
import { ORDERS, readReport, REPORTS, slotOfReport, writeOrder } from './report-record.ts';
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
  /** Orders that no other worker can take, while this seat's worker is being replaced. */
  #kept: TransferOrder[] = [];

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
  ready(wake: number): void {
    this.#isReady = true;
    if (this.#way instanceof RingWay) this.#way.worker = wake;
    // A ring holds all that were kept.
    for (const order of this.#kept.splice(0)) this.#way!.post(order);
    this.flush();
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

  /**
   * Gives the seat an order that no other worker can take. While its worker is being replaced the order is kept: the
   * packets of its client wait in the socket, which the next worker reads.
   */
  keep(order: TransferOrder): boolean {
    if (this.#isReady) return this.post(order);
    if (this.#kept.length >= ORDERS.records) return false;
    this.#kept.push(order);
    this.#slots.add(order.slot);
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

  /** Call when the worker's thread has exited: reports its remaining transfers as lost. */
  lose(fault: string): void {
    this.collect();
    this.#isReady = false;
    this.#way?.close();
    this.#way = undefined;
    const kept = new Set(this.#kept.map(({ slot }) => slot));
    for (const slot of this.#slots) if (!kept.has(slot)) this.#ended(slot, faultReport(fault));
  }

  close(): void {
    this.collect();
    for (const { slot } of this.#kept.splice(0)) this.#ended(slot, faultReport('The server has stopped'));
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
    writeOrder(this.#orders, order.slot);
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
