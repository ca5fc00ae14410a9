/**
 * The packet loop: carries what arrives at links to sessions and what sessions decide to links, and wakes sessions
 * at their deadlines. One driver serves all transfers of a thread. Knows nothing of requests, files or pools.
 */
import { toWire } from '../protocol/block.ts';
import { encodeAck, encodeError, MAX_CONTROL } from '../protocol/encode.ts';
import type { ErrorCode } from '../protocol/opcode.ts';
import { OPCODE } from '../protocol/opcode.ts';
import { createPacket, decode } from '../protocol/packet.ts';
import type { Session, Steps } from '../session/session.ts';
import { COUNTER } from './counters.ts';
import type { LatencyHistogram } from './latencies.ts';
import type { TransferReport } from './report.ts';
import type { SharedView } from '../bytes/shared-bytes.ts';
import { TimerWheel } from './timer-wheel.ts';
import type { BorrowedPort, Engine, Link, LinkOptions, LinkReceiver } from './types.ts';

/** Where a receiver's payload goes: bytes[start, end) belong at `offset` of the file, and are reused after the call. */
export type Keep = (bytes: Uint8Array, start: number, end: number, offset: number) => void;

/** A say in a transfer from outside its thread, looked at every few milliseconds and told how it goes. */
export interface Supervision {
  /** Told when the session's phase has changed, and else now and then: at most SUPERVISED_EVERY_MS after a packet. */
  onProgress(now: number): void;
  /** Asked now and then: may end the session or repeat its first reply. */
  attend(now: number, out: Steps): void;
}

export interface DriverOptions {
  /** Says whether supervisions have something to say: they are asked only then, at most every ATTEND_EVERY_MS. */
  readonly doorbell?: () => boolean;
  /** Where round trips are noted. Default: nowhere. */
  readonly roundTrips?: LatencyHistogram;
}

export interface Job {
  readonly session: Session;
  readonly link: LinkOptions;
  /** Taken by another thread; undefined: a port is opened as `link` says. */
  readonly port?: BorrowedPort | undefined;
  /** The OACK of a sender, the request of a receiver. */
  readonly opening: Uint8Array;
  readonly content?: SharedView;
  readonly keep?: Keep;
  readonly supervision?: Supervision;
  /** When another thread has sent the session's first packet; undefined: it is to be sent. */
  readonly openedAt?: number | undefined;
  /** See LinkReceiver.onStranger. */
  readonly onStranger?: (bytes: Uint8Array, length: number) => void;
}

/** How long supervision may go unlooked at. */
const ATTEND_EVERY_MS = 10;
/** How far a supervision may lag behind a transfer that goes on as before. */
const SUPERVISED_EVERY_MS = 64;

export class Driver {
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

/** One transfer in the loop: the steps of its session and the receiver of its link. */
class Running implements Steps, LinkReceiver {
  readonly #driver: Driver;
  /** The number the driver knows this by; -1 before the link is open and after the end. */
  #id = -1;
  #link: Link | undefined;
  readonly #resolve: (report: TransferReport) => void;
  #startedAt = 0;
  #progressAt = 0;
  #blocks = 0;
  /** The highest block sent: what is not above it is sent again. */
  #highest = 0;
  #fault: string | undefined;
  // What every packet needs, here and not in the job: with thousands of transfers each object more is a cache miss.
  readonly #session: Session;
  readonly #content: SharedView | undefined;
  readonly #supervision: Supervision | undefined;
  /** True while packets are only counted, because another thread has sent them. */
  #isSent = false;
  #phase = -1;
  #supervisedAt = 0;
  /** Whether the wheel knows us, and for when. */
  #armed = false;
  #dueAt = 0;
  // Last, so that what every packet needs lies together.
  readonly #opening: Uint8Array;
  readonly #openedAt: number | undefined;
  readonly #keep: Keep | undefined;
  readonly #onStranger: Job['onStranger'];

  constructor(job: Job, driver: Driver, resolve: (report: TransferReport) => void) {
    this.#driver = driver;
    this.#resolve = resolve;
    this.#session = job.session;
    this.#content = job.content;
    this.#supervision = job.supervision;
    this.#opening = job.opening;
    this.#openedAt = job.openedAt;
    this.#keep = job.keep;
    this.#onStranger = job.onStranger;
  }

  begin(id: number, link: Link): void {
    this.#id = id;
    this.#link = link;
    this.#isSent = this.#openedAt !== undefined;
    this.#startedAt = this.#progressAt = this.#openedAt ?? this.#driver.now();
    this.#act((session) => session.start(this.#startedAt, this));
    this.#isSent = false;
    // What was said before the link was open has been rung for in vain.
    this.attend(this.#driver.now());
  }

  /** Of a transfer that never got a link. */
  unlinked(cause: unknown): void {
    this.#fault = cause instanceof Error ? cause.message : String(cause);
    this.#resolve(this.#report());
  }

  onDatagram(bytes: Uint8Array, length: number): void {
    const driver = this.#driver;
    driver.counters[COUNTER.received]!++;
    if (this.#id < 0) return;
    if (decode(bytes, length, PACKET) !== undefined) {
      driver.counters[COUNTER.malformed]!++;
      return;
    }
    const now = driver.now();
    const session = this.#session;
    const { tally } = session;
    try {
      const { retransmits, stale } = tally;
      session.onPacket(PACKET, now, this);
      if (PACKET.opcode === OPCODE.DATA) driver.counters[COUNTER.dataReceived]!++;
      if (tally.retransmits !== retransmits) driver.counters[COUNTER.retransmits]! += tally.retransmits - retransmits;
      if (tally.stale !== stale) {
        driver.counters[COUNTER.stale]! += tally.stale - stale;
        if (PACKET.opcode === OPCODE.ACK) driver.counters[COUNTER.duplicateAcks]! += tally.stale - stale;
      }
      if (tally.roundTripMs >= 0) {
        driver.roundTrips?.observe(tally.roundTripMs, 1);
        tally.roundTripMs = -1;
      }
      this.#after(now);
    } catch (cause) {
      this.#fail(cause);
    }
  }

  onUnreachable(): void {
    if (this.#id >= 0) this.#act((session) => session.onUnreachable(this.#driver.now()));
  }

  onUnreadable(): void {
    if (this.#id < 0) return;
    this.#fault = 'The content became unreadable';
    this.#act((session) => session.abort(this, 'Content lost'));
  }

  onStranger(bytes: Uint8Array, length: number): void {
    if (this.#id >= 0) this.#onStranger?.(bytes, length);
  }

  onDue(now: number): void {
    this.#armed = false;
    // The wheel knows the earliest deadline this session ever had; most have moved on since.
    if (this.#session.deadline > now) this.#arm();
    else this.#act((session) => session.onDeadline(now, this));
  }

  attend(now: number): void {
    const supervision = this.#supervision;
    if (supervision !== undefined && this.#id >= 0) this.#act(() => supervision.attend(now, this));
  }

  abort(): void {
    if (this.#id >= 0) this.#act((session) => session.abort(this));
  }

  opening(): void {
    if (!this.#isSent) this.#link!.control(this.#opening, this.#opening.length);
  }

  data(block: number, offset: number, length: number): void {
    const { counters } = this.#driver;
    counters[COUNTER.dataSent]!++;
    counters[COUNTER.dataBytesSent]! += length;
    if (block > this.#highest) this.#highest = block;
    else counters[COUNTER.dataRetransmitted]!++;
    if (this.#isSent) return;
    this.#link!.data(toWire(block, this.#session.rollover), this.#content!, offset, length);
  }

  ack(block: number): void {
    this.#link!.control(CONTROL, encodeAck(CONTROL, toWire(block, this.#session.rollover)));
  }

  error(code: ErrorCode, message: string): void {
    this.#link!.control(CONTROL, encodeError(CONTROL, code, message));
  }

  keep(offset: number): void {
    this.#keep!(PACKET.bytes, PACKET.start, PACKET.end, offset);
  }

  /** Everything but packets: rare enough for a closure. */
  #act(what: (session: Session) => void): void {
    const session = this.#session;
    const { counters } = this.#driver;
    const { retransmits } = session.tally;
    try {
      what(session);
      counters[COUNTER.retransmits]! += session.tally.retransmits - retransmits;
      this.#after(this.#driver.now());
    } catch (cause) {
      this.#fail(cause);
    }
  }

  #after(now: number): void {
    const session = this.#session;
    const { blocks } = session.tally;
    if (blocks !== this.#blocks) {
      this.#blocks = blocks;
      this.#progressAt = now;
    }
    if (session.outcome !== undefined) {
      this.#finish();
      return;
    }
    const { phase } = session;
    if (phase !== this.#phase || now - this.#supervisedAt >= SUPERVISED_EVERY_MS) {
      this.#phase = phase;
      this.#supervisedAt = now;
      this.#supervision?.onProgress(this.#progressAt);
    }
    this.#arm();
  }

  /** Later deadlines wait: the wheel's old entry finds out when it is due. */
  #arm(): void {
    const { deadline } = this.#session;
    if (this.#armed && deadline >= this.#dueAt) return;
    this.#armed = true;
    this.#dueAt = deadline;
    this.#driver.arm(this.#id, deadline);
  }

  /** A fault of ours in this transfer costs this transfer alone. */
  #fail(cause: unknown): void {
    this.#fault = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    this.#finish();
  }

  #finish(): void {
    if (this.#id < 0) return;
    const id = this.#id;
    this.#id = -1;
    this.#driver.retire(id);
    this.#link!.close();
    this.#resolve(this.#report());
  }

  #report(): TransferReport {
    const { outcome, tally } = this.#session;
    return {
      outcome: this.#fault === undefined ? (outcome ?? 'aborted') : 'aborted',
      startedAt: this.#link === undefined ? undefined : this.#startedAt,
      // The first reply may bear another thread's time.
      durationMs: Math.max(0, this.#progressAt - this.#startedAt),
      blocks: tally.blocks,
      bytes: tally.bytes,
      retransmits: tally.retransmits,
      stale: tally.stale,
      timeouts: tally.timeouts,
      errorCode: tally.errorCode,
      errorText: tally.errorText,
      fault: this.#fault,
    };
  }
}

/** One packet and one control buffer for each thread: nothing outlives the call it is used in. */
const PACKET = createPacket();
const CONTROL = new Uint8Array(MAX_CONTROL);
