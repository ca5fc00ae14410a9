/**
 * The receiving end of a transfer: asks, checks the OACK, keeps blocks that come in order, acknowledges at the end of
 * each window (RFC 7440 §4). A block that is not the one expected is answered with the last ACK, but once per gap and
 * not per block: a sender that acts on repeated ACKs would multiply its windows.
 */
import { fromWire, type Rollover } from '../protocol/block.ts';
import { acceptOack, type Settled, UNNEGOTIATED, type Wish } from '../protocol/negotiate.ts';
import { ERROR_CODE, type ErrorCode, OPCODE } from '../protocol/opcode.ts';
import { errorMessage, type Packet } from '../protocol/packet.ts';
import { decodeOptions } from '../protocol/request.ts';
import { Retransmission } from './retransmission.ts';
import { createTally, type Outcome, type Session, type Steps } from './session.ts';

/** An ACK is not repeated sooner than this: a server's timer is never shorter than the floor of ours. */
const REPEAT_ACK_MS = 20;
const NEVER = Number.MAX_SAFE_INTEGER;

export interface ReceiverPlan {
  /** The options in the request. Without any, an OACK is a violation. */
  readonly wish: Wish;
  readonly seed: number;
  /** How long to wait for anything new, in milliseconds. */
  readonly patienceMs: number;
  /** How long to stay after the last ACK, to repeat it should it be lost (RFC 1350 §6), in milliseconds. */
  readonly lingerMs: number;
}

export class Receiver implements Session {
  readonly tally = createTally();
  readonly #plan: ReceiverPlan;
  readonly #retransmission: Retransmission;
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

  #resendAt = NEVER;
  #giveUpAt = NEVER;

  constructor(plan: ReceiverPlan) {
    this.#plan = plan;
    this.#retransmission = new Retransmission(plan.seed, 0);
  }

  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  /** What holds for the transfer, once the server has answered. */
  get settled(): Settled | undefined {
    return this.#settled;
  }

  /** The size the server announced, in bytes. */
  get tsize(): number | undefined {
    return this.#tsize;
  }

  /** Which rule the server broke, when that ended the transfer. */
  get violation(): string | undefined {
    return this.#violation;
  }

  get deadline(): number {
    return Math.min(this.#resendAt, this.#giveUpAt);
  }

  start(now: number, out: Steps): void {
    this.#giveUpAt = now + this.#plan.patienceMs;
    this.#waitingSince = now;
    this.#sentOnce = true;
    this.#resendAt = now + this.#retransmission.delay();
    out.opening();
  }

  onPacket(packet: Packet, now: number, out: Steps): void {
    if (this.#outcome !== undefined) return;
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
    if (now >= this.#giveUpAt) {
      this.#outcome = this.#finished ? 'complete' : 'timeout';
      return;
    }
    if (now < this.#resendAt) return;
    this.tally.timeouts++;
    this.tally.retransmits++;
    this.#sentOnce = false;
    this.#retransmission.backOff();
    this.#resendAt = now + this.#retransmission.delay();
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
      // Our ACK 0 was lost. Once a block has come the OACK is an old copy.
      this.tally.stale++;
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
    this.#acknowledge(now, out);
  }

  #onData(packet: Packet, now: number, out: Steps): void {
    // DATA without an OACK: the server passed over our options, which it may (RFC 2347).
    const settled = this.#settled ?? UNNEGOTIATED;
    const rollover: Rollover = settled.rollover;
    const block = fromWire(packet.block, this.#kept, rollover);
    if (block !== this.#kept + 1 || this.#finished) {
      this.tally.stale++;
      if (this.#settled !== undefined) this.#repeatAck(block > this.#kept, now, out);
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
    } else if (block - Math.max(0, this.#acked) >= settled.windowsize) {
      this.#acknowledge(now, out);
    }
  }

  #finish(now: number, out: Steps): void {
    this.#finished = true;
    this.#acknowledge(now, out);
    this.#resendAt = NEVER;
    this.#giveUpAt = now + this.#plan.lingerMs;
    if (this.#plan.lingerMs === 0) this.#outcome = 'complete';
  }

  /** Something new came: the round trip is known, the timers start afresh. */
  #progress(now: number): void {
    if (this.#sentOnce) this.#retransmission.sample(now - this.#waitingSince);
    this.#sentOnce = false;
    this.#retransmission.progress();
    this.#resendAt = now + this.#retransmission.delay();
    this.#giveUpAt = now + this.#plan.patienceMs;
  }

  #acknowledge(now: number, out: Steps): void {
    this.#sentOnce = this.#acked !== this.#kept;
    this.#waitingSince = now;
    this.#acked = this.#kept;
    this.#ackedAt = now;
    out.ack(this.#kept);
  }

  /**
   * Says what has arrived: at once for a new gap, else no more often than REPEAT_ACK_MS. A second copy of an old block
   * is no gap: an ACK in mid-window for it would have the sender start the window again, and so draw the next copies.
   */
  #repeatAck(gap: boolean, now: number, out: Steps): void {
    const newGap = gap && this.#acked !== this.#kept;
    if (!newGap && now - this.#ackedAt < REPEAT_ACK_MS) return;
    if (this.#acked === this.#kept) this.tally.retransmits++;
    this.#acknowledge(now, out);
  }
}
