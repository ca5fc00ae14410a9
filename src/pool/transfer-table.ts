/**
 * The table of transfers: for each slot a record with everything that a thread needs to run the transfer, and a cell
 * with its state (state-cells.ts). Written by the main thread before a worker gets the transfer; whoever takes the
 * transfer over reads the same record. A record is whole at every instant: its serial number is cleared before it is
 * written and set after it.
 */
import type { BorrowedPort, Place } from '../engine/types.ts';
import type { Rollover } from '../protocol/block.ts';
import type { TransferOrder } from './pool.ts';
import { StateCells } from './state-cells.ts';
import { HEADER, RECORD_WORDS, recordAt } from './table-region.ts';

/** Words of a record. Times and the size, which have more than 32 bits, take two. */
const FIELD = {
  /** 1 or more; 0: there is no record. */
  serial: 0,
  fd: 1,
  peerWord: 2,
  addressWord: 3,
  /** Blocks that had arrived of content that was still being read; -1: all of it was there. */
  arrived: 4,
  ringBytes: 5,
  placeLow: 6,
  placeHigh: 7,
  sizeLow: 8,
  sizeHigh: 9,
  blksize: 10,
  windowsize: 11,
  rollover: 12,
  timeoutMs: 13,
  seed: 14,
  patienceMs: 15,
  requestedAt: 16,
  openedAt: 18,
  /** Bytes of the OACK; -1: the transfer begins with DATA 1. */
  openingLength: 20,
  peerPort: 21,
  /** Port of our end; 0: not known to the main thread. */
  localPort: 22,
  flags: 23,
  /** Addresses as text: one byte for its length, then the text. */
  local: 24,
  peer: 40,
  opening: 56,
} as const;

/** Bits of the flags. */
const IS_SHARED = 1;
const IS_WILDCARD = 2;
const MAY_MEET_OLD_ACKS = 4;

/** A text with a scope is at most 45 + 1 + 15 characters long. */
const TEXT_ROOM = 63;
/** At most seven options of at most 32 bytes each: see encodeOack. */
const OPENING_ROOM = (RECORD_WORDS - FIELD.opening) * Int32Array.BYTES_PER_ELEMENT;
const MAX_SERIAL = 0x3fffffff;
const TWO_32 = 0x1_0000_0000;
const NONE = -1;

/** An order as the table has it: its content is an address in memory. */
export type PlacedOrder = Omit<TransferOrder, 'content'> & {
  /** Number of the record: no two transfers of the last 2^30 have the same. */
  readonly serial: number;
  readonly place: Place;
};

export class TransferTable {
  readonly cells: StateCells;
  readonly slots: number;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #floats: Float64Array;

  /** @param region one that tableMistake finds no fault with. */
  constructor(region: ArrayBufferLike) {
    this.cells = new StateCells(region);
    this.slots = this.cells.slots;
    this.#words = new Int32Array(region);
    this.#bytes = new Uint8Array(region);
    this.#floats = new Float64Array(region);
  }

  /** Returns a number for a thread that takes transfers: see StateCells.take. Each thread has its own. */
  newOwner(): number {
    return Atomics.add(this.#words, HEADER.owners, 1) + 1;
  }

  /**
   * Writes the record of a transfer. @param place address of its content. @returns its serial number. @throws
   * RangeError for an OACK or an address that is too long.
   */
  write(order: TransferOrder, place: Place): number {
    const at = recordAt(this.slots, order.slot);
    const words = this.#words;
    const { plan, port, opening, peer } = order;
    Atomics.store(words, at, 0);
    words[at + FIELD.fd] = port?.fd ?? NONE;
    words[at + FIELD.peerWord] = port?.peerWord ?? 0;
    words[at + FIELD.addressWord] = port?.addressWord ?? 0;
    words[at + FIELD.arrived] = plan.arrived ?? NONE;
    words[at + FIELD.ringBytes] = order.ringBytes;
    words[at + FIELD.placeLow] = place.low;
    words[at + FIELD.placeHigh] = place.high;
    words[at + FIELD.sizeLow] = plan.size % TWO_32;
    words[at + FIELD.sizeHigh] = Math.floor(plan.size / TWO_32);
    words[at + FIELD.blksize] = plan.blksize;
    words[at + FIELD.windowsize] = plan.windowsize;
    words[at + FIELD.rollover] = plan.rollover;
    words[at + FIELD.timeoutMs] = plan.timeoutMs;
    words[at + FIELD.seed] = plan.seed;
    words[at + FIELD.patienceMs] = plan.patienceMs;
    this.#floats[(at + FIELD.requestedAt) >> 1] = order.requestedAt;
    this.#floats[(at + FIELD.openedAt) >> 1] = order.openedAt ?? Number.NaN;
    words[at + FIELD.peerPort] = peer.port;
    words[at + FIELD.localPort] = order.localPort ?? 0;
    words[at + FIELD.flags] = flagsOf(order);
    this.#putText(at + FIELD.local, order.local);
    this.#putText(at + FIELD.peer, peer.address);
    words[at + FIELD.openingLength] = opening?.length ?? NONE;
    if (opening !== undefined) this.#putOpening(at, opening);
    const serial = (Atomics.add(words, HEADER.serials, 1) % MAX_SERIAL) + 1;
    Atomics.store(words, at, serial);
    return serial;
  }

  /** Returns the record of a slot; undefined when there is none. */
  read(slot: number): PlacedOrder | undefined {
    const at = recordAt(this.slots, slot);
    const word = (field: number): number => this.#words[at + field]!;
    const serial = this.serial(slot);
    if (serial === 0) return undefined;
    const size = (word(FIELD.sizeLow) >>> 0) + word(FIELD.sizeHigh) * TWO_32;
    const openingLength = word(FIELD.openingLength);
    const opening = (at + FIELD.opening) * 4;
    const openedAt = this.#floats[(at + FIELD.openedAt) >> 1]!;
    return {
      serial,
      slot,
      local: this.#text(at + FIELD.local),
      localPort: word(FIELD.localPort) === 0 ? undefined : word(FIELD.localPort),
      peer: { address: this.#text(at + FIELD.peer), port: word(FIELD.peerPort) },
      port:
        word(FIELD.fd) === NONE
          ? undefined
          : {
              fd: word(FIELD.fd),
              peerWord: word(FIELD.peerWord),
              addressWord: word(FIELD.addressWord),
              shared: sharedOf(word(FIELD.flags)),
              token: serial,
            },
      requestedAt: this.#floats[(at + FIELD.requestedAt) >> 1]!,
      openedAt: Number.isNaN(openedAt) ? undefined : openedAt,
      ringBytes: word(FIELD.ringBytes),
      place: { low: word(FIELD.placeLow) >>> 0, high: word(FIELD.placeHigh) >>> 0, length: size },
      plan: {
        size,
        blksize: word(FIELD.blksize),
        windowsize: word(FIELD.windowsize),
        rollover: word(FIELD.rollover) as Rollover,
        timeoutMs: word(FIELD.timeoutMs),
        oack: openingLength !== NONE,
        mayMeetOldAcks: (word(FIELD.flags) & MAY_MEET_OLD_ACKS) !== 0,
        seed: word(FIELD.seed),
        patienceMs: word(FIELD.patienceMs),
        arrived: word(FIELD.arrived) === NONE ? undefined : word(FIELD.arrived),
      },
      opening: openingLength === NONE ? undefined : this.#bytes.slice(opening, opening + openingLength),
    };
  }

  /** Returns the serial number of a slot's record; 0 when there is none. */
  serial(slot: number): number {
    return Atomics.load(this.#words, recordAt(this.slots, slot));
  }

  /** Removes the record of a transfer that is over. */
  clear(slot: number): void {
    Atomics.store(this.#words, recordAt(this.slots, slot), 0);
  }

  #putOpening(at: number, opening: Uint8Array): void {
    if (opening.length > OPENING_ROOM) {
      throw new RangeError(`Expected an OACK of at most ${OPENING_ROOM} bytes, got ${opening.length}`);
    }
    this.#bytes.set(opening, (at + FIELD.opening) * 4);
  }

  #putText(at: number, text: string): void {
    if (text.length > TEXT_ROOM) {
      throw new RangeError(`Expected an address of at most ${TEXT_ROOM} characters, got ${text.length}`);
    }
    const bytes = this.#bytes;
    bytes[at * 4] = text.length;
    for (let index = 0; index < text.length; index++) bytes[at * 4 + 1 + index] = text.charCodeAt(index);
  }

  #text(at: number): string {
    const bytes = this.#bytes;
    let text = '';
    for (let index = 1; index <= bytes[at * 4]!; index++) text += String.fromCharCode(bytes[at * 4 + index]!);
    return text;
  }
}

function flagsOf({ port, plan }: TransferOrder): number {
  const shared = port?.shared === undefined ? 0 : IS_SHARED | (port.shared === 'wildcard' ? IS_WILDCARD : 0);
  return shared | (plan.mayMeetOldAcks === true ? MAY_MEET_OLD_ACKS : 0);
}

function sharedOf(flags: number): BorrowedPort['shared'] {
  if ((flags & IS_SHARED) === 0) return undefined;
  return (flags & IS_WILDCARD) === 0 ? 'bound' : 'wildcard';
}
