/**
 * Progress of one thread's share while it runs: nodes in each stage, bytes, packets sent again, in cells that the main
 * thread reads at any time. Knows no results and keeps no history.
 */
import { CELL, StormCells } from './cells.ts';

/** Stage of a node that has begun and has not reached a stage yet. */
const NO_STAGE = -1;

export class ShareProgress {
  readonly #cells: Float64Array;
  readonly #stageOf = new Map<number, number>();

  /** @param cells the thread's own row. */
  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  begin(node: number): void {
    this.#cells[CELL.begun]!++;
    this.#stageOf.set(node, NO_STAGE);
  }

  stage(node: number, stage: number): void {
    this.#leaveStage(node);
    this.#cells[StormCells.stage(stage)]!++;
    this.#stageOf.set(node, stage);
  }

  end(node: number, kind: 'completed' | 'failed' | 'vanished' | 'unfinished'): void {
    this.#leaveStage(node);
    this.#stageOf.delete(node);
    if (kind === 'completed' || kind === 'failed') this.#cells[CELL[kind]]!++;
  }

  bytes(length: number): void {
    this.#cells[CELL.bytes]! += length;
  }

  /** @param copies packets that the server has sent again since the last call. */
  serverResends(copies: number): void {
    this.#cells[CELL.server]! += copies;
  }

  /** @param resends total number of packets sent again by all nodes, including transfers still under way. */
  clientResends(resends: number): void {
    this.#cells[CELL.client] = resends;
  }

  #leaveStage(node: number): void {
    const stage = this.#stageOf.get(node)!;
    if (stage !== NO_STAGE) this.#cells[StormCells.stage(stage)]!--;
  }
}
