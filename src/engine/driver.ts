/**
 * The packet loop: carries datagrams from links to sessions and the sessions' steps to links, and wakes sessions at
 * their deadlines. One driver serves all transfers of a thread. Knows nothing of requests, files or pools.
 */
import type { Job } from './job.ts';
import type { LatencyHistogram } from './latencies.ts';
import type { TransferReport } from './report.ts';
import { type Loop, Running } from './running.ts';
import { TimerWheel } from './timer-wheel.ts';
import type { Engine, Link } from './types.ts';

export interface DriverOptions {
  /** Tells whether supervisions may have news: only then are they asked, at most every ATTEND_EVERY_MS. */
  readonly doorbell?: () => boolean;
  /** Histogram of round trips. Default: none are recorded. */
  readonly roundTrips?: LatencyHistogram;
}

/** The longest interval between looks at the doorbell. */
const ATTEND_EVERY_MS = 10;

export class Driver implements Loop {
  readonly #engine: Engine;
  readonly #counters: Float64Array;
  readonly #wheel: TimerWheel;
  /** Transfers by the small number that identifies their deadline in the wheel. */
  readonly #running: (Running | undefined)[] = [];
  readonly #free: number[] = [];
  #count = 0;
  /** Calls of abortAll: a transfer whose link was opening during one must not begin. */
  #aborts = 0;
  #cancelWake: (() => void) | undefined;
  #wakeAt = Number.POSITIVE_INFINITY;
  #mustAttend = false;
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

  /** Number of transfers running now. */
  get size(): number {
    return this.#count;
  }

  /** Runs one transfer to its end. Never rejects for what a peer does; a failing environment gives `aborted`. */
  run(job: Job): Promise<TransferReport> {
    return new Promise((resolve) => this.start(job, resolve));
  }

  /** Like run. @param ended called once, when nothing of the transfer runs any more. */
  start(job: Job, ended: (report: TransferReport) => void): void {
    const running = new Running(job, this, ended);
    const aborts = this.#aborts;
    if (job.port !== undefined) {
      try {
        this.#begin(running, this.#engine.adopt!(job.port, job.link, running), aborts);
        if (job.unread !== undefined) running.onDatagram(job.unread, job.unread.length);
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

  /** Called by Running when its deadline is earlier than the wheel's. */
  arm(id: number, deadline: number): void {
    this.#wheel.schedule(id, deadline);
    this.#wakeBy(deadline);
  }

  /** Called by Running when its supervision has news and no doorbell will ring for it. */
  attendSoon(): void {
    this.#mustAttend = true;
    this.#wakeBy(this.now());
  }

  /** Called by Running when it is over. */
  retire(id: number): void {
    this.#wheel.cancel(id);
    this.#running[id] = undefined;
    this.#free.push(id);
    this.#count--;
    if (this.#count > 0) return;
    // An idle driver keeps no timer: it would keep the process alive.
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
    const mustAttend = this.#mustAttend;
    this.#mustAttend = false;
    // ACKs may have arrived that make a resend needless.
    if (mustAttend || this.#wheel.next() <= this.now()) this.#engine.catchUp?.();
    const now = this.now();
    if (this.#doorbell?.() === true || mustAttend) for (const running of this.#running) running?.attend(now);
    this.#wheel.advance(now, this.#onDue);
    if (this.#count > 0) this.#wakeBy(this.#wheel.next());
  };

  readonly #onDue = (id: number): void => {
    this.#running[id]?.onDue(this.now());
  };
}
