/**
 * The receiving end of a transfer: sends the request, checks the OACK, keeps blocks that arrive in order, acknowledges
 * at the end of each window (RFC 7440 §4). It answers an unexpected block with the last ACK, once per gap and not per
 * block: a sender that acts on repeated ACKs would multiply its windows.
 */
import { fromWire, type Rollover } from '../protocol/block.ts';
import { acceptOack, type Settled, UNNEGOTIATED, type Wish } from '../protocol/negotiate.ts';
import { ERROR_CODE, type ErrorCode, OPCODE } from '../protocol/opcode.ts';
import { errorMessage, type Packet } from '../protocol/packet.ts';
import { decodeOptions } from '../protocol/request.ts';
import type { Manners, Stop } from './manners.ts';
import { createTally, type Outcome, type Session, type Steps } from './session.ts';
import { AdaptiveWaiting, NEVER, ScheduledWaiting, type Waiting } from './waiting.ts';

/** An ACK is not repeated sooner than this: no server's timer is shorter than the floor of ours. */
const REPEAT_ACK_MS = 20;
/**
 * A copy that arrives this soon after the doubled ACK was not sent by a timer. Counted from the ACK, not from the first
 * copy: where we are late ourselves, a resend waits in our buffer beside the original.
 */
const SOONER_THAN_TIMERS_MS = 40;

export interface ReceiverPlan {
  /** The options in the request. Without options, an OACK is a violation. */
  readonly wish: Wish;
  readonly seed: number;
  /** How long to wait for progress, ms. */
  readonly patienceMs: number;
  /** How long to stay after the last ACK, to repeat it if it is lost (RFC 1350 §6), ms. */
  readonly lingerMs: number;
  /** Simulated firmware: how it waits and how it reacts to unexpected blocks. patienceMs then has no effect. */
  readonly manners?: Manners | undefined;
  /** Ends the transfer on purpose, with outcome `probe`, unless the file ends first. */
  readonly stop?: Stop | undefined;
  /**
   * Sends one ACK twice, the first due from this block on, to see whether the server acts on the second (RFC 1123
   * §4.2.3.1). Skipped once a block has arrived out of order. Undefined: no ACK is doubled.
   */
  readonly doubledAck?: number | undefined;
  /** Delay before each ACK, ms: a client that crawls. Default 0. */
  readonly ackDelayMs?: number | undefined;
}

/** Rules a receiver can see a server break without the transfer having to end. */
export type Breach =
  /** A block was sent beyond the agreed window (RFC 7440 §4), or without waiting for the ACK (RFC 1350 §4). */
  | 'window-exceeded'
  /** A second ACK for a block drew a second copy of the blocks after it (RFC 1123 §4.2.3.1). */
  | 'acts-on-duplicate-ack'
  /** The length of the file differs from the tsize announced (RFC 2349). */
  | 'tsize-wrong';

export class Receiver implements Session {
  readonly tally = createTally();
  /** Rules the server broke without ending the transfer. */
  readonly breaches = new Set<Breach>();
  readonly #plan: ReceiverPlan;
  readonly #waiting: Waiting;
  #outcome: Outcome | undefined;
  #violation: string | undefined;
  #settled: Settled | undefined;
  #tsize: number | undefined;

  /** Blocks kept so far, and the number last acknowledged (-1: nothing yet). */
  #kept = 0;
  #acked = -1;
  #ackedAt = 0;
  #finished = false;
  #waitingSince = 0;
  #sentOnce = false;
  #answered = false;
  #unheard = 0;
  #copies = 0;
  /** True if an old block has hung the simulated client. */
  #hung = false;
  /** The block whose ACK was sent twice on purpose, 0 for none, and the time of it. */
  #doubled = 0;
  #doubledAt = 0;

  #lingerUntil = NEVER;
  /** When the delayed ACK is sent. */
  #ackDueAt = NEVER;

  constructor(plan: ReceiverPlan) {
    const { manners, seed, patienceMs } = plan;
    this.#plan = plan;
    this.#waiting = manners === undefined ? new AdaptiveWaiting(seed, patienceMs) : new ScheduledWaiting(manners);
  }

  /** True if anything has arrived from the server. */
  get answered(): boolean {
    return this.#answered;
  }

  /** Sends of the request that got no reply in time. */
  get unheard(): number {
    return this.#unheard;
  }

  /** OACKs and blocks that arrived again. */
  get copies(): number {
    return this.#copies;
  }

  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  /** The agreed values, once the server has replied. */
  get settled(): Settled | undefined {
    return this.#settled;
  }

  /** 1 once the server has replied, else 0. */
  get phase(): number {
    return this.#answered ? 1 : 0;
  }

  get rollover(): Rollover {
    return (this.#settled ?? UNNEGOTIATED).rollover;
  }

  /** The size the server announced, in bytes. */
  get tsize(): number | undefined {
    return this.#tsize;
  }

  /** The rule the server broke, when that ended the transfer. */
  get violation(): string | undefined {
    return this.#violation;
  }

  get deadline(): number {
    return Math.min(this.#finished ? this.#lingerUntil : this.#waiting.deadline, this.#ackDueAt);
  }

  start(now: number, out: Steps): void {
    this.#waiting.start(now);
    this.#waitingSince = now;
    this.#sentOnce = true;
    out.opening();
  }

  onPacket(packet: Packet, now: number, out: Steps): void {
    if (this.#outcome !== undefined) return;
    this.#answered = true;
    switch (packet.opcode) {
      case OPCODE.DATA:
        this.#onData(packet, now, out);
        return;
      case OPCODE.OACK:
        this.#onOack(packet, now, out);
        return;
      case OPCODE.ERROR:
        this.tally.errorCode = packet.code;
        this.tally.errorText = errorMessage(packet);
        this.#outcome = this.#finished ? 'complete' : this.#settled === undefined ? 'refused' : 'clientError';
        return;
      default:
        this.tally.stale++;
    }
  }

  onDeadline(now: number, out: Steps): void {
    if (this.#outcome !== undefined) return;
    if (now >= this.#ackDueAt) this.#acknowledge(now, out);
    if (this.#finished) {
      if (now >= this.#lingerUntil) this.#outcome = 'complete';
      return;
    }
    const step = this.#waiting.expire(now);
    if (step !== 'wait' && !this.#answered) this.#unheard++;
    if (step === 'give up') this.#outcome = 'timeout';
    if (step !== 'resend' || this.#hung) return;
    this.tally.timeouts++;
    this.tally.retransmits++;
    this.#sentOnce = false;
    if (this.#settled === undefined) out.opening();
    else this.#acknowledge(now, out);
  }

  onUnreachable(_now: number): void {
    if (this.#outcome === undefined) this.#outcome = this.#finished ? 'complete' : 'unreachable';
  }

  abort(out: Steps, message = 'Client is stopping'): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = this.#finished ? 'complete' : 'aborted';
    if (!this.#finished) out.error(ERROR_CODE.NOT_DEFINED, message);
  }

  #violate(what: string, code: ErrorCode, message: string, out: Steps): void {
    this.#violation = what;
    this.#outcome = 'refused';
    out.error(code, message);
  }

  #onOack(packet: Packet, now: number, out: Steps): void {
    if (this.#settled !== undefined) {
      // A repeated OACK means that our ACK 0 was lost. Once a block has arrived the OACK is an old copy.
      this.tally.stale++;
      this.#copies++;
      if (this.#kept === 0 && this.#acked === 0) this.#repeatAck(false, now, out);
      return;
    }
    const { wish } = this.#plan;
    const accepted = acceptOack(wish, decodeOptions(packet.bytes, packet.start, packet.end));
    if (typeof accepted === 'string') {
      this.#violate(accepted, ERROR_CODE.OPTION_REFUSED, 'Bad option acknowledgement', out);
      return;
    }
    this.#settled = accepted.settled;
    this.#tsize = accepted.tsize;
    this.#progress(now);
    if (!this.#stops(0, out)) this.#acknowledgeLater(now, out);
  }

  #onData(packet: Packet, now: number, out: Steps): void {
    // DATA without an OACK: the server ignored our options, which it may (RFC 2347).
    if (this.#settled === undefined && this.#plan.manners?.needsOack === true) {
      this.#violation = 'the options were passed over, and this client needs an OACK';
      this.#outcome = 'refused';
      return;
    }
    const settled = this.#settled ?? UNNEGOTIATED;
    const rollover: Rollover = settled.rollover;
    const block = fromWire(packet.block, this.#kept, rollover);
    if (block !== this.#kept + 1 || this.#finished) {
      this.#onUnexpected(block, settled.windowsize, now, out);
      return;
    }
    const length = packet.end - packet.start;
    if (length > settled.blksize) {
      const what = `DATA of ${length} bytes where blksize is ${settled.blksize}`;
      this.#violate(what, ERROR_CODE.ILLEGAL_OPERATION, 'Block larger than agreed', out);
      return;
    }
    this.#settled = settled;
    this.#kept = block;
    this.tally.blocks = block;
    this.tally.bytes += length;
    out.keep((block - 1) * settled.blksize);
    this.#progress(now);
    if (length < settled.blksize) {
      this.#finish(now, out);
    } else if (!this.#stops(block, out) && block - Math.max(0, this.#acked) >= settled.windowsize) {
      this.#acknowledgeLater(now, out);
      const { doubledAck } = this.#plan;
      // A delayed ACK has not been sent yet.
      const due = doubledAck !== undefined && block >= doubledAck && this.#doubled === 0 && this.#acked === block;
      if (due && this.tally.stale === 0) this.#doubleAck(now, out);
    }
  }

  /** Ends the transfer if this is the block to stop at. @returns whether it has ended. */
  #stops(blocks: number, out: Steps): boolean {
    const { stop } = this.#plan;
    if (stop === undefined || blocks < stop.afterBlocks) return false;
    this.#outcome = 'probe';
    if (stop.message !== undefined) out.error(stop.code, stop.message);
    return true;
  }

  #onUnexpected(block: number, windowsize: number, now: number, out: Steps): void {
    const gap = block > this.#kept;
    this.tally.stale++;
    if (gap && block > Math.max(0, this.#acked) + windowsize) this.breaches.add('window-exceeded');
    if (!gap) {
      this.#copies++;
      const follows = this.#doubled > 0 && block > this.#doubled && block <= this.#doubled + windowsize;
      const soon = now - this.#doubledAt < SOONER_THAN_TIMERS_MS;
      // Any earlier unexpected block drew an ACK in mid-window, which rightly restarts the window (RFC 7440 §4).
      if (follows && soon && this.tally.stale === 1) this.breaches.add('acts-on-duplicate-ack');
    }
    if (this.#settled === undefined || this.#hung) return;
    switch (this.#plan.manners?.unexpected ?? 'once') {
      case 'once':
        this.#repeatAck(gap, now, out);
        break;
      case 'always':
        this.#acknowledgeAgain(now, out);
        break;
      case 'old':
        if (!gap) this.#acknowledgeAgain(now, out);
        break;
      case 'hang':
        this.#hung = !gap;
        break;
      case 'ignore':
        break;
    }
  }

  #finish(now: number, out: Steps): void {
    this.#finished = true;
    if (this.#tsize !== undefined && this.#tsize !== this.tally.bytes) this.breaches.add('tsize-wrong');
    this.#acknowledge(now, out);
    this.#lingerUntil = now + this.#plan.lingerMs;
    if (this.#plan.lingerMs === 0) this.#outcome = 'complete';
  }

  /** Call on progress: samples the round trip and restarts the timers. */
  #progress(now: number): void {
    this.#waiting.progress(now, this.#sentOnce ? now - this.#waitingSince : undefined);
    this.#sentOnce = false;
  }

  #doubleAck(now: number, out: Steps): void {
    this.#doubled = this.#acked;
    this.#doubledAt = now;
    out.ack(this.#acked);
  }

  #acknowledgeLater(now: number, out: Steps): void {
    const { ackDelayMs = 0 } = this.#plan;
    if (ackDelayMs === 0) this.#acknowledge(now, out);
    else this.#ackDueAt = now + ackDelayMs;
  }

  #acknowledge(now: number, out: Steps): void {
    this.#sentOnce = this.#acked !== this.#kept;
    this.#waitingSince = now;
    this.#acked = this.#kept;
    this.#ackedAt = now;
    this.#ackDueAt = NEVER;
    out.ack(this.#kept);
  }

  #acknowledgeAgain(now: number, out: Steps): void {
    if (this.#acked === this.#kept) this.tally.retransmits++;
    this.#acknowledge(now, out);
  }

  /**
   * Acknowledges what has arrived: at once for a new gap, otherwise no more often than REPEAT_ACK_MS. A second copy of
   * an old block is not a gap: an ACK for it in mid-window would make the sender restart the window and send the next
   * copies.
   */
  #repeatAck(gap: boolean, now: number, out: Steps): void {
    const newGap = gap && this.#acked !== this.#kept;
    if (!newGap && now - this.#ackedAt < REPEAT_ACK_MS) return;
    this.#acknowledgeAgain(now, out);
  }
}
