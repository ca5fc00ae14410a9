/**
 * The pool on threads. Piscina starts, replaces and ends them; each runs one long task, in which it takes orders from
 * its seat (worker-seats.ts). Three rules are ours: the workers' event loops never block (`atomics: 'disabled'`;
 * otherwise their sockets would stall), a transfer is ended through its cell and never by an AbortSignal (which would
 * end the thread with all its transfers), and a thread is ended only after it has closed its sockets.
 *
 * With the Linux engine one thread more than the workers waits, loaded: the spare. When a worker dies, the spare goes on
 * with its transfers (takeover.ts), and the thread that replaces the dead one is the next spare.
 */
import { BroadcastChannel, type Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { allocateCounters } from '../engine/counters.ts';
import { Estate, allocateEstates } from '../engine/estate.ts';
import type { EngineKind, EngineOptions } from '../engine/create.ts';
import type { TransferReport } from '../engine/report.ts';
import { machineMs } from '../engine/clock.ts';
import type { RegionPlace } from '../engine/shared-region.ts';
import type { Engine } from '../engine/types.ts';
import { collectGivenUp } from './given-up.ts';
import { type Loss, type PoolFigures, type TakeoverFigures, poolFigures } from './figures.ts';
import type { Pool, TransferOrder } from './pool.ts';
import { Seating } from './seating.ts';
import type { StateCells } from './state-cells.ts';
import { formatTable, tableBytes } from './table-region.ts';
import { type Bereaved, NOBODY, Takeover } from './takeover.ts';
import { type Seat, type WorkerMessage, type WorkerSetup, releaseRow, rowOf, regionOf } from './thread-messages.ts';
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
  /** Memory for the table of transfers, all zero, that the next process finds. Default: memory of this process. */
  readonly region?: RegionPlace | undefined;
  /** Called when a thread ends unexpectedly, and a new thread takes its place. */
  readonly onWorkerLost: (reason: string, transfers: Bereaved) => void;
  /** The thread's entry, for tests that plant faults in it. */
  readonly worker?: URL;
}

/** A worker that dies this soon after it has taken over transfers may have died of one of them. */
const AT_ONCE_MS = 1000;
/**
 * @limit Deaths of workers, one right after the other, after which their transfers are lost instead of handed on. Shows:
 * `reveille_transfers_lost_total{reason="repeated"}`.
 */
const MAX_DEATHS_IN_A_ROW = 3;
const ENTRY = new URL('./worker.js', import.meta.url);

let pools = 0;

/**
 * A worker's garbage is small and short-lived. By default V8 lets each thread's young generation grow to 48 MiB; this
 * little slows no transfer and stays in the processor's cache.
 */
const YOUNG_GENERATION_MIB = 6;
/** Reports taken from a worker per turn, some milliseconds' worth: first replies must not wait longer for them. */
const REPORTS_A_TURN = 256;

export class ThreadPool implements Pool {
  readonly cells: StateCells;
  workersLost = 0;
  readonly #engine: Engine;
  readonly #table: TransferTable;
  readonly #counters: SharedArrayBuffer;
  readonly #rowOwners: SharedArrayBuffer;
  readonly #estates: SharedArrayBuffer;
  readonly #takeover: Takeover;
  /** Rows of counters that a worker has or had; not those of a spare. */
  readonly #usedRows = new Set<number>();
  /** Deaths in a row of workers that had just taken over the transfers of the one before. */
  #deathsInARow = 0;
  readonly #piscina: Piscina<Seat, void>;
  readonly #seats: readonly WorkerSeat[];
  readonly #seating: Seating;
  /** Identifier for waking this thread, used by the workers; undefined: they send messages. */
  readonly #wake: number | undefined;
  onEnded: (slot: number, report: TransferReport) => void = () => {};
  onRoom: () => void = () => {};
  readonly #channel: BroadcastChannel;
  readonly #onWorkerLost: ThreadPoolOptions['onWorkerLost'];
  /** Existing threads, each with the promise of its exit. */
  readonly #exits = new Map<Worker, Promise<void>>();
  readonly #ready = new Set<number>();
  readonly #closed = new Set<number>();
  #closing: Promise<void> | undefined;
  #hasLeft = false;
  readonly #forgetGivenUp: () => void;
  #willFlush = false;
  /** True if the owner waits for room. */
  #isWanted = false;
  #lastLoss = '';
  #stirred: () => void = () => {};

  private constructor(options: ThreadPoolOptions) {
    const { workers, slots, engine, kind } = options;
    this.#engine = engine;
    const threads = engine.settle === undefined ? workers : workers + 1;
    // A dead thread frees its row only after its exit: twice the threads leaves room for replacements.
    const rows = threads * 2;
    const setup: WorkerSetup = {
      engine: kind,
      engineOptions: options.engineOptions ?? {},
      table: options.region ?? new SharedArrayBuffer(tableBytes(slots)),
      counters: allocateCounters(rows),
      estates: allocateEstates(rows),
      rowOwners: new SharedArrayBuffer(rows * Int32Array.BYTES_PER_ELEMENT),
      channel: `reveille-${process.pid}-${++pools}`,
    };
    const region = regionOf(setup.table);
    formatTable(region, slots, machineMs() - engine.clock.now());
    this.#table = new TransferTable(region);
    this.cells = this.#table.cells;
    this.#counters = setup.counters;
    this.#rowOwners = setup.rowOwners;
    this.#estates = setup.estates;
    this.#onWorkerLost = options.onWorkerLost;
    this.#channel = new BroadcastChannel(setup.channel);
    this.#channel.onmessage = (event): void => this.#onMessage((event as { data: WorkerMessage }).data);
    this.#channel.unref();
    // Where orders go through rings, workers see the system's memory alone.
    this.#forgetGivenUp =
      kind === 'portable'
        ? collectGivenUp(() => this.#channel.postMessage({ kind: 'collect' } satisfies WorkerMessage))
        : () => {};
    this.#piscina = new Piscina({
      filename: (options.worker ?? ENTRY).href,
      minThreads: threads,
      maxThreads: threads,
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
    this.#takeover = new Takeover(this.#table, ended);
    this.#seats = Array.from({ length: threads }, (_, number) => new WorkerSeat(number, engine, this.#table, ended));
    this.#seating = new Seating(this.#seats, workers, engine, this.#table, this.#takeover);
    this.#wake = engine.wakes?.listen(() => this.#collect());
    for (const seat of this.#seats) this.#fill(seat);
  }

  /** Gives a thread the seat for as long as it lives. */
  #fill(seat: WorkerSeat): void {
    const { task, transfer } = seat.open(this.#wake);
    this.#piscina.run(task, { transferList: transfer }).then(
      () => void seat.collect(),
      async () => {
        // The thread is going down. Its transfers stay its own until it has exited, because it may still touch them.
        seat.stop();
        await this.#dying();
        if (this.#closing === undefined && this.#piscina.threads.length > 0) this.#fill(seat);
      },
    );
  }

  /**
   * Takes what a thread has left that has exited. @param fault why it did, for the reports of lost transfers. @returns
   * what becomes of its transfers.
   */
  #takeOver(thread: Worker['threadId'], fault: string): Bereaved {
    const row = rowOf(this.#rowOwners, thread);
    const unread = row < 0 ? [] : (this.#engine.settle?.(new Estate(this.#estates, row)) ?? []);
    releaseRow(this.#rowOwners, thread);
    const seat = this.#seats.find(({ threadId }) => threadId === thread);
    if (seat === undefined) return NOBODY;
    const { worker } = seat;
    const slots = seat.vacate();
    seat.worker = undefined;
    // The next process goes on with them.
    if (this.#hasLeft) return NOBODY;
    const now = this.#engine.clock.now();
    this.#deathsInARow = now - seat.tookOverAt < AT_ONCE_MS ? this.#deathsInARow + 1 : 0;
    const loss = this.#lossNow();
    if (loss !== undefined) this.#takeover.lose(slots, loss, fault);
    const resumed = loss === undefined ? this.#takeover.take(slots, unread, worker) : 0;
    this.#activate();
    return { resumed, lost: loss === undefined ? 0 : slots.length };
  }

  /** Returns why the transfers of a worker that has just died can't go on; undefined if they can. */
  #lossNow(): Loss | undefined {
    if (this.#engine.settle === undefined) return 'engine';
    if (this.#closing !== undefined) return 'stopping';
    return this.#deathsInARow >= MAX_DEATHS_IN_A_ROW ? 'repeated' : undefined;
  }

  /** Gives workers without a thread the spare, and what waits for them. */
  #activate(): void {
    for (const { threadId } of this.#seating.fill()) this.#usedRows.add(rowOf(this.#rowOwners, threadId));
    this.#giveWaiting();
    for (const { worker, isReady, threadId } of this.#seats) {
      if (worker === undefined && isReady)
        this.#channel.postMessage({ kind: 'spare', threadId } satisfies WorkerMessage);
    }
    if (this.#closing === undefined) this.onRoom();
  }

  #giveWaiting(): void {
    this.#seating.giveWaiting();
    if (this.#seating.isCrowded) this.#flushSoon();
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

  start(order: TransferOrder): boolean {
    const isTaken = this.#seating.post(order);
    this.#flushSoon();
    return isTaken;
  }

  resume(order: TransferOrder): void {
    this.#table.write(order, this.#engine.locate!(order.content));
    this.#takeover.adopt(order.slot, order.port?.worker);
    this.#giveWaiting();
  }

  get hasRoom(): boolean {
    const { hasRoom } = this.#seating;
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
    this.#isWanted ||= this.#seating.isCrowded;
    this.#seating.isCrowded = false;
    this.#giveWaiting();
    for (const seat of this.#seats) seat.flush();
    if (!this.#isWanted || this.#closing !== undefined) return;
    this.#isWanted = false;
    this.onRoom();
  };

  figures(): PoolFigures {
    const owners = new Int32Array(this.#rowOwners);
    const active = new Set(this.#seats.filter(({ worker }) => worker !== undefined).map(({ threadId }) => threadId));
    return poolFigures(this.#counters, owners.length, (row) =>
      active.has(Atomics.load(owners, row)) ? 'alive' : this.#usedRows.has(row) ? 'dead' : 'unused',
    );
  }

  get takeovers(): TakeoverFigures {
    return this.#takeover;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async leave(): Promise<void> {
    this.#hasLeft = true;
    const left = this.#endWork('leave');
    this.#closing = left.then(() => this.#endThreads());
    await left;
  }

  async #close(): Promise<void> {
    await this.#endWork('close');
    this.#takeover.close();
    await this.#endThreads();
  }

  /** Resolves when no worker uses a socket any more and the last reports have been taken. */
  async #endWork(kind: 'close' | 'leave'): Promise<void> {
    this.#forgetGivenUp();
    this.#channel.postMessage({ kind } satisfies WorkerMessage);
    await this.#until(() => [...this.#exits.keys()].every((thread) => this.#closed.has(thread.threadId)));
    for (const seat of this.#seats) seat.collect();
  }

  async #endThreads(): Promise<void> {
    for (const seat of this.#seats) seat.close();
    this.#channel.close();
    await this.#piscina.destroy();
  }

  #onMessage(message: WorkerMessage): void {
    if (message.kind === 'ready') {
      this.#ready.add(message.threadId);
      this.#seats[message.seat]!.ready(message.threadId, message.wake);
      this.#activate();
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
          const transfers = this.#takeOver(threadId, reason.split('\n', 1)[0]!.replace(/^Error: /, ''));
          resolve();
          this.#trackThreads();
          if (this.#closing === undefined || !this.#closed.has(threadId)) {
            this.workersLost++;
            this.#lastLoss = reason;
            this.#onWorkerLost(reason, transfers);
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
