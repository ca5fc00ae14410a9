/**
 * Gives each worker a seat, and each transfer to a worker. A worker is a number: the sockets of a shared port belong
 * to numbers, and a thread that takes over has the number of the dead one. Knows seats; nothing of threads.
 */
import type { Engine } from '../engine/types.ts';
import type { TransferOrder } from './pool.ts';
import { ORDERS } from './report-record.ts';
import type { Takeover } from './takeover.ts';
import type { TransferTable } from './transfer-table.ts';
import type { WorkerSeat } from './worker-seats.ts';

export class Seating {
  /** True if an order or a transfer found its worker's ring full: the next turn of the loop finds room in it. */
  isCrowded = false;
  readonly #seats: readonly WorkerSeat[];
  readonly #workers: number;
  readonly #engine: Engine;
  readonly #table: TransferTable;
  readonly #takeover: Takeover;

  /** @param seats at least as many as workers; the others are for spares. */
  constructor(seats: readonly WorkerSeat[], workers: number, engine: Engine, table: TransferTable, takeover: Takeover) {
    this.#seats = seats;
    this.#workers = workers;
    this.#engine = engine;
    this.#table = table;
    this.#takeover = takeover;
  }

  /** Gives workers that have no seat a spare's. @returns the seats that have a worker now. */
  fill(): WorkerSeat[] {
    const filled: WorkerSeat[] = [];
    for (let worker = 0; worker < this.#workers; worker++) {
      if (this.#seats.some((seat) => seat.worker === worker)) continue;
      const spare = this.#seats.find((seat) => seat.worker === undefined && seat.isReady);
      if (spare === undefined) break;
      spare.worker = worker;
      filled.push(spare);
    }
    return filled;
  }

  /**
   * Gives the transfers that wait to the worker that their port names, otherwise to the one with the fewest, which is the
   * one that has just got its seat.
   */
  giveWaiting(): void {
    if (this.#takeover.waiting === 0) return;
    const now = this.#engine.clock.now();
    this.#takeover.give((slot, terms, worker) => {
      const seat = worker === undefined ? this.#leastBusy() : this.#seatOf(worker);
      if (seat === undefined) return false;
      const isGiven = seat.give(slot, terms);
      if (!isGiven) this.isCrowded = true;
      else if (terms.isResumed) seat.tookOverAt = now;
      return isGiven;
    });
    for (const seat of this.#seats) seat.flush();
  }

  /** Gives an order to the worker that its port names, otherwise to the one with the fewest transfers. */
  post(order: TransferOrder): boolean {
    const worker = order.port?.worker;
    return worker === undefined ? this.#postToAny(order) : this.#postTo(worker, order);
  }

  get hasRoom(): boolean {
    return this.#seats.some((seat) => seat.worker !== undefined && seat.hasRoom);
  }

  #postToAny(order: TransferOrder): boolean {
    const chosen = this.#leastBusy();
    // Its ring may be full: then another worker takes the order.
    return (
      chosen?.post(order) === true ||
      this.#seats.some((seat) => seat.worker !== undefined && seat !== chosen && seat.post(order))
    );
  }

  /**
   * While the worker is being replaced its orders wait, up to a ring of them: the packets of their clients wait in the
   * socket, which the next worker reads.
   */
  #postTo(worker: number, order: TransferOrder): boolean {
    const seat = this.#seatOf(worker);
    let isTaken: boolean;
    if (seat === undefined || this.#takeover.hasWaiting(worker)) {
      isTaken = this.#takeover.waiting < ORDERS.records;
      if (isTaken) {
        this.#table.write(order, this.#engine.locate!(order.content));
        this.#takeover.keep(order.slot, worker);
      }
    } else {
      isTaken = seat.post(order);
    }
    if (!isTaken && seat !== undefined) this.isCrowded = true;
    return isTaken;
  }

  /** Returns the seat of a worker that takes orders. */
  #seatOf(worker: number): WorkerSeat | undefined {
    return this.#seats.find((seat) => seat.worker === worker && seat.isReady);
  }

  #leastBusy(): WorkerSeat | undefined {
    let chosen: WorkerSeat | undefined;
    for (const seat of this.#seats) {
      if (seat.worker !== undefined && seat.isReady && seat.transfers < (chosen?.transfers ?? Number.POSITIVE_INFINITY))
        chosen = seat;
    }
    return chosen;
  }
}
