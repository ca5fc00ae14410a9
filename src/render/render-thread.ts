/**
 * One render thread: a Piscina of its own, so that it is known which work is on which thread. A thread that computes
 * without end answers nothing and can only be ended; whether it does is told by its cells. Knows no queue.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { CELL, type Job, type JobResult, type ThreadSetup } from './jobs.ts';
import { HEAP_MIB, LOAD_MS } from './limits.ts';

const ENTRY = new URL('./worker.js', import.meta.url);
/** More than a pool ever gives one thread: waiting is the pool's business. */
const MAX_BATCHES = 4096;

/** How often it is looked whether a thread has loaded its modules, in milliseconds. */
const LOOK_MS = 5;
/** How much longer a thread may go without a sign of life that has not been let run. */
const STARVED = 5;
/** The unit of times in /proc, on every Linux that Node.js runs on. */
const TICK_MS = 10;

/** What a thread of ours has used of the processors; undefined: it is not known. */
function processorMs(tid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/self/task/${tid}/stat`, 'latin1');
    // After the name, which may hold anything: state is the first, utime the twelfth, stime the next.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  } catch {
    return undefined;
  }
}

export interface RenderThreadOptions {
  readonly setup: Omit<ThreadSetup, 'cells'>;
  /** What handlers have left behind and failed then. */
  readonly onStray: (reason: string) => void;
  /** The thread's entry, for tests that run from elsewhere. */
  readonly worker?: URL | undefined;
}

export class RenderThread {
  /** Work it has been given and has not answered. */
  active = 0;
  /** How much of it is templates, which run one after the other. */
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
    // Told by the work that it was given.
    this.#piscina.on('error', () => {});
    this.#piscina.on('message', (message: { readonly stray?: string }) => {
      if (message.stray !== undefined) onStray(message.stray);
    });
  }

  /** Which work it is computing for; 0: none, or nobody can tell. */
  get current(): number {
    return Atomics.load(this.#cells, CELL.current);
  }

  /** @throws Error when the thread has ended. */
  async run(jobs: readonly Job[]): Promise<readonly JobResult[]> {
    // What was looked at before it had work says nothing.
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
   * Whether it has shown no sign of life for so long. Call at intervals while it has work. On a busy machine a niced
   * thread may just not have had its turn: it counts as standing still when it has used its time, or after five times
   * as long.
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
   * Ends the thread, whatever it computes; its work is answered by an error. While the thread loads modules, this waits, up
   * to LOAD_MS: Node.js 20 aborts the whole process when a thread ends inside a require() of an ES module.
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
