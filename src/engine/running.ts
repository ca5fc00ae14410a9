/**
 * One transfer in the packet loop: the steps of its session and the receiver of its link. Knows one transfer; the loop
 * (driver.ts) knows them all.
 */
import type { SharedView } from '../bytes/shared-bytes.ts';
import { toWire } from '../protocol/block.ts';
import { encodeAck, encodeError, MAX_CONTROL } from '../protocol/encode.ts';
import type { ErrorCode } from '../protocol/opcode.ts';
import { OPCODE } from '../protocol/opcode.ts';
import { createPacket, decode } from '../protocol/packet.ts';
import type { Session, Steps } from '../session/session.ts';
import { COUNTER } from './counters.ts';
import type { Job, Keep, Supervision } from './job.ts';
import type { LatencyHistogram } from './latencies.ts';
import { type TransferReport, UNREADABLE_CONTENT } from './report.ts';
import type { Link, LinkReceiver } from './types.ts';

/** How far a supervision may lag behind a transfer that goes on as before. */
const SUPERVISED_EVERY_MS = 64;

/** What a transfer needs of its loop. */
export interface Loop {
  now(): number;
  /** A row of COUNTER cells. */
  readonly counters: Float64Array;
  readonly roundTrips: LatencyHistogram | undefined;
  /** It has an earlier deadline than the loop knows. */
  arm(id: number, deadline: number): void;
  /** It is over. */
  retire(id: number): void;
}

export class Running implements Steps, LinkReceiver {
  readonly #loop: Loop;
  /** The number the loop knows this by; -1 before the link is open and after the end. */
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
  readonly #ringBytes: number;
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

  constructor(job: Job, loop: Loop, resolve: (report: TransferReport) => void) {
    this.#loop = loop;
    this.#resolve = resolve;
    this.#session = job.session;
    this.#content = job.content;
    this.#ringBytes = job.ringBytes ?? 0;
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
    this.#startedAt = this.#progressAt = this.#openedAt ?? this.#loop.now();
    this.#act((session) => session.start(this.#startedAt, this));
    this.#isSent = false;
    // What was said before the link was open has been rung for in vain.
    this.attend(this.#loop.now());
  }

  /** Of a transfer that never got a link. */
  unlinked(cause: unknown): void {
    this.#fault = cause instanceof Error ? cause.message : String(cause);
    this.#resolve(this.#report());
  }

  onDatagram(bytes: Uint8Array, length: number): void {
    const loop = this.#loop;
    loop.counters[COUNTER.received]!++;
    if (this.#id < 0) return;
    if (decode(bytes, length, PACKET) !== undefined) {
      loop.counters[COUNTER.malformed]!++;
      return;
    }
    const now = loop.now();
    const session = this.#session;
    const { tally } = session;
    try {
      const { retransmits, stale } = tally;
      session.onPacket(PACKET, now, this);
      if (PACKET.opcode === OPCODE.DATA) loop.counters[COUNTER.dataReceived]!++;
      if (tally.retransmits !== retransmits) loop.counters[COUNTER.retransmits]! += tally.retransmits - retransmits;
      if (tally.stale !== stale) {
        loop.counters[COUNTER.stale]! += tally.stale - stale;
        if (PACKET.opcode === OPCODE.ACK) loop.counters[COUNTER.duplicateAcks]! += tally.stale - stale;
      }
      if (tally.roundTripMs >= 0) {
        loop.roundTrips?.observe(tally.roundTripMs, 1);
        tally.roundTripMs = -1;
      }
      this.#after(now);
    } catch (cause) {
      this.#fail(cause);
    }
  }

  onUnreachable(): void {
    if (this.#id >= 0) this.#act((session) => session.onUnreachable(this.#loop.now()));
  }

  onUnreadable(): void {
    if (this.#id < 0) return;
    this.#fault = UNREADABLE_CONTENT;
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
    if (supervision !== undefined && supervision.hasNews !== false && this.#id >= 0)
      this.#act(() => supervision.attend(now, this));
  }

  abort(): void {
    if (this.#id >= 0) this.#act((session) => session.abort(this));
  }

  opening(): void {
    if (!this.#isSent) this.#link!.control(this.#opening, this.#opening.length);
  }

  data(block: number, offset: number, length: number): void {
    const { counters } = this.#loop;
    counters[COUNTER.dataSent]!++;
    counters[COUNTER.dataBytesSent]! += length;
    if (block > this.#highest) this.#highest = block;
    else counters[COUNTER.dataRetransmitted]!++;
    if (this.#isSent) return;
    const at = this.#ringBytes === 0 ? offset : offset % this.#ringBytes;
    this.#link!.data(toWire(block, this.#session.rollover), this.#content!, at, length);
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
    const { counters } = this.#loop;
    const { retransmits } = session.tally;
    try {
      what(session);
      counters[COUNTER.retransmits]! += session.tally.retransmits - retransmits;
      this.#after(this.#loop.now());
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
      // It may have just said that it waits: what had arrived before that is not rung for.
      if (this.#supervision?.hasArrivals === true) return this.attend(now);
    }
    this.#arm();
  }

  /** Later deadlines wait: the wheel's old entry finds out when it is due. */
  #arm(): void {
    const { deadline } = this.#session;
    if (this.#armed && deadline >= this.#dueAt) return;
    this.#armed = true;
    this.#dueAt = deadline;
    this.#loop.arm(this.#id, deadline);
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
    this.#loop.retire(id);
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
