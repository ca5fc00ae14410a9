/**
 * The pool on threads, by Piscina: a transfer is a task, its result the transfer's report. Three things are ours:
 * the workers' event loops run between tasks (`atomics: 'disabled'`, or their sockets would stand still), a transfer
 * is ended through its cell and never by an AbortSignal (which would end the thread with all its neighbours), and
 * threads are ended only after each has closed its sockets.
 */
import { BroadcastChannel, type Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { allocateCounters } from '../engine/counters.ts';
import type { EngineKind, EngineOptions } from '../engine/create.ts';
import type { TransferReport } from '../engine/report.ts';
import { type PoolFigures, poolFigures } from './figures.ts';
import { type Pool, type TransferOrder, faultReport } from './pool.ts';
import { StateCells, allocateCells } from './state-cells.ts';
import { type WorkerMessage, type WorkerSetup, releaseRow } from './thread-messages.ts';

export interface ThreadPoolOptions {
  /** Threads, at least 1. */
  readonly workers: number;
  /** Transfers at once over all threads. */
  readonly sessions: number;
  /** Slots for transfers, those not yet with a worker included. */
  readonly slots: number;
  readonly engine: EngineKind;
  readonly engineOptions?: EngineOptions;
  /** Called when a thread ends unasked: its transfers are lost, a new thread takes its place. */
  readonly onWorkerLost: (reason: string) => void;
  /** The thread's entry, for tests that plant faults in it. */
  readonly worker?: URL;
}

const ENTRY = new URL('./worker.js', import.meta.url);

let pools = 0;

/**
 * A worker's garbage is small and short-lived. By default V8 lets the part of the heap where it arises grow to 48 MiB
 * a thread; with so little no transfer is slower, and it stays in the processor's cache.
 */
const YOUNG_GENERATION_MIB = 6;

export class ThreadPool implements Pool {
  readonly cells: StateCells;
  workersLost = 0;
  readonly #workers: number;
  readonly #counters: SharedArrayBuffer;
  readonly #rowOwners: SharedArrayBuffer;
  readonly #piscina: Piscina<TransferOrder, TransferReport>;
  readonly #channel: BroadcastChannel;
  readonly #onWorkerLost: (reason: string) => void;
  /** Threads that exist, and the promise of each one's exit. */
  readonly #exits = new Map<Worker, Promise<void>>();
  readonly #ready = new Set<number>();
  readonly #closed = new Set<number>();
  #closing: Promise<void> | undefined;
  #lastLoss = '';
  #stirred: () => void = () => {};

  private constructor(options: ThreadPoolOptions) {
    const { workers, sessions, slots, engine } = options;
    // A thread that died gives its row back only when it is gone: as many again are enough for its replacement.
    const rows = workers * 2;
    const setup: WorkerSetup = {
      engine,
      engineOptions: options.engineOptions ?? {},
      cells: allocateCells(slots),
      counters: allocateCounters(rows),
      rowOwners: new SharedArrayBuffer(rows * Int32Array.BYTES_PER_ELEMENT),
      channel: `reveille-${process.pid}-${++pools}`,
    };
    this.cells = new StateCells(setup.cells);
    this.#workers = workers;
    this.#counters = setup.counters;
    this.#rowOwners = setup.rowOwners;
    this.#onWorkerLost = options.onWorkerLost;
    this.#channel = new BroadcastChannel(setup.channel);
    this.#channel.onmessage = (event): void => this.#onMessage((event as { data: WorkerMessage }).data);
    this.#channel.unref();
    this.#piscina = new Piscina({
      filename: (options.worker ?? ENTRY).href,
      minThreads: workers,
      maxThreads: workers,
      concurrentTasksPerWorker: Math.ceil(sessions / workers),
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled',
      recordTiming: false,
      workerData: setup,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
    });
    this.#piscina.on('workerCreate', () => this.#trackThreads());
    // A thread that fails while it has no task: its exit is what counts it as lost.
    this.#piscina.on('error', () => {});
    this.#trackThreads();
  }

  /** Starts the threads and waits until each is ready. @throws Error when one can't start. */
  static async start(options: ThreadPoolOptions): Promise<ThreadPool> {
    const pool = new ThreadPool(options);
    await pool.#until(() => pool.#ready.size >= options.workers || pool.workersLost > 0);
    if (pool.workersLost > 0) {
      await pool.close();
      throw new Error(`A worker thread failed at its start: ${pool.#lastLoss}`);
    }
    return pool;
  }

  /** Not async: what such a function waits with keeps the order for as long as the transfer runs. */
  run(order: TransferOrder): Promise<TransferReport> {
    if (this.#piscina.threads.length === 0) {
      return Promise.resolve(faultReport('No worker thread could be started'));
    }
    return this.#piscina.run(order).catch(this.#lost);
  }

  readonly #lost = async (cause: unknown): Promise<TransferReport> => {
    // The thread is going down. Whatever it may still touch is its own until it has exited.
    await this.#dying();
    return faultReport(cause instanceof Error ? cause.message : String(cause));
  };

  figures(): PoolFigures {
    const owners = new Int32Array(this.#rowOwners);
    return poolFigures(this.#counters, owners.length, this.#workers, (row) => Atomics.load(owners, row) !== 0);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#channel.postMessage({ kind: 'close' } satisfies WorkerMessage);
    await this.#until(() => [...this.#exits.keys()].every((thread) => this.#closed.has(thread.threadId)));
    this.#channel.close();
    await this.#piscina.destroy();
  }

  #onMessage(message: WorkerMessage): void {
    if (message.kind === 'ready') {
      this.#ready.add(message.threadId);
      // A replacement that came up after the call to close has not heard it.
      if (this.#closing !== undefined) this.#channel.postMessage({ kind: 'close' } satisfies WorkerMessage);
    } else if (message.kind === 'closed') {
      this.#closed.add(message.threadId);
    }
    this.#stirred();
  }

  /** Follows threads that are new. Piscina replaces lost ones by itself. */
  #trackThreads(): void {
    for (const thread of this.#piscina.threads) {
      if (this.#exits.has(thread)) continue;
      const { threadId } = thread;
      let reason = 'it exited';
      thread.once('error', (error: Error) => {
        reason = error.stack ?? error.message;
      });
      const exit = new Promise<void>((resolve) => {
        thread.once('exit', () => {
          this.#exits.delete(thread);
          releaseRow(this.#rowOwners, threadId);
          resolve();
          this.#trackThreads();
          if (this.#closing === undefined || !this.#closed.has(threadId)) {
            this.workersLost++;
            this.#lastLoss = reason;
            this.#onWorkerLost(reason);
          }
          this.#stirred();
        });
      });
      this.#exits.set(thread, exit);
    }
  }

  /** Resolves when every thread that Piscina has dropped is gone. */
  async #dying(): Promise<void> {
    const kept = new Set(this.#piscina.threads);
    await Promise.all([...this.#exits].filter(([thread]) => !kept.has(thread)).map(([, exit]) => exit));
  }

  /** Waits for a condition that messages and exits can change. */
  async #until(condition: () => boolean): Promise<void> {
    // Idle threads do not keep the process alive; this wait must.
    this.#channel.ref();
    while (!condition()) {
      // eslint-disable-next-line no-await-in-loop -- each turn waits for the next event.
      await new Promise<void>((resolve) => {
        this.#stirred = resolve;
      });
    }
    this.#stirred = (): void => {};
    this.#channel.unref();
  }
}
