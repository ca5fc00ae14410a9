/**
 * What each transfer is doing, in memory shared by the main thread and the workers: one cell per transfer slot. The
 * worker that runs a transfer writes its state and the time of its last progress; the main thread writes wishes
 * (repeat the first reply, end it) and how much of the content has arrived, and rings the doorbell, which workers look at
 * every few milliseconds.
 */

export const TRANSFER_STATE = {
  /** No transfer has this slot. */
  free: 0,
  /** The main thread is looking for the content. */
  resolving: 1,
  /** Waiting for a free session. */
  queued: 2,
  /** Given to a worker; no valid ACK yet. */
  unproven: 3,
  running: 4,
  /** Every block has been sent at least once. */
  lastBlockSent: 5,
  /** Over; its report is on the way. */
  ended: 6,
} as const;
export type TransferState = (typeof TRANSFER_STATE)[keyof typeof TRANSFER_STATE];
/** Their names, by number. */
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
/** A cache line's worth of Int32, so that neighbours on different workers do not share one. */
const CELL = 16;
/** How the main thread may want a transfer to end. */
export const WISH_TO_END = {
  none: 0,
  /** Tell the client: the server is stopping. */
  abort: 1,
  /** In silence: the client has begun anew. */
  supersede: 2,
  /** In silence, unless the client has answered by then: others need its place. The worker takes the wish back if it has. */
  giveUp: 3,
  /** Tell the client: the file has changed while it was being read. */
  changed: 4,
  /** Tell the client: the rest of the file can't be read. */
  unreadable: 5,
} as const;
export type WishToEnd = (typeof WISH_TO_END)[keyof typeof WISH_TO_END];

/** Cell 0 is no transfer's: it holds the doorbell. */
const DOORBELL = 0;

export function allocateCells(slots: number): SharedArrayBuffer {
  return new SharedArrayBuffer((slots + 1) * CELL * Int32Array.BYTES_PER_ELEMENT);
}

interface CellTally {
  readonly blocks: number;
  readonly retransmits: number;
  readonly dataRetransmits: number;
}

const NOTHING: CellTally = { blocks: 0, retransmits: 0, dataRetransmits: 0 };

export class StateCells {
  readonly #cells: Int32Array;

  /** @param buffer from allocateCells, shared by all threads. Slots are numbered from 0. */
  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new Int32Array(buffer);
  }

  get slots(): number {
    return this.#cells.length / CELL - 1;
  }

  state(slot: number): TransferState {
    return Atomics.load(this.#cells, at(slot, STATE)) as TransferState;
  }

  setState(slot: number, state: TransferState): void {
    Atomics.store(this.#cells, at(slot, STATE), state);
  }

  /** Milliseconds from the last progress to `now`. Right for silences of up to 24 days. */
  silence(slot: number, now: number): number {
    return ((now | 0) - Atomics.load(this.#cells, at(slot, PROGRESS))) | 0;
  }

  setProgress(slot: number, now: number): void {
    Atomics.store(this.#cells, at(slot, PROGRESS), now | 0);
  }

  /** Blocks acknowledged so far, and packets sent again: as of the last time that the worker told of progress. */
  blocks(slot: number): number {
    return Atomics.load(this.#cells, at(slot, BLOCKS));
  }

  retransmits(slot: number): number {
    return Atomics.load(this.#cells, at(slot, RETRANSMITS));
  }

  /** DATA packets sent again, which are among the retransmits. */
  dataRetransmits(slot: number): number {
    return Atomics.load(this.#cells, at(slot, DATA_RETRANSMITS));
  }

  /** @param tally blocks below 2^31: a transfer of 4 GiB in blocks of 8 bytes has a quarter of that. */
  setTally(slot: number, { blocks, retransmits, dataRetransmits }: CellTally): void {
    Atomics.store(this.#cells, at(slot, BLOCKS), blocks);
    Atomics.store(this.#cells, at(slot, RETRANSMITS), retransmits);
    Atomics.store(this.#cells, at(slot, DATA_RETRANSMITS), dataRetransmits);
  }

  /**
   * Blocks up to this one have arrived of a content that is still being read: as of the last time that the main thread
   * told. A worker that sees `lastBlock` arrived finds its number and its bytes here.
   */
  arrived(slot: number): number {
    return Atomics.load(this.#cells, at(slot, ARRIVED));
  }

  setArrived(slot: number, block: number): void {
    Atomics.store(this.#cells, at(slot, ARRIVED), block);
  }

  /** The number of the last block; 0 while that is not known. */
  lastBlock(slot: number): number {
    return Atomics.load(this.#cells, at(slot, LAST));
  }

  lastBlockBytes(slot: number): number {
    return Atomics.load(this.#cells, at(slot, LAST_BYTES));
  }

  /** Tells which block is the last. Call before setArrived() says that it is there. @param bytes 0..blksize - 1. */
  setLastBlock(slot: number, block: number, bytes: number): void {
    Atomics.store(this.#cells, at(slot, LAST_BYTES), bytes);
    Atomics.store(this.#cells, at(slot, LAST), block);
  }

  /** Whether the transfer can't go on before more has arrived. Its worker says so before it looks at arrived() again. */
  isWaiting(slot: number): boolean {
    return Atomics.load(this.#cells, at(slot, WAITING)) === 1;
  }

  setWaiting(slot: number, isWaiting: boolean): void {
    Atomics.store(this.#cells, at(slot, WAITING), isWaiting ? 1 : 0);
  }

  /** Makes a slot ready for a new transfer. */
  reset(slot: number, state: TransferState, now: number): void {
    this.setTally(slot, NOTHING);
    this.setWaiting(slot, false);
    this.setLastBlock(slot, 0, 0);
    this.setArrived(slot, 0);
    Atomics.store(this.#cells, at(slot, REPEATS), 0);
    Atomics.store(this.#cells, at(slot, WISH), WISH_TO_END.none);
    this.setProgress(slot, now);
    this.setState(slot, state);
  }

  /** The client repeated its request. */
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

  /** For the worker: the transfer goes on, unless it is to end otherwise by now. */
  refuseGivingUp(slot: number): void {
    Atomics.compareExchange(this.#cells, at(slot, WISH), WISH_TO_END.giveUp, WISH_TO_END.none);
  }

  ring(): void {
    Atomics.add(this.#cells, DOORBELL, 1);
  }

  /** How often the doorbell has rung: it has rung since when the number differs from the one remembered. */
  get rings(): number {
    return Atomics.load(this.#cells, DOORBELL);
  }
}

function at(slot: number, field: number): number {
  return (slot + 1) * CELL + field;
}
