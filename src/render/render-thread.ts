/**
 * One render thread in a Piscina of its own, so that it is known which work is on which thread. A thread in an endless
 * loop answers nothing and can only be terminated; its cells show whether it is. Knows no queue.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { CELL, type Job, type JobResult, type ThreadSetup } from './jobs.ts';
import { HEAP_MIB, LOAD_MS } from './limits.ts';

const ENTRY = new URL('./worker.js', import.meta.url);
/** More batches than a pool ever gives one thread: queueing is left to the pool. */
const MAX_BATCHES = 4096;

/** Interval at which close() checks whether a thread has loaded its modules, in milliseconds. */
const LOOK_MS = 5;
/** Factor on the time limit for a thread that may not have been scheduled. */
const STARVED = 5;
/** Unit of the times in /proc, on every Linux that Node.js supports. */
const TICK_MS = 10;

/** Returns the processor time of a thread of this process in milliseconds; undefined when unknown. */
function processorMs(tid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/self/task/${tid}/stat`, 'latin1');
    // The name may contain anything, so fields are counted after it: state is the first, utime the twelfth, stime the
    // next.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  } catch {
    return undefined;
  }
}

export interface RenderThreadOptions {
  readonly setup: Omit<ThreadSetup, 'cells'>;
  /** Called for errors that handlers leave behind after their answer. */
  readonly onStray: (reason: string) => void;
  /** Entry of the thread, for tests that run from another folder. */
  readonly worker?: URL | undefined;
}

export class RenderThread {
  /** Number of jobs given and not yet answered. */
  active = 0;
  /** How many of them are templates, which run one after the other. */
  templates = 0;
  readonly #cells: Int32Array;
  readonly #piscina: Piscina<readonly Job[], readonly JobResult[]>;
  #beat = 0;
  #beatAt = 0;
  #usedMs: number | undefined;

  constructor({ setup, onStray, worker }: RenderThreadOptions) {
    const cells = new SharedArrayBuffer(CELL.length * Int32Array.BYTES_PER_ELEMENT);
    this.#cells = new Int32Array(cells);
    this.#piscina = new Piscina({
      filename: (worker ?? ENTRY).href,
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: MAX_BATCHES,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled',
      recordTiming: false,
      workerData: { ...setup, cells } satisfies ThreadSetup,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
    });
    // Errors reach the caller through the work on the thread.
    this.#piscina.on('error', () => {});
    this.#piscina.on('message', (message: { readonly stray?: string }) => {
      if (message.stray !== undefined) onStray(message.stray);
    });
  }

  /** The id of the job it is computing; 0 when there is none or it is unknown. */
  get current(): number {
    return Atomics.load(this.#cells, CELL.current);
  }

  /** @throws Error when the thread has ended. */
  async run(jobs: readonly Job[]): Promise<readonly JobResult[]> {
    // Heartbeats seen before the thread had work are meaningless.
    if (this.active === 0) this.#beatAt = 0;
    const templates = jobs[0]?.kind === 'template' ? jobs.length : 0;
    this.active += jobs.length;
    this.templates += templates;
    try {
      return await this.#piscina.run(jobs);
    } finally {
      this.active -= jobs.length;
      this.templates -= templates;
    }
  }

  /**
   * Returns true when the thread has shown no sign of life for `limitMs`. Call at intervals while it has work. On a
   * busy machine a niced thread may not have been scheduled: it then counts as hung only once it has used processor
   * time, or after five times the limit.
   */
  isStill(now: number, limitMs: number): boolean {
    const beat = Atomics.load(this.#cells, CELL.beat);
    const tid = Atomics.load(this.#cells, CELL.tid);
    const usedMs = tid === 0 ? undefined : processorMs(tid);
    if (this.active === 0 || beat !== this.#beat || this.#beatAt === 0) {
      this.#beat = beat;
      this.#beatAt = now;
      this.#usedMs = usedMs;
    }
    const stillMs = now - this.#beatAt;
    if (stillMs <= limitMs) return false;
    const hasWorked = usedMs !== undefined && usedMs - (this.#usedMs ?? 0) > limitMs / 2;
    return hasWorked || stillMs > limitMs * STARVED || process.platform !== 'linux';
  }

  /**
   * Terminates the thread, whatever it is doing: its work fails with an error. While the thread loads modules, this waits,
   * up to LOAD_MS: Node.js 20 aborts the whole process when a thread ends inside a require() of an ES module.
   */
  async close(): Promise<void> {
    for (let waitedMs = 0; this.#isLoading && waitedMs < LOAD_MS; waitedMs += LOOK_MS) {
      // oxlint-disable-next-line no-await-in-loop -- a thread that loads can't send a message.
      await delay(LOOK_MS);
    }
    await this.#piscina.destroy();
  }

  get #isLoading(): boolean {
    return Atomics.load(this.#cells, CELL.loading) > 0;
  }
}
