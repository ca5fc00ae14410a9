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

/** How far a supervision may lag behind a transfer whose phase does not change. */
const SUPERVISED_EVERY_MS = 64;

/** The loop, as a transfer sees it. */
export interface Loop {
  now(): number;
  /** A row of COUNTER cells. */
  readonly counters: Float64Array;
  readonly roundTrips: LatencyHistogram | undefined;
  /** Sets a deadline earlier than the loop's. */
  arm(id: number, deadline: number): void;
  /** Attends to all transfers in the loop's next turn, after what has arrived is read. */
  attendSoon(): void;
  /** Removes a transfer that is over. */
  retire(id: number): void;
}

export class Running implements Steps, LinkReceiver {
  readonly #loop: Loop;
  /** The transfer's number in the loop; -1 before the link is open and after the end. */
  #id = -1;
  #link: Link | undefined;
  readonly #resolve: (report: TransferReport) => void;
  #startedAt = 0;
  #progressAt = 0;
  #blocks = 0;
  /** The highest block sent: blocks up to it are resends. */
  #highest = 0;
  #fault: string | undefined;
  // Fields for every packet are here and not in the job: with thousands of transfers, each extra object is a cache
  // miss.
  readonly #session: Session;
  readonly #content: SharedView | undefined;
  readonly #ringBytes: number;
  readonly #supervision: Supervision | undefined;
  /** True while packets are only counted, because another thread has sent them. */
  #isSent = false;
  #phase = -1;
  #supervisedAt = 0;
  /** The transfer's deadline in the wheel: a flag that it is set, and its time. */
  #armed = false;
  #dueAt = 0;
  // Rarely used fields come last, so that those for every packet lie together.
  readonly #opening: Uint8Array;
  readonly #openedAt: number | undefined;
  readonly #resumedFrom: number | undefined;
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
    this.#resumedFrom = job.resumedFrom;
    this.#blocks = job.session.tally.blocks;
    this.#keep = job.keep;
    this.#onStranger = job.onStranger;
  }

  begin(id: number, link: Link): void {
    this.#id = id;
    this.#link = link;
    const now = this.#loop.now();
    const isResumed = this.#resumedFrom !== undefined;
    this.#isSent = this.#openedAt !== undefined && !isResumed;
    this.#startedAt = this.#openedAt ?? now;
    this.#progressAt = this.#resumedFrom ?? this.#startedAt;
    this.#act((session) => session.start(isResumed ? now : this.#startedAt, this));
    this.#isSent = false;
    // The doorbell of wishes set while the link was opening has already rung. What the peer sent before a wish is read first.
    if (this.#supervision !== undefined && this.#supervision.hasNews !== false) this.#loop.attendSoon();
  }

  /** Reports a transfer that never got a link. */
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
      this.#after(now, true);
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
    // The wheel holds the earliest deadline this session had; most have moved later since.
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

  acknowledged(block: number): void {
    this.#supervision?.onAcknowledged?.(block);
  }

  error(code: ErrorCode, message: string): void {
    this.#link!.control(CONTROL, encodeError(CONTROL, code, message));
  }

  keep(offset: number): void {
    this.#keep!(PACKET.bytes, PACKET.start, PACKET.end, offset);
  }

  /** Performs a step other than a packet: rare enough for a closure. */
  #act(what: (session: Session) => void): void {
    const session = this.#session;
    const { counters } = this.#loop;
    const { retransmits } = session.tally;
    try {
      what(session);
      counters[COUNTER.retransmits]! += session.tally.retransmits - retransmits;
      this.#after(this.#loop.now(), false);
    } catch (cause) {
      this.#fail(cause);
    }
  }

  /** @param isHeard true if a packet of the peer has caused the step. */
  #after(now: number, isHeard: boolean): void {
    const session = this.#session;
    const { phase } = session;
    const { blocks } = session.tally;
    const isOver = session.outcome !== undefined;
    // The peer's first answer and its last packet are progress too, although ACK 0 and an ERROR acknowledge no block.
    const isFirst = this.#phase === 0 && phase > 0;
    if (blocks !== this.#blocks || (isHeard && (isFirst || isOver))) {
      this.#blocks = blocks;
      this.#progressAt = now;
    }
    if (isOver) {
      this.#supervision?.onProgress(this.#progressAt);
      this.#finish();
      return;
    }
    if (phase !== this.#phase || now - this.#supervisedAt >= SUPERVISED_EVERY_MS) {
      this.#phase = phase;
      this.#supervisedAt = now;
      this.#supervision?.onProgress(this.#progressAt);
      // onProgress may have just reported that the session waits: content that arrived earlier does not ring the
      // doorbell.
      if (this.#supervision?.hasArrivals === true) return this.attend(now);
    }
    this.#arm();
  }

  /** Arms the wheel. A later deadline is not set now: the wheel's old entry checks it when due. */
  #arm(): void {
    const { deadline } = this.#session;
    if (this.#armed && deadline >= this.#dueAt) return;
    this.#armed = true;
    this.#dueAt = deadline;
    this.#loop.arm(this.#id, deadline);
  }

  /** Ends this transfer alone for a fault of ours. */
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
      // The first reply may carry another thread's time.
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

/** One packet and one control buffer for each thread: neither is kept beyond a call. */
const PACKET = createPacket();
const CONTROL = new Uint8Array(MAX_CONTROL);
