/**
 * The pool on threads. Piscina starts, replaces and ends them; each runs one long task, in which it takes orders from
 * its seat (worker-seats.ts). Three rules are ours: the workers' event loops never block (`atomics: 'disabled'`;
 * otherwise their sockets would stall), a transfer is ended through its cell and never by an AbortSignal (which would
 * end the thread with all its transfers), and a thread is ended only after it has closed its sockets.
 */
import { BroadcastChannel, type Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { onSharedGivenUp } from '../bytes/shared-bytes.ts';
import { allocateCounters } from '../engine/counters.ts';
import type { EngineKind, EngineOptions } from '../engine/create.ts';
import type { TransferReport } from '../engine/report.ts';
import type { Engine } from '../engine/types.ts';
import { collectGarbage } from './collect-garbage.ts';
import { type PoolFigures, poolFigures } from './figures.ts';
import type { Pool, TransferOrder } from './pool.ts';
import type { StateCells } from './state-cells.ts';
import { allocateTable } from './table-region.ts';
import { type Seat, type WorkerMessage, type WorkerSetup, releaseRow } from './thread-messages.ts';
import { TransferTable } from './transfer-table.ts';
import { WorkerSeat } from './worker-seats.ts';

export interface ThreadPoolOptions {
  /** Worker threads, at least 1. */
  readonly workers: number;
  /** Slots for transfers, including those no worker has yet. */
  readonly slots: number;
  /** The main thread's engine, of the same kind as the workers'. */
  readonly engine: Engine;
  readonly kind: EngineKind;
  readonly engineOptions?: EngineOptions;
  /** Called when a thread ends unexpectedly: its transfers are lost, a new thread takes its place. */
  readonly onWorkerLost: (reason: string) => void;
  /** The thread's entry, for tests that plant faults in it. */
  readonly worker?: URL;
}

const ENTRY = new URL('./worker.js', import.meta.url);

let pools = 0;

/**
 * A worker's garbage is small and short-lived. By default V8 lets each thread's young generation grow to 48 MiB; this
 * little slows no transfer and stays in the processor's cache.
 */
const YOUNG_GENERATION_MIB = 6;
/** Reports taken from a worker per turn, some milliseconds' worth: first replies must not wait longer for them. */
const REPORTS_A_TURN = 256;
/**
 * Portable engine: so many bytes of shared buffers given up are worth some 10 ms of collection in each thread.
 * @limit Shared buffers given up, portable engine, at which all threads collect garbage. Shows:
 * `process_resident_memory_bytes`.
 */
const COLLECTED_BYTES = 64 * 1024 ** 2;

export class ThreadPool implements Pool {
  readonly cells: StateCells;
  workersLost = 0;
  readonly #engine: Engine;
  readonly #table: TransferTable;
  readonly #workers: number;
  readonly #counters: SharedArrayBuffer;
  readonly #rowOwners: SharedArrayBuffer;
  readonly #piscina: Piscina<Seat, void>;
  readonly #seats: readonly WorkerSeat[];
  /** Identifier for waking this thread, used by the workers; undefined: they send messages. */
  readonly #wake: number | undefined;
  onEnded: (slot: number, report: TransferReport) => void = () => {};
  onRoom: () => void = () => {};
  readonly #channel: BroadcastChannel;
  readonly #onWorkerLost: (reason: string) => void;
  /** Existing threads, each with the promise of its exit. */
  readonly #exits = new Map<Worker, Promise<void>>();
  readonly #ready = new Set<number>();
  readonly #closed = new Set<number>();
  #closing: Promise<void> | undefined;
  /** Bytes of shared buffers given up since the last collection. */
  #givenUpBytes = 0;
  readonly #forgetGivenUp: () => void;
  #willFlush = false;
  /** True if the owner waits for room. */
  #isWanted = false;
  #lastLoss = '';
  #stirred: () => void = () => {};

  private constructor(options: ThreadPoolOptions) {
    const { workers, slots, engine, kind } = options;
    this.#engine = engine;
    // A dead thread frees its row only after its exit: twice the workers leaves room for replacements.
    const rows = workers * 2;
    const setup: WorkerSetup = {
      engine: kind,
      engineOptions: options.engineOptions ?? {},
      table: allocateTable(slots, monotonicMs() - engine.clock.now()),
      counters: allocateCounters(rows),
      rowOwners: new SharedArrayBuffer(rows * Int32Array.BYTES_PER_ELEMENT),
      channel: `reveille-${process.pid}-${++pools}`,
    };
    this.#table = new TransferTable(setup.table);
    this.cells = this.#table.cells;
    this.#workers = workers;
    this.#counters = setup.counters;
    this.#rowOwners = setup.rowOwners;
    this.#onWorkerLost = options.onWorkerLost;
    this.#channel = new BroadcastChannel(setup.channel);
    this.#channel.onmessage = (event): void => this.#onMessage((event as { data: WorkerMessage }).data);
    this.#channel.unref();
    // Where orders go through rings, workers see the system's memory alone.
    this.#forgetGivenUp = kind === 'portable' ? onSharedGivenUp(this.#onGivenUp) : () => {};
    this.#piscina = new Piscina({
      filename: (options.worker ?? ENTRY).href,
      minThreads: workers,
      maxThreads: workers,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled',
      recordTiming: false,
      workerData: setup,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
    });
    this.#piscina.on('workerCreate', () => this.#trackThreads());
    // A thread may fail while it has no task: its exit counts it as lost.
    this.#piscina.on('error', () => {});
    this.#trackThreads();
    const ended = (slot: number, report: TransferReport): void => {
      this.#table.clear(slot);
      this.onEnded(slot, report);
    };
    this.#seats = Array.from({ length: workers }, (_, number) => new WorkerSeat(number, engine, this.#table, ended));
    this.#wake = engine.wakes?.listen(() => this.#collect());
    for (const seat of this.#seats) this.#fill(seat);
  }

  /** Gives a thread the seat for as long as it lives. */
  #fill(seat: WorkerSeat): void {
    const { task, transfer } = seat.open(this.#wake);
    this.#piscina.run(task, { transferList: transfer }).then(
      () => void seat.collect(),
      async (cause: unknown) => {
        // The thread is going down. Its transfers stay its own until it has exited, because it may still touch them.
        seat.stop();
        await this.#dying();
        seat.lose(cause instanceof Error ? cause.message : String(cause));
        if (this.#closing === undefined && this.#piscina.threads.length > 0) this.#fill(seat);
      },
    );
  }

  #collect(): void {
    let isMore = false;
    for (const seat of this.#seats) isMore = seat.collect(REPORTS_A_TURN) || isMore;
    if (isMore) this.#engine.wakes!.ring(this.#wake!);
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

  /** Gives the order to the worker that its port names, otherwise to the one with the fewest transfers. */
  start(order: TransferOrder): boolean {
    const worker = order.port?.worker;
    if (worker !== undefined) {
      const isTaken = this.#seats[worker]!.keep(order);
      this.#isWanted ||= !isTaken;
      this.#flushSoon();
      return isTaken;
    }
    let [chosen] = this.#seats;
    for (const seat of this.#seats) if (seat.transfers < chosen!.transfers) chosen = seat;
    // Its thread may be starting or its ring full: then another worker takes the order.
    const isPosted = chosen!.post(order) || this.#seats.some((seat) => seat !== chosen && seat.post(order));
    this.#flushSoon();
    return isPosted;
  }

  get hasRoom(): boolean {
    const hasRoom = this.#seats.some((seat) => seat.hasRoom);
    // Workers empty their rings quickly: the owner tries again in the loop's next turn.
    this.#isWanted ||= !hasRoom && this.#seats.some((seat) => seat.transfers > 0);
    if (this.#isWanted) this.#flushSoon();
    return hasRoom;
  }

  #flushSoon(): void {
    if (this.#willFlush) return;
    this.#willFlush = true;
    setImmediate(this.#flush);
  }

  /** Wakes the workers once this thread has finished its current work: first replies come before blocks. */
  readonly #flush = (): void => {
    this.#willFlush = false;
    for (const seat of this.#seats) seat.flush();
    if (!this.#isWanted || this.#closing !== undefined) return;
    this.#isWanted = false;
    this.onRoom();
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
    this.#forgetGivenUp();
    this.#channel.postMessage({ kind: 'close' } satisfies WorkerMessage);
    await this.#until(() => [...this.#exits.keys()].every((thread) => this.#closed.has(thread.threadId)));
    for (const seat of this.#seats) seat.close();
    this.#channel.close();
    await this.#piscina.destroy();
  }

  readonly #onGivenUp = (bytes: number): void => {
    this.#givenUpBytes += bytes;
    if (this.#givenUpBytes < COLLECTED_BYTES) return;
    this.#givenUpBytes = 0;
    // When the reports of the transfers that have read them have been dealt with.
    setImmediate(() => {
      if (this.#closing !== undefined) return;
      this.#channel.postMessage({ kind: 'collect' } satisfies WorkerMessage);
      collectGarbage();
    });
  };

  #onMessage(message: WorkerMessage): void {
    if (message.kind === 'ready') {
      this.#ready.add(message.threadId);
      this.#seats[message.seat]!.ready(message.wake);
      this.onRoom();
      // A replacement that started after the call to close missed the message.
      if (this.#closing !== undefined) this.#channel.postMessage({ kind: 'close' } satisfies WorkerMessage);
    } else if (message.kind === 'closed') {
      this.#closed.add(message.threadId);
    }
    this.#stirred();
  }

  /** Tracks new threads. Piscina replaces lost ones by itself. */
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

  /** Resolves when every thread that Piscina has dropped has exited. */
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

/** Returns the time that all processes of the machine share, ms. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}
