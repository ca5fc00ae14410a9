/**
 * Receives datagrams in batches: the slots that recvmmsg fills, prepared once and used for every socket of a thread. A
 * slot's contents are valid until the next call.
 */
import { Arena } from './arena.ts';
import { CMSGHDR, EAGAIN, IOVEC, type Libc, MMSGHDR, MSG_DONTWAIT, SOCKADDR_ROOM } from './libc.ts';

/** Room for the largest datagram: 65,507 bytes over IPv4, a little more over IPv6. */
const DATA_ROOM = 65_536;
/** More than a multiple of the page between two slots: their first bytes do not compete for the same cache lines. */
const GAP = 192;

const ATTEMPTS = 3;

export class ReceiveRing {
  readonly slots: number;
  /** Words of the ring: the sockaddr of slot i's peer starts at words[peerWord(i)]. */
  readonly words: Int32Array;
  /** All of the ring's memory. */
  readonly bytes: Uint8Array;
  /** One view per slot, created once. */
  readonly datagrams: readonly Uint8Array[];
  readonly #libc: Libc;
  readonly #arena: Arena;
  readonly #controlRoom: number;
  readonly #headersAt = 0;
  readonly #peersAt: number;
  readonly #controlsAt: number;
  /** Slots whose length fields no longer hold the room available. */
  #used: number;

  /**
   * @param controlRoom bytes for control messages per slot, a multiple of 8; 0 for none.
   * @param dataRoom bytes for a datagram, a multiple of 64; longer ones are cut. @param address memory of another ring
   *   with these rooms, which is not in use any more: what it has received can be read. Default: new memory.
   */
  constructor(libc: Libc, slots: number, controlRoom: number, dataRoom = DATA_ROOM, address?: bigint) {
    this.#libc = libc;
    this.slots = slots;
    this.#used = slots;
    this.#controlRoom = controlRoom;
    const iovecsAt = slots * MMSGHDR.size;
    this.#peersAt = iovecsAt + slots * IOVEC.size;
    this.#controlsAt = this.#peersAt + slots * SOCKADDR_ROOM;
    const dataAt = this.#controlsAt + slots * controlRoom;
    this.#arena = new Arena(libc, dataAt + slots * (dataRoom + GAP), address);
    this.words = this.#arena.i32;
    this.bytes = this.#arena.bytes;
    const datagrams: Uint8Array[] = [];
    for (let slot = 0; slot < slots; slot++) {
      const header = slot * MMSGHDR.size;
      const iovec = iovecsAt + slot * IOVEC.size;
      const data = dataAt + slot * (dataRoom + GAP);
      this.#arena.point(header + MMSGHDR.name, this.#peersAt + slot * SOCKADDR_ROOM);
      this.#arena.point(header + MMSGHDR.iov, iovec);
      this.words[(header + MMSGHDR.iovLength) >> 2] = 1;
      if (controlRoom > 0) this.#arena.point(header + MMSGHDR.control, this.#controlsAt + slot * controlRoom);
      this.#arena.point(iovec + IOVEC.base, data);
      this.words[(iovec + IOVEC.length) >> 2] = dataRoom;
      datagrams.push(this.bytes.subarray(data, data + dataRoom));
    }
    this.datagrams = datagrams;
  }

  get address(): bigint {
    return this.#arena.address;
  }

  /** Receives pending datagrams, at most `slots`. @returns how many. */
  receive(fd: number, flags = 0): number {
    // Resets the lengths of the slots last filled, which the kernel has overwritten.
    for (let slot = 0; slot < this.#used; slot++) {
      const header = (this.#headersAt + slot * MMSGHDR.size) >> 2;
      this.words[header + (MMSGHDR.nameLength >> 2)] = SOCKADDR_ROOM;
      if (this.#controlRoom > 0) this.words[header + (MMSGHDR.controlLength >> 2)] = this.#controlRoom;
    }
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const count = this.#libc.recvmmsg(fd, this.#arena.address, this.slots, MSG_DONTWAIT | flags, null);
      if (count >= 0) {
        this.#used = count;
        return count;
      }
      // A call may fail once with the error of an earlier send: the datagrams that arrived are still there.
      if (this.#libc.errno() === EAGAIN) return 0;
    }
    return 0;
  }

  /** Returns the number of bytes received in a slot. */
  length(slot: number): number {
    return this.words[(slot * MMSGHDR.size + MMSGHDR.length) >> 2]!;
  }

  /** Returns the index in `words` of the peer's sockaddr. */
  peerWord(slot: number): number {
    return (this.#peersAt + slot * SOCKADDR_ROOM) >> 2;
  }

  /** Returns the index in `bytes` of the data of a control message of this level and type, or -1. */
  control(slot: number, level: number, type: number): number {
    const start = this.#controlsAt + slot * this.#controlRoom;
    const end = start + this.words[(slot * MMSGHDR.size + MMSGHDR.controlLength) >> 2]!;
    for (let at = start; at + CMSGHDR.size <= end; ) {
      const length = this.words[at >> 2]!;
      if (length < CMSGHDR.size) return -1;
      if (this.words[(at + CMSGHDR.level) >> 2] === level && this.words[(at + CMSGHDR.type) >> 2] === type) {
        return at + CMSGHDR.size;
      }
      at += (length + 7) & ~7;
    }
    return -1;
  }

  free(): void {
    this.#arena.free();
  }
}
