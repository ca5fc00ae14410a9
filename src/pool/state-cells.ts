/**
 * The state of each transfer in memory shared by the main thread and the workers: one cell per transfer slot. The
 * worker that runs a transfer writes its state, each block that its client acknowledges, and the time of its last
 * progress; the main thread writes wishes (repeat the first reply, end the transfer) and how much of the content has
 * arrived, and rings the doorbell, which workers check every few milliseconds. Every word is valid by itself, so that
 * another worker can go on with the transfer whenever its worker dies.
 */
import { type Outcome, OUTCOMES } from '../session/session.ts';
import { cellAt, HEADER, slotsOf } from './table-region.ts';

export const TRANSFER_STATE = {
  /** No transfer has this slot. */
  free: 0,
  /** The main thread is looking up the content. */
  resolving: 1,
  /** The transfer waits for a free session. */
  queued: 2,
  /** A worker has the transfer; no valid ACK has arrived yet. */
  unproven: 3,
  running: 4,
  /** Every block has been sent at least once. */
  lastBlockSent: 5,
  /** The transfer is over; its report is on the way. */
  ended: 6,
} as const;
export type TransferState = (typeof TRANSFER_STATE)[keyof typeof TRANSFER_STATE];
/** Names of the states, by number. */
export const TRANSFER_STATES = Object.keys(TRANSFER_STATE) as readonly (keyof typeof TRANSFER_STATE)[];

/** Fields of a cell, as offsets into it. */
const STATE = 0;
const PROGRESS = 1;
const REPEATS = 2;
const WISH = 3;
const BLOCKS = 4;
const RETRANSMITS = 5;
const DATA_RETRANSMITS = 6;
const WAITING = 7;
const ARRIVED = 8;
const LAST = 9;
const LAST_BYTES = 10;
/** The number of the thread that runs the transfer; 0: none does. */
const OWNER = 11;
/** The smoothed round trip in ms, plus 1; 0: not measured. */
const ROUND_TRIP = 12;
/** The outcome of an ended transfer, by its place in OUTCOMES, plus 1. */
const OUTCOME = 13;
const STRAY = 14;
/** How the main thread wants a transfer to end. */
export const WISH_TO_END = {
  none: 0,
  /** Tells the client that the server is stopping. */
  abort: 1,
  /** Ends silently: the client has started over. */
  supersede: 2,
  /**
   * Ends silently unless the client has answered by then: others need its session. If it has, the worker clears the
   * wish.
   */
  giveUp: 3,
  /** Tells the client that the file changed while it was being read. */
  changed: 4,
  /** Tells the client that the rest of the file can't be read. */
  unreadable: 5,
} as const;
export type WishToEnd = (typeof WISH_TO_END)[keyof typeof WISH_TO_END];

/** The opcode of a stray that stands for no packet: the peer's host reports that the peer's port is closed. */
export const STRAY_UNREACHABLE = 0;
/** A stray's 32 bits: its number in the low 16, its opcode in 4, and a count that tells two of the same kind apart. */
const STRAY_OPCODE_SHIFT = 16;
const STRAY_COUNT_SHIFT = 20;

interface CellTally {
  readonly retransmits: number;
  readonly dataRetransmits: number;
}

const NOTHING: CellTally = { retransmits: 0, dataRetransmits: 0 };

export class StateCells {
  readonly #cells: Int32Array;

  /** Number of slots, which are numbered from 0. */
  readonly slots: number;

  /** @param region a formatted table: see table-region.ts. */
  constructor(region: ArrayBufferLike) {
    this.#cells = new Int32Array(region);
    this.slots = slotsOf(this.#cells);
  }

  /**
   * Takes a transfer that nobody has, before it is served. @param owner the thread's number, from
   * TransferTable.newOwner. @returns false when another thread has it.
   */
  take(slot: number, owner: number): boolean {
    return Atomics.compareExchange(this.#cells, at(slot, OWNER), 0, owner) === 0;
  }

  /** Frees a transfer for a thread that no longer serves it, or has died. @returns false when it did not have it. */
  release(slot: number, owner: number): boolean {
    return Atomics.compareExchange(this.#cells, at(slot, OWNER), owner, 0) === owner;
  }

  /** Returns the number of the thread that has the transfer; 0: none has. */
  owner(slot: number): number {
    return Atomics.load(this.#cells, at(slot, OWNER));
  }

  state(slot: number): TransferState {
    return Atomics.load(this.#cells, at(slot, STATE)) as TransferState;
  }

  setState(slot: number, state: TransferState): void {
    Atomics.store(this.#cells, at(slot, STATE), state);
  }

  /** Returns the milliseconds from the last progress to `now`; correct for silences of up to 24 days. */
  silence(slot: number, now: number): number {
    return ((now | 0) - Atomics.load(this.#cells, at(slot, PROGRESS))) | 0;
  }

  setProgress(slot: number, now: number): void {
    Atomics.store(this.#cells, at(slot, PROGRESS), now | 0);
  }

  /** The last block that the client has acknowledged; 0 if it has acknowledged the OACK or nothing. */
  blocks(slot: number): number {
    return Atomics.load(this.#cells, at(slot, BLOCKS));
  }

  /**
   * Notes an ACK that advances. Call it before sending what the ACK lets out: no client then acknowledges more than a
   * window beyond the cell. @param block below 2^31: a transfer of 4 GiB in blocks of 8 bytes has a quarter of that.
   */
  setBlocks(slot: number, block: number): void {
    // A plain store costs less, and each thread sees it soon enough; after the worker's death at once.
    this.#cells[at(slot, BLOCKS)] = block;
  }

  /** Returns the smoothed round trip as last reported by the worker, ms; undefined before the first measurement. */
  roundTripMs(slot: number): number | undefined {
    const stored = Atomics.load(this.#cells, at(slot, ROUND_TRIP));
    return stored === 0 ? undefined : stored - 1;
  }

  setRoundTrip(slot: number, ms: number | undefined): void {
    Atomics.store(this.#cells, at(slot, ROUND_TRIP), ms === undefined ? 0 : ms + 1);
  }

  /** Returns the outcome of a transfer that has ended; undefined before its end. */
  outcome(slot: number): Outcome | undefined {
    return OUTCOMES[Atomics.load(this.#cells, at(slot, OUTCOME)) - 1];
  }

  /** Notes the end of a transfer. Call it before the report leaves, which may be lost with its thread. */
  setEnded(slot: number, outcome: Outcome): void {
    Atomics.store(this.#cells, at(slot, OUTCOME), OUTCOMES.indexOf(outcome) + 1);
    this.setState(slot, TRANSFER_STATE.ended);
  }

  /** Packets sent again, as last reported by the worker. */
  retransmits(slot: number): number {
    return Atomics.load(this.#cells, at(slot, RETRANSMITS));
  }

  /** DATA packets sent again, a subset of the retransmits. */
  dataRetransmits(slot: number): number {
    return Atomics.load(this.#cells, at(slot, DATA_RETRANSMITS));
  }

  setTally(slot: number, { retransmits, dataRetransmits }: CellTally): void {
    Atomics.store(this.#cells, at(slot, RETRANSMITS), retransmits);
    Atomics.store(this.#cells, at(slot, DATA_RETRANSMITS), dataRetransmits);
  }

  /**
   * Last block that has arrived of content that is still being read, as last reported by the main thread. A worker that
   * sees `lastBlock` arrive finds its number and length here.
   */
  arrived(slot: number): number {
    return Atomics.load(this.#cells, at(slot, ARRIVED));
  }

  setArrived(slot: number, block: number): void {
    Atomics.store(this.#cells, at(slot, ARRIVED), block);
  }

  /** The number of the last block; 0 while unknown. */
  lastBlock(slot: number): number {
    return Atomics.load(this.#cells, at(slot, LAST));
  }

  lastBlockBytes(slot: number): number {
    return Atomics.load(this.#cells, at(slot, LAST_BYTES));
  }

  /** Sets which block is the last. Call it before setArrived() reports that block. @param bytes 0..blksize - 1. */
  setLastBlock(slot: number, block: number, bytes: number): void {
    Atomics.store(this.#cells, at(slot, LAST_BYTES), bytes);
    Atomics.store(this.#cells, at(slot, LAST), block);
  }

  /** Tells whether the transfer waits for more content. Its worker sets this before it checks arrived() again. */
  isWaiting(slot: number): boolean {
    return Atomics.load(this.#cells, at(slot, WAITING)) === 1;
  }

  setWaiting(slot: number, isWaiting: boolean): void {
    Atomics.store(this.#cells, at(slot, WAITING), isWaiting ? 1 : 0);
  }

  /** Prepares a slot for a new transfer. */
  reset(slot: number, state: TransferState, now: number): void {
    this.setTally(slot, NOTHING);
    this.setBlocks(slot, 0);
    this.setRoundTrip(slot, undefined);
    Atomics.store(this.#cells, at(slot, OUTCOME), 0);
    Atomics.store(this.#cells, at(slot, OWNER), 0);
    this.setWaiting(slot, false);
    this.setLastBlock(slot, 0, 0);
    this.setArrived(slot, 0);
    Atomics.store(this.#cells, at(slot, REPEATS), 0);
    Atomics.store(this.#cells, at(slot, STRAY), 0);
    Atomics.store(this.#cells, at(slot, WISH), WISH_TO_END.none);
    this.setProgress(slot, now);
    this.setState(slot, state);
  }

  /** Notes that the client repeated its request. */
  repeat(slot: number): void {
    Atomics.add(this.#cells, at(slot, REPEATS), 1);
    this.ring();
  }

  repeats(slot: number): number {
    return Atomics.load(this.#cells, at(slot, REPEATS));
  }

  end(slot: number, how: WishToEnd): void {
    // Giving up replaces no other wish: the worker may take it back.
    if (how === WISH_TO_END.giveUp) Atomics.compareExchange(this.#cells, at(slot, WISH), WISH_TO_END.none, how);
    else Atomics.store(this.#cells, at(slot, WISH), how);
    this.ring();
  }

  wishToEnd(slot: number): WishToEnd {
    return Atomics.load(this.#cells, at(slot, WISH)) as WishToEnd;
  }

  /**
   * Passes on what belongs to the transfer but reached the main thread. One that the worker has not seen yet is
   * replaced: it counts as lost.
   *
   * @param opcode STRAY_UNREACHABLE, or that of a packet with only a number. @param number 0..65535.
   */
  passStray(slot: number, opcode: number, number: number): void {
    const count = (this.stray(slot) >>> STRAY_COUNT_SHIFT) + 1;
    const word = (count << STRAY_COUNT_SHIFT) | (opcode << STRAY_OPCODE_SHIFT) | number;
    Atomics.store(this.#cells, at(slot, STRAY), word);
    this.ring();
  }

  /** Returns the last stray, for strayOpcode() and strayNumber(); 0 before the first one. */
  stray(slot: number): number {
    return Atomics.load(this.#cells, at(slot, STRAY));
  }

  /** Called by the worker: the transfer goes on, unless another wish to end it has been set since. */
  refuseGivingUp(slot: number): void {
    Atomics.compareExchange(this.#cells, at(slot, WISH), WISH_TO_END.giveUp, WISH_TO_END.none);
  }

  ring(): void {
    Atomics.add(this.#cells, HEADER.doorbell, 1);
  }

  /** How often the doorbell has rung. A reader remembers the count; a different one means that it has rung since. */
  get rings(): number {
    return Atomics.load(this.#cells, HEADER.doorbell);
  }
}

export function strayOpcode(stray: number): number {
  return (stray >>> STRAY_OPCODE_SHIFT) & 0xf;
}

export function strayNumber(stray: number): number {
  return stray & 0xffff;
}

function at(slot: number, field: number): number {
  return cellAt(slot) + field;
}
