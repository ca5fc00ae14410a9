/** The threads of a storm: starts them, lets them begin together, watches them, and collects their results. */
import { setTimeout as delay } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { MonotonicClock } from '../../engine/clock.ts';
import type { EngineKind } from '../../engine/create.ts';
import { CELL, StormCells } from './cells.ts';
import { bytesOfBoot } from './expected.ts';
import type { StormProgress } from '../report.ts';
import type { ShareOrder } from './share.ts';
import type { WorkerOrder, WorkerResult } from './worker.ts';

const ENTRY = new URL('./worker.js', import.meta.url);
const WAIT_MS = 5;
const PROGRESS_EVERY_MS = 200;
/** Number of looks, together about a second, over which the shown rate is averaged. */
const RATE_LOOKS = 5;

export interface CrewOptions {
  readonly threads: number;
  readonly engine: EngineKind;
  /** The part of the order that is the same for all threads. */
  readonly common: Omit<ShareOrder, 'thread' | 'nodes' | 'due' | 'startAt' | 'cells'>;
  /** The moment at which each node is due, in milliseconds after the start, ascending; node numbers count from 1. */
  readonly due: Float64Array;
  readonly onProgress?: (progress: StormProgress) => void;
  /** Ends the storm; the results so far are reported. */
  readonly signal?: AbortSignal;
  /** The thread's entry module, for tests that run from elsewhere. */
  readonly worker?: URL;
}

/** Runs all shares. @throws Error when a thread can't start or dies. */
export async function runCrew(options: CrewOptions): Promise<WorkerResult[]> {
  const { threads, engine, common, due, onProgress, signal } = options;
  const stages = common.plan.stages.length;
  const cells = StormCells.allocate(threads, stages);
  const piscina = new Piscina<WorkerOrder, WorkerResult>({
    filename: (options.worker ?? ENTRY).href,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    atomics: 'disabled',
    recordTiming: false,
  });
  const onAbort = (): void => cells.stop();
  signal?.addEventListener('abort', onAbort);
  if (signal?.aborted === true) cells.stop();
  const state = { ended: false };
  try {
    const shares = Array.from({ length: threads }, (_, thread) => {
      // Nodes are dealt out in turn, so that each thread gets an equal part of every moment.
      const nodes = Array.from(due.keys()).filter((index) => index % threads === thread);
      return piscina.run({
        engine,
        share: {
          ...common,
          thread,
          nodes: nodes.map((index) => index + 1),
          due: nodes.map((index) => due[index]!),
          cells: cells.buffer,
        },
      });
    });
    const all = Promise.all(shares).finally(() => {
      state.ended = true;
    });
    // `await all` below throws the error; here the other threads are only stopped.
    all.catch(() => cells.stop());
    const clock = new MonotonicClock();
    while (cells.threadsReady < threads && !state.ended) await delay(WAIT_MS);
    cells.startAt = clock.now() + WAIT_MS;
    const watcher = new Watcher(cells, common.plan.stages, due.length, bytesOfBoot(common.plan, common.expected));
    while (!state.ended) {
      await Promise.race([all.then(() => {}), delay(PROGRESS_EVERY_MS)]);
      onProgress?.(watcher.look(clock.now() - cells.startAt));
    }
    return await all;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await piscina.destroy();
  }
}

class Watcher {
  readonly #cells: StormCells;
  readonly #stages: readonly { readonly name: string }[];
  readonly #nodes: number;
  readonly #bytesInAll: number | undefined;
  readonly #looks: { atMs: number; bytes: number }[] = [];

  constructor(
    cells: StormCells,
    stages: readonly { readonly name: string }[],
    nodes: number,
    bytesOfNode: number | undefined,
  ) {
    this.#cells = cells;
    this.#stages = stages;
    this.#nodes = nodes;
    this.#bytesInAll = bytesOfNode === undefined ? undefined : bytesOfNode * nodes;
  }

  look(elapsedMs: number): StormProgress {
    const bytes = this.#cells.sum(CELL.bytes);
    this.#looks.push({ atMs: elapsedMs, bytes });
    if (this.#looks.length > RATE_LOOKS + 1) this.#looks.shift();
    const first = this.#looks[0]!;
    const spanMs = elapsedMs - first.atMs;
    return {
      elapsedMs: Math.max(0, elapsedMs),
      nodes: this.#nodes,
      waiting: this.#nodes - this.#cells.sum(CELL.begun),
      inStage: this.#stages.map(({ name }, index) => ({ name, nodes: this.#cells.sum(StormCells.stage(index)) })),
      completed: this.#cells.sum(CELL.completed),
      failed: this.#cells.sum(CELL.failed),
      bytes,
      bytesInAll: this.#bytesInAll,
      bytesPerS: spanMs > 0 ? ((bytes - first.bytes) * 1000) / spanMs : 0,
      retransmits: { client: this.#cells.sum(CELL.client), server: this.#cells.sum(CELL.server) },
    };
  }
}
