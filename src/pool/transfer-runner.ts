/** Runs transfer orders on one engine: the part of a worker that is the same on a thread and inline. */
import { Driver, type Supervision } from '../engine/driver.ts';
import { COUNTER } from '../engine/counters.ts';
import type { TransferReport } from '../engine/report.ts';
import type { Engine } from '../engine/types.ts';
import { Sender } from '../session/sender.ts';
import type { Steps } from '../session/session.ts';
import type { TransferOrder } from './pool.ts';
import { type StateCells, TRANSFER_STATE, type TransferState, WISH_TO_END } from './state-cells.ts';

const HEALTH_EVERY_MS = 250;
const NO_OPENING = new Uint8Array(0);

export class TransferRunner {
  readonly #engine: Engine;
  readonly #cells: StateCells;
  readonly #driver: Driver;
  readonly #counters: Float64Array;
  #healthAt = 0;
  #rings: number;

  /** @param counters this thread's row of COUNTER cells. */
  constructor(engine: Engine, cells: StateCells, counters: Float64Array) {
    this.#engine = engine;
    this.#cells = cells;
    this.#counters = counters;
    this.#rings = cells.rings;
    this.#driver = new Driver(engine, counters, () => {
      const { rings } = this.#cells;
      if (rings === this.#rings) return false;
      this.#rings = rings;
      return true;
    });
  }

  async run(order: TransferOrder): Promise<TransferReport> {
    const sender = new Sender(order.plan);
    const report = await this.#driver.run({
      session: sender,
      link: { local: order.local, peer: order.peer, peerPort: 'fixed' },
      opening: order.opening ?? NO_OPENING,
      content: this.#engine.attach(order.content),
      supervision: new CellSupervision(this.#cells, order.slot, sender),
    });
    this.#cells.setState(order.slot, TRANSFER_STATE.ended);
    this.#noteHealth();
    return report;
  }

  /** Asks the sockets what they lost: a system call each, so not at every transfer's end. */
  #noteHealth(): void {
    const now = this.#engine.clock.now();
    if (now - this.#healthAt < HEALTH_EVERY_MS) return;
    this.#healthAt = now;
    const { receiveDrops, sendDrops, segmentFallbacks } = this.#engine.health();
    this.#counters[COUNTER.receiveDrops] = receiveDrops;
    this.#counters[COUNTER.sendDrops] = sendDrops;
    this.#counters[COUNTER.segmentFallbacks] = segmentFallbacks;
  }

  /** Ends what still runs and gives every port back. */
  async close(): Promise<void> {
    this.#driver.abortAll();
    await this.#engine.close();
  }
}

/** Keeps a transfer's cell true, and hears the main thread's wishes in it. */
class CellSupervision implements Supervision {
  readonly #cells: StateCells;
  readonly #slot: number;
  readonly #sender: Sender;
  #state: TransferState = TRANSFER_STATE.unproven;
  #progressAt = -1;
  #repeats = 0;

  constructor(cells: StateCells, slot: number, sender: Sender) {
    this.#cells = cells;
    this.#slot = slot;
    this.#sender = sender;
  }

  onProgress(progressAt: number): void {
    const state = this.#sender.proven
      ? this.#sender.lastBlockSent
        ? TRANSFER_STATE.lastBlockSent
        : TRANSFER_STATE.running
      : TRANSFER_STATE.unproven;
    const { blocks, retransmits } = this.#sender.tally;
    this.#cells.setTally(this.#slot, blocks, retransmits);
    if (progressAt !== this.#progressAt) {
      this.#progressAt = progressAt;
      this.#cells.setProgress(this.#slot, progressAt);
    }
    if (state !== this.#state) {
      this.#state = state;
      this.#cells.setState(this.#slot, state);
    }
  }

  attend(now: number, out: Steps): void {
    switch (this.#cells.wishToEnd(this.#slot)) {
      case WISH_TO_END.abort:
        this.#sender.abort(out);
        return;
      case WISH_TO_END.supersede:
        this.#sender.supersede();
        return;
      case WISH_TO_END.none:
        break;
    }
    for (const repeats = this.#cells.repeats(this.#slot); this.#repeats < repeats; this.#repeats++) {
      this.#sender.onRequestRepeated(now, out);
    }
  }
}
