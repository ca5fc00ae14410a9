/**
 * The packet loop: carries what arrives at links to sessions and what sessions decide to links, and wakes sessions
 * at their deadlines. One driver serves all transfers of a thread. Knows nothing of requests, files or pools.
 */
import type { Job } from './job.ts';
import type { LatencyHistogram } from './latencies.ts';
import type { TransferReport } from './report.ts';
import { type Loop, Running } from './running.ts';
import { TimerWheel } from './timer-wheel.ts';
import type { Engine, Link } from './types.ts';

export interface DriverOptions {
  /** Says whether supervisions have something to say: they are asked only then, at most every ATTEND_EVERY_MS. */
  readonly doorbell?: () => boolean;
  /** Where round trips are noted. Default: nowhere. */
  readonly roundTrips?: LatencyHistogram;
}

/** How long supervision may go unlooked at. */
const ATTEND_EVERY_MS = 10;

export class Driver implements Loop {
  readonly #engine: Engine;
  readonly #counters: Float64Array;
  readonly #wheel: TimerWheel;
  /** Transfers by the small number their deadline has in the wheel. */
  readonly #running: (Running | undefined)[] = [];
  readonly #free: number[] = [];
  #count = 0;
  /** How often abortAll was called: a transfer whose link was being opened meanwhile must not begin. */
  #aborts = 0;
  #cancelWake: (() => void) | undefined;
  #wakeAt = Number.POSITIVE_INFINITY;
  readonly #doorbell: (() => boolean) | undefined;
  readonly roundTrips: LatencyHistogram | undefined;

  /** @param counters a row of COUNTER cells. */
  constructor(engine: Engine, counters: Float64Array, options: DriverOptions = {}) {
    this.#engine = engine;
    this.#counters = counters;
    this.#wheel = new TimerWheel(engine.clock.now());
    this.#doorbell = options.doorbell;
    this.roundTrips = options.roundTrips;
  }

  /** Transfers running now. */
  get size(): number {
    return this.#count;
  }

  /** Runs one transfer to its end. Never rejects for what a peer does; an environment that fails gives `aborted`. */
  run(job: Job): Promise<TransferReport> {
    return new Promise((resolve) => this.start(job, resolve));
  }

  /** As run. @param ended called once, when nothing of the transfer runs any more. */
  start(job: Job, ended: (report: TransferReport) => void): void {
    const running = new Running(job, this, ended);
    const aborts = this.#aborts;
    if (job.port !== undefined) {
      try {
        this.#begin(running, this.#engine.adopt!(job.port, running), aborts);
      } catch (cause) {
        running.unlinked(cause);
      }
      return;
    }
    this.#engine.link(job.link, running).then(
      (link) => this.#begin(running, link, aborts),
      (cause: unknown) => running.unlinked(cause),
    );
  }

  #begin(running: Running, link: Link, aborts: number): void {
    if (aborts !== this.#aborts) {
      link.close();
      running.unlinked('Aborted before it began');
      return;
    }
    const id = this.#free.pop() ?? this.#running.length;
    this.#running[id] = running;
    this.#count++;
    running.begin(id, link);
  }

  /** Ends every transfer with outcome `aborted`. */
  abortAll(): void {
    this.#aborts++;
    for (const running of this.#running) running?.abort();
  }

  now(): number {
    return this.#engine.clock.now();
  }

  get counters(): Float64Array {
    return this.#counters;
  }

  /** For Running: it has an earlier deadline than the wheel knows. */
  arm(id: number, deadline: number): void {
    this.#wheel.schedule(id, deadline);
    this.#wakeBy(deadline);
  }

  /** For Running: it is over. */
  retire(id: number): void {
    this.#wheel.cancel(id);
    this.#running[id] = undefined;
    this.#free.push(id);
    this.#count--;
    if (this.#count > 0) return;
    // An idle driver leaves no timer behind: one would keep the process from ending.
    this.#cancelWake?.();
    this.#cancelWake = undefined;
    this.#wakeAt = Number.POSITIVE_INFINITY;
  }

  #wakeBy(deadline: number): void {
    const at = this.#doorbell === undefined ? deadline : Math.min(deadline, this.now() + ATTEND_EVERY_MS);
    if (at >= this.#wakeAt) return;
    this.#cancelWake?.();
    this.#wakeAt = at;
    this.#cancelWake = this.#engine.clock.wake(at, this.#tick);
  }

  readonly #tick = (): void => {
    this.#cancelWake = undefined;
    this.#wakeAt = Number.POSITIVE_INFINITY;
    const now = this.now();
    if (this.#doorbell?.() === true) for (const running of this.#running) running?.attend(now);
    this.#wheel.advance(now, this.#onDue);
    if (this.#count > 0) this.#wakeBy(this.#wheel.next());
  };

  readonly #onDue = (id: number): void => {
    this.#running[id]?.onDue(this.now());
  };
}
