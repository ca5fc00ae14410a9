/**
 * The sending end of a transfer: RFC 1350's lockstep and RFC 7440's windows, which are the same machine (a window of 1
 * behaves to the byte as if it had never been negotiated).
 *
 * Three rules carry it. Only an ACK that advances acts; any other ACK is counted, sends nothing and moves no timer (RFC
 * 1123 §4.2.3.1, and EDK2, which acknowledges every unexpected block). A timeout resends the first unacknowledged block
 * alone: the receiver's next ACK shows what else is missing. Until the first valid ACK the peer's address is unproven,
 * and each request received earns at most three sends.
 */
import { blockCount, fromWire, type Rollover } from '../protocol/block.ts';
import { ERROR_CODE, OPCODE } from '../protocol/opcode.ts';
import { errorMessage, type Packet } from '../protocol/packet.ts';
import { BURST_GAP_MS, Pace } from './pace.ts';
import { Retransmission, RTO_FLOOR_MS, RTO_START_MS } from './retransmission.ts';
import { DATA_SENDS_PER_REQUEST, SENDS_PER_REQUEST, TAIL_MS, TAIL_SENDS, UNPROVEN_MS } from './sender-limits.ts';
import type { Resumption, SenderPlan } from './sender-plan.ts';
import { MAX_AGE_MS, NEVER } from './sender-times.ts';
import { createTally, type Outcome, type Session, type Steps } from './session.ts';

/** An ACK that can't acknowledge anything: every number but 0 until the OACK is acknowledged. */
const IMPOSSIBLE = -2;

export class Sender implements Session {
  readonly tally = createTally();
  readonly #plan: SenderPlan;
  #size: number;
  #lastBlock: number;
  /** The last block that may be sent: later ones are still being read. */
  #arrived: number;
  /** True if the next window waits for more content to arrive. */
  #isWaiting = false;
  readonly #retransmission: Retransmission;
  readonly #pace: Pace;
  /** The start of the session, on the clock of `now`. */
  #origin = 0;

  /** The highest block acknowledged; -1 until the OACK is acknowledged (by ACK 0, RFC 2347). */
  #base: number;
  /** The next block to send, and the highest ever sent. */
  #next = 1;
  #highest = 0;
  #proven = false;
  #outcome: Outcome | undefined;

  /** Sends of the first reply left while the address is unproven. */
  #allowance: number;
  #unprovenUntil = NEVER;
  #lastSendAt = 0;
  /** The highest block sent when an early ACK last restarted the window, -1 for none. */
  #restartedAt = -1;

  #retransmitAt = NEVER;
  #burstAt = NEVER;
  /** When an ICMP error takes effect, unless the peer is heard from before. */
  #doubtedUntil = NEVER;
  #progressAt = 0;
  /** When the last block was first sent since the last ACK that advanced, and its sends since then. */
  #tailSince = NEVER;
  #tailSends = 0;
  /** Attempts left to go on after a takeover: first with one block, then with the whole window. */
  #attempts = 0;

  constructor(plan: SenderPlan) {
    this.#plan = plan;
    this.#size = plan.size;
    this.#lastBlock = blockCount(plan.size, plan.blksize);
    this.#arrived = plan.arrived ?? this.#lastBlock;
    this.#base = plan.resumption?.base ?? (plan.oack ? -1 : 0);
    this.#count(Math.max(0, this.#base));
    this.tally.retransmits = plan.resumption?.retransmits ?? 0;
    this.tally.dataRetransmits = plan.resumption?.dataRetransmits ?? 0;
    this.#allowance = this.#earned;
    this.#retransmission = new Retransmission(plan.seed, plan.timeoutMs);
    this.#pace = new Pace(plan.windowsize, plan.blksize);
  }

  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  /** 0: the peer's address is unproven, 2: the last block has been sent, 3: content is awaited, 1: anything else. */
  get phase(): number {
    if (this.#isWaiting) return 3;
    return this.#proven ? (this.lastBlockSent ? 2 : 1) : 0;
  }

  /** True if the transfer can't go on before more of its content has arrived. */
  get waiting(): boolean {
    return this.#isWaiting;
  }

  /** The smoothed round trip, ms; undefined before the first measurement. */
  get roundTripMs(): number | undefined {
    return this.#retransmission.smoothedMs;
  }

  get rollover(): Rollover {
    return this.#plan.rollover;
  }

  /** Sends of the first reply that a request earns. */
  get #earned(): number {
    return this.#plan.oack ? SENDS_PER_REQUEST : DATA_SENDS_PER_REQUEST;
  }

  /** True if a valid ACK has arrived: a client at the peer's address wants this transfer. */
  get proven(): boolean {
    return this.#proven;
  }

  get lastBlockSent(): boolean {
    return this.#highest === this.#lastBlock;
  }

  get deadline(): number {
    const silence = this.#proven
      ? Math.min(this.#progressAt + this.#plan.patienceMs, this.#tailEnd())
      : this.#unprovenUntil;
    return this.#origin + Math.min(this.#retransmitAt, this.#burstAt, silence, MAX_AGE_MS, this.#doubtedUntil);
  }

  /** When silence after the last block counts as its arrival. */
  #tailEnd(): number {
    return this.#tailSends >= TAIL_SENDS ? this.#tailSince + TAIL_MS : NEVER;
  }

  start(now: number, out: Steps): void {
    this.#origin = now;
    this.#unprovenUntil = UNPROVEN_MS;
    if (this.#plan.resumption === undefined) this.#sendFirstReply(0, out);
    else this.#resume(this.#plan.resumption, out);
  }

  /**
   * Goes on where another sender of this transfer was stopped. All of its window may have been sent, and the peer's
   * answer to it may be there already, so nothing is sent before that has been read.
   */
  #resume({ isProven, isWaiting, silentMs, roundTripMs }: Resumption, out: Steps): void {
    const base = Math.max(0, this.#base);
    const windowEnd = Math.min(base + this.#plan.windowsize, this.#lastBlock, this.#arrived);
    if (roundTripMs !== undefined) this.#retransmission.sample(roundTripMs);
    this.#retransmission.isResent = true;
    this.#retransmission.progress();
    this.#proven = isProven;
    // No block leaves before the OACK is acknowledged.
    this.#highest = isWaiting || this.#base < 0 ? base : Math.max(base, windowEnd);
    this.#next = this.#highest + 1;
    this.#progressAt = -silentMs;
    this.#unprovenUntil = UNPROVEN_MS - silentMs;
    // The first reply was sent, and counts against what the request has earned.
    this.#allowance = this.#plan.oack ? 1 : 0;
    if (this.lastBlockSent) [this.#tailSince, this.#tailSends] = [0, 1];
    this.#attempts = !isProven || isWaiting ? 0 : Math.min(2, this.#plan.windowsize);
    if (isWaiting) this.#sendBurst(0, out);
    else if (isProven) this.#retransmitAt = this.#retransmission.answerMs;
    else if (this.#allowance > 0) this.#retransmitAt = this.#retransmission.delay();
  }

  /**
   * Call when the client repeats its request because it has not seen our reply. Earns more sends, the first of them now
   * unless the last was less than a timeout ago. Has no effect once the address is proven.
   */
  onRequestRepeated(at: number, out: Steps): void {
    if (this.#proven || this.#outcome !== undefined) return;
    const now = at - this.#origin;
    this.#allowance += this.#earned;
    this.#unprovenUntil = now + UNPROVEN_MS;
    if (now - this.#lastSendAt >= RTO_START_MS) this.#repeatFirstReply(now, out);
    else if (this.#retransmitAt === NEVER) this.#retransmitAt = this.#lastSendAt + RTO_START_MS;
  }

  onPacket(packet: Packet, now: number, out: Steps): void {
    if (this.#outcome !== undefined) return;
    this.#doubtedUntil = NEVER;
    if (packet.opcode === OPCODE.ACK) this.#onAck(packet.block, now - this.#origin, out);
    else if (packet.opcode === OPCODE.ERROR) this.#onError(packet);
    else this.tally.stale++;
  }

  /**
   * Call when more of the content has arrived: blocks up to number `block` may be sent. A waiting transfer goes on at
   * once, and the peer's silence counts from now.
   *
   * @param size bytes in all, once known; at most the plan's size.
   */
  onArrival(block: number, size: number | undefined, at: number, out: Steps): void {
    if (this.#outcome !== undefined || block <= this.#arrived) return;
    this.#arrived = block;
    if (size !== undefined) {
      this.#size = size;
      this.#lastBlock = blockCount(size, this.#plan.blksize);
    }
    if (!this.#isWaiting) return;
    this.#progressAt = at - this.#origin;
    this.#sendBurst(this.#progressAt, out);
  }

  onDeadline(at: number, out: Steps): void {
    if (this.#outcome !== undefined) return;
    const now = at - this.#origin;
    // The age comes first, because every other time of this session is below it.
    if (now >= MAX_AGE_MS) this.#end('timeout', 'Timed out', out);
    else if (now >= this.#doubtedUntil) this.#onGone();
    else if (!this.#proven) this.#onUnprovenDeadline(now, out);
    else if (now >= this.#tailEnd()) this.#outcome = 'completeUnconfirmed';
    else if (now >= this.#progressAt + this.#plan.patienceMs) this.#onPatienceGone(out);
    else if (now >= this.#burstAt) this.#sendBurst(now, out);
    else if (now >= this.#retransmitAt) this.#onTimeout(now, out);
  }

  /** ICMP can be forged: it takes effect if the peer stays silent for two round trips after it. */
  onUnreachable(at: number): void {
    if (this.#outcome !== undefined || this.#doubtedUntil !== NEVER) return;
    const { smoothedMs } = this.#retransmission;
    const patience = smoothedMs === undefined ? RTO_START_MS : Math.max(RTO_FLOOR_MS, 2 * smoothedMs);
    this.#doubtedUntil = at - this.#origin + patience;
  }

  #onGone(): void {
    // Loaders close their port with the last block, so the client counts as missing only before that.
    this.#outcome = this.#proven && this.lastBlockSent ? 'completeUnconfirmed' : 'unreachable';
  }

  abort(out: Steps, message = 'Server is stopping'): void {
    if (this.#outcome === undefined) this.#end('aborted', message, out);
  }

  /**
   * Ends the transfer without an ERROR: its client has started over on the same port, and would take our ERROR for the
   * answer to its new request.
   */
  supersede(): void {
    this.#outcome ??= this.lastBlockSent ? 'completeUnconfirmed' : 'aborted';
  }

  #end(outcome: Outcome, message: string, out: Steps): void {
    this.#outcome = outcome;
    // An unproven address gets nothing more from us.
    if (this.#proven) out.error(ERROR_CODE.NOT_DEFINED, message);
  }

  #onError(packet: Packet): void {
    this.tally.errorCode = packet.code;
    this.tally.errorText = errorMessage(packet);
    const closing = packet.code === ERROR_CODE.NOT_DEFINED || packet.code === ERROR_CODE.OPTION_REFUSED;
    this.#outcome = closing && this.#base <= 0 ? 'probe' : 'clientError';
  }

  #onAck(wire: number, now: number, out: Steps): void {
    // Until the OACK is acknowledged only ACK 0 is valid.
    const block = this.#base < 0 ? (wire === 0 ? 0 : IMPOSSIBLE) : fromWire(wire, this.#base, this.#plan.rollover);
    if (block <= this.#base || block > this.#highest) {
      this.tally.stale++;
      if (block === this.#base) this.#onRepeatedAck(now);
      else if (!this.#proven && this.#plan.mayMeetOldAcks !== true) this.#onImpossibleAck();
      return;
    }
    this.#proven = true;
    this.#count(block);
    out.acknowledged(block);
    if (block === this.#lastBlock) {
      this.#outcome = 'complete';
      return;
    }
    this.tally.roundTripMs = this.#retransmission.measure(block, now);
    if (block < this.#highest) this.#pace.shrink();
    else if (!this.#retransmission.isResent && this.#base >= 0) this.#pace.grow();
    this.#retransmission.progress();
    this.#base = block;
    this.#placeNext(block);
    this.#progressAt = now;
    this.#tailSince = NEVER;
    this.#tailSends = 0;
    this.#attempts = 0;
    this.#sendBurst(now, out);
  }

  /** A client that saw our reply never acknowledges a block that was not sent: this ACK is a guess by someone else. */
  #onImpossibleAck(): void {
    this.tally.impossible++;
    this.#outcome = 'aborted';
  }

  /**
   * Handles a repeat of the last ACK. Sends nothing and moves only the tail timer: a client that still sends ACKs is not
   * silent, and only silence stands for the ACK of the last block.
   */
  #onRepeatedAck(now: number): void {
    if (this.#tailSince !== NEVER) this.#tailSince = now;
    this.tally.roundTripMs = this.#retransmission.measureRepeated();
  }

  /** Sets the next block to send after an ACK for `block`: the one behind it. An early ACK restarts the window. */
  #placeNext(block: number): void {
    // The ACK is for exactly what had been sent at the last restart: a duplicate or a straggler drew the early ACK,
    // nothing was lost. The blocks after it are on their way; sending them again would draw the next early ACK, and so
    // on for every window to the end of the file.
    const needless = block === this.#restartedAt;
    this.#next = needless ? this.#highest + 1 : block + 1;
    this.#restartedAt = !needless && block < this.#highest ? this.#highest : -1;
    this.#retransmission.isResent = needless;
  }

  /** Counts the blocks and bytes that an ACK for `block` confirms. */
  #count(block: number): void {
    this.tally.blocks = block;
    this.tally.bytes = Math.min(this.#size, block * this.#plan.blksize);
  }

  /**
   * Sends the next burst of the window and sets the timers. A window is sent once all of it has arrived: after a part
   * of one, the peer's timeout would send an ACK that crosses with the rest, which would be sent again.
   */
  #sendBurst(now: number, out: Steps): void {
    const wholeEnd = Math.min(this.#base + this.#plan.windowsize, this.#lastBlock);
    const windowEnd = wholeEnd <= this.#arrived ? wholeEnd : this.#highest;
    const burstEnd = Math.min(windowEnd, this.#next + this.#pace.burst - 1);
    while (this.#next <= burstEnd) this.#sendBlock(this.#next++, out);
    if (this.#next <= windowEnd) {
      this.#burstAt = now + BURST_GAP_MS;
    } else {
      this.#burstAt = NEVER;
      // The peer owes no ACK until its next window has been sent, so late content causes no resends.
      this.#isWaiting = windowEnd < wholeEnd;
      if (!this.#isWaiting) this.#retransmission.time(windowEnd, now);
    }
    this.#retransmitAt = this.#isWaiting ? NEVER : now + this.#retransmission.delay();
    if (this.lastBlockSent && this.#tailSince === NEVER) {
      this.#tailSince = now;
      this.#tailSends = 1;
    }
  }

  #sendBlock(block: number, out: Steps): void {
    const { blksize } = this.#plan;
    const offset = (block - 1) * blksize;
    if (block > this.#highest) {
      this.#highest = block;
    } else {
      this.#retransmission.isResent = true;
      this.tally.retransmits++;
      this.tally.dataRetransmits++;
    }
    out.data(block, offset, Math.min(blksize, this.#size - offset));
  }

  /** Handles a timeout of a proven peer. */
  #onTimeout(now: number, out: Steps): void {
    if (this.#attempts > 0) return this.#attempt(now, out);
    this.tally.timeouts++;
    this.#pace.shrink();
    this.#sendBlock(this.#base + 1, out);
    this.#retransmission.backOff();
    this.#retransmitAt = now + this.#retransmission.delay();
    if (this.lastBlockSent) this.#tailSends++;
  }

  /**
   * Goes on after a takeover. A peer that has the window answers its first block with the ACK that was lost. One that
   * lacks it, because the former sender never sent it, does not answer, and gets all of it.
   */
  #attempt(now: number, out: Steps): void {
    this.#next = this.#base + 1;
    if (--this.#attempts === 0) return this.#sendBurst(now, out);
    this.#sendBlock(this.#next, out);
    this.#retransmitAt = now + this.#retransmission.answerMs;
  }

  #onPatienceGone(out: Steps): void {
    if (this.lastBlockSent) this.#outcome = 'completeUnconfirmed';
    else this.#end('timeout', 'Timed out', out);
  }

  /** Sends the first reply: the OACK, or without options DATA 1. */
  #sendFirstReply(now: number, out: Steps): void {
    this.#allowance--;
    this.#lastSendAt = now;
    if (this.#base < 0) out.opening();
    else this.#sendBlock(1, out);
    if (this.#base === 0) this.#next = 2;
    this.#retransmitAt = this.#allowance > 0 ? now + this.#retransmission.delay() : NEVER;
  }

  #onUnprovenDeadline(now: number, out: Steps): void {
    if (now >= this.#unprovenUntil) {
      this.#outcome = 'timeout';
    } else if (now >= this.#retransmitAt) {
      this.tally.timeouts++;
      this.#retransmission.backOff();
      this.#repeatFirstReply(now, out);
    }
  }

  #repeatFirstReply(now: number, out: Steps): void {
    // A resend of DATA 1 is counted in sendBlock.
    if (this.#base < 0) this.tally.retransmits++;
    this.#sendFirstReply(now, out);
  }
}
