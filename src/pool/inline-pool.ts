/**
 * A pool without threads: admission, driver and sessions run together. For engines whose threads can't share a port, and
 * for tests on virtual time.
 */
import { allocateCounters, counterRow } from '../engine/counters.ts';
import type { TransferReport } from '../engine/report.ts';
import type { Engine } from '../engine/types.ts';
import { NO_TAKEOVERS, type PoolFigures, poolFigures } from './figures.ts';
import type { Pool, TransferOrder } from './pool.ts';
import { StateCells } from './state-cells.ts';
import { allocateTable } from './table-region.ts';
import { TransferRunner } from './transfer-runner.ts';

export class InlinePool implements Pool {
  readonly cells: StateCells;
  readonly workersLost = 0;
  readonly takeovers = NO_TAKEOVERS;
  readonly hasRoom = true;
  onEnded: (slot: number, report: TransferReport) => void = () => {};
  onRoom: () => void = () => {};
  readonly #engine: Engine;
  readonly #counters = allocateCounters(1);
  readonly #runner: TransferRunner;

  constructor(engine: Engine, slots: number) {
    this.#engine = engine;
    this.cells = new StateCells(allocateTable(slots));
    this.#runner = new TransferRunner(engine, this.cells, counterRow(this.#counters, 0));
  }

  start(order: TransferOrder): boolean {
    this.#runner.start(order, this.#engine.attach(order.content), (slot, report) => this.onEnded(slot, report));
    return true;
  }

  figures(): PoolFigures {
    return poolFigures(this.#counters, 1, () => 'alive');
  }

  close(): Promise<void> {
    return this.#runner.close();
  }
}
