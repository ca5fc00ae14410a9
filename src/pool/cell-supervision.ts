/**
 * Keeps a transfer's cell up to date, and takes from it the main thread's wishes and the content that has arrived.
 * Knows one transfer.
 */
import type { Supervision } from '../engine/job.ts';
import type { LatencyHistogram } from '../engine/latencies.ts';
import { createPacket } from '../protocol/packet.ts';
import type { Sender } from '../session/sender.ts';
import type { Steps } from '../session/session.ts';
import type { TransferOrder } from './pool.ts';
import {
  type StateCells,
  STRAY_UNREACHABLE,
  strayNumber,
  strayOpcode,
  TRANSFER_STATE,
  type TransferState,
  WISH_TO_END,
} from './state-cells.ts';

const NEVER = Number.POSITIVE_INFINITY;
/** A packet without a message; one for each thread. */
const PACKET = createPacket();

export class CellSupervision implements Supervision {
  readonly #cells: StateCells;
  readonly #slot: number;
  readonly #sender: Sender;
  readonly #requestedAt: number;
  readonly #blksize: number;
  readonly #firstReplies: LatencyHistogram;
  #state: TransferState;
  #progressAt = -1;
  #repeats: number;
  #mayGiveUpAfter = NEVER;
  /** Last block the sender knows to have arrived; -1 once all have. */
  #arrived: number;
  #isWaiting = false;
  #stray = 0;

  constructor(
    cells: StateCells,
    order: Omit<TransferOrder, 'content'>,
    sender: Sender,
    firstReplies: LatencyHistogram,
  ) {
    this.#cells = cells;
    this.#slot = order.slot;
    this.#requestedAt = order.requestedAt;
    this.#blksize = order.plan.blksize;
    this.#sender = sender;
    this.#firstReplies = firstReplies;
    this.#arrived = order.plan.arrived ?? -1;
    // The cell of a transfer that is taken over tells more: its first reply and earlier repeats have been dealt with.
    this.#state = cells.state(order.slot);
    this.#repeats = 0;
    const { resumption } = order.plan;
    if (resumption === undefined) return;
    this.#repeats = cells.repeats(order.slot);
    this.#progressAt = 0;
    this.#isWaiting = cells.isWaiting(order.slot);
  }

  onAcknowledged(block: number): void {
    this.#cells.setBlocks(this.#slot, block);
    if (this.#state === TRANSFER_STATE.unproven) this.#setState(TRANSFER_STATE.running);
  }

  #setState(state: TransferState): void {
    this.#state = state;
    this.#cells.setState(this.#slot, state);
  }

  onProgress(progressAt: number): void {
    const state = this.#sender.proven
      ? this.#sender.lastBlockSent
        ? TRANSFER_STATE.lastBlockSent
        : TRANSFER_STATE.running
      : TRANSFER_STATE.unproven;
    // The first call follows the first reply: the reply has been handed to the link.
    if (this.#progressAt < 0) this.#firstReplies.observe(Math.max(0, progressAt - this.#requestedAt), 1);
    this.#cells.setTally(this.#slot, this.#sender.tally);
    this.#cells.setRoundTrip(this.#slot, this.#sender.roundTripMs);
    if (progressAt !== this.#progressAt) {
      this.#progressAt = progressAt;
      this.#cells.setProgress(this.#slot, progressAt);
    }
    if (state !== this.#state) this.#setState(state);
    const { waiting } = this.#sender;
    if (waiting === this.#isWaiting) return;
    this.#isWaiting = waiting;
    this.#cells.setWaiting(this.#slot, waiting);
  }

  get hasNews(): boolean {
    return (
      this.#cells.wishToEnd(this.#slot) !== WISH_TO_END.none ||
      this.#cells.repeats(this.#slot) !== this.#repeats ||
      this.#cells.stray(this.#slot) !== this.#stray ||
      this.#hasArrived
    );
  }

  get hasArrivals(): boolean {
    return this.#isWaiting && this.#hasArrived;
  }

  get #hasArrived(): boolean {
    return this.#arrived >= 0 && this.#cells.arrived(this.#slot) !== this.#arrived;
  }

  /**
   * Gives up the transfer unless its client has answered. In a storm ACKs arrive faster than they are read, and the
   * main thread counts only those read. By the second look every ACK that arrived before the first one has been read.
   */
  #considerGivingUp(now: number): void {
    if (this.#sender.proven) this.#cells.refuseGivingUp(this.#slot);
    else if (now > this.#mayGiveUpAfter) this.#sender.supersede();
    else if (this.#mayGiveUpAfter === NEVER) {
      this.#mayGiveUpAfter = now;
      this.#cells.ring();
    }
  }

  attend(now: number, out: Steps): void {
    switch (this.#cells.wishToEnd(this.#slot)) {
      case WISH_TO_END.abort:
        return this.#sender.abort(out);
      case WISH_TO_END.supersede:
        return this.#sender.supersede();
      case WISH_TO_END.changed:
        return this.#sender.abort(out, 'File changed');
      case WISH_TO_END.unreadable:
        return this.#sender.abort(out, 'Content lost');
      case WISH_TO_END.giveUp:
        this.#considerGivingUp(now);
        break;
      case WISH_TO_END.none:
        break;
    }
    if (this.#hasArrived) this.#takeArrived(now, out);
    this.#takeStray(now, out);
    for (const repeats = this.#cells.repeats(this.#slot); this.#repeats < repeats; this.#repeats++) {
      this.#sender.onRequestRepeated(now, out);
    }
  }

  #takeStray(now: number, out: Steps): void {
    const stray = this.#cells.stray(this.#slot);
    if (stray === this.#stray) return;
    this.#stray = stray;
    if (strayOpcode(stray) === STRAY_UNREACHABLE) return this.#sender.onUnreachable(now);
    PACKET.opcode = strayOpcode(stray);
    PACKET.block = PACKET.code = strayNumber(stray);
    this.#sender.onPacket(PACKET, now, out);
  }

  #takeArrived(now: number, out: Steps): void {
    const block = this.#cells.arrived(this.#slot);
    const last = this.#cells.lastBlock(this.#slot);
    const isWhole = block === last;
    this.#arrived = isWhole ? -1 : block;
    const size = isWhole ? (last - 1) * this.#blksize + this.#cells.lastBlockBytes(this.#slot) : undefined;
    this.#sender.onArrival(block, size, now, out);
  }
}
