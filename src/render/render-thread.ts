/**
 * One render thread: a Piscina of its own, so that it is known which work is on which thread. A thread that computes
 * without end answers nothing and can only be ended; whether it does is told by its cells. Knows no queue.
 */
import { Piscina } from 'piscina';
import { CELL, type Job, type JobResult, type ThreadSetup } from './jobs.ts';
import { HEAP_MIB } from './limits.ts';

const ENTRY = new URL('./worker.js', import.meta.url);
/** More than a pool ever gives one thread: waiting is the pool's business. */
const MOST_BATCHES = 4096;

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

  constructor({ setup, onStray, worker }: RenderThreadOptions) {
    const cells = new SharedArrayBuffer(CELL.length * Int32Array.BYTES_PER_ELEMENT);
    this.#cells = new Int32Array(cells);
    this.#piscina = new Piscina({
      filename: (worker ?? ENTRY).href,
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: MOST_BATCHES,
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

  /** For how long it has shown no sign of life, as far as these looks can tell. Call at intervals while it has work. */
  stillMs(now: number): number {
    const beat = Atomics.load(this.#cells, CELL.beat);
    if (this.active === 0 || beat !== this.#beat || this.#beatAt === 0) {
      this.#beat = beat;
      this.#beatAt = now;
    }
    return now - this.#beatAt;
  }

  /** Ends it, whatever it is doing: its work is answered by an error. */
  close(): Promise<void> {
    return this.#piscina.destroy();
  }
}
