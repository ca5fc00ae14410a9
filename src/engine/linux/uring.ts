/**
 * io_uring: many sockets, one system call. Received datagrams come as completions (a multishot receive for each socket,
 * into buffers provided in advance), packets to send are submissions. With a socket for each transfer it saves two
 * calls for each block. Knows rings and layouts; not what a datagram means.
 */
import type { RingPlace } from '../estate.ts';
import type { UnreadDatagram } from '../types.ts';
import { Arena, isMapFailed } from './arena.ts';
import {
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  EINVAL,
  type Libc,
  MAP_SHARED,
  MSG_DONTWAIT,
  PROT_READ,
  PROT_WRITE,
  systemError,
} from './libc.ts';

const SYS_SETUP = 425;
const SYS_ENTER = 426;
const SYS_REGISTER = 427;
const SETUP_CQSIZE = 1 << 3;
/** Submits the rest of a batch although one of its entries fails at once. Since Linux 5.18. */
const SETUP_SUBMIT_ALL = 1 << 7;
const SETUP_SINGLE_ISSUER = 1 << 12;
/** Completions are made when this thread asks for them, not whenever a packet arrives. Since Linux 6.1. */
const SETUP_DEFER_TASKRUN = 1 << 13;
const FEAT_SINGLE_MMAP = 1;
const OFF_SQES = 0x10000000;
const ENTER_GETEVENTS = 1;
const REGISTER_EVENTFD = 4;
const REGISTER_PBUF_RING = 22;
/** struct io_uring_params: its size in bytes, and the indexes of the words used. */
const PARAMS = { size: 120, flags: 2, cqEntries: 1, features: 5, sq: 10, cq: 20 } as const;
const SQ = { head: 0, tail: 1, mask: 2, array: 6 } as const;
const CQ = { head: 0, tail: 1, mask: 2, cqes: 5 } as const;
const SQE_WORDS = 16;
const CQE_WORDS = 4;
const OP_NOP = 0;
const OP_SENDMSG = 9;
const OP_ASYNC_CANCEL = 14;
const OP_RECV = 27;
const BUFFER_SELECT = 1 << 5;
const CQE_SKIP_SUCCESS = 1 << 6;
const RECV_MULTISHOT = 1 << 1;
const CQE_BUFFER = 1;
const CQE_MORE = 2;

const SUBMISSIONS = 1024;
const MAX_TRIES = 8;
const COMPLETIONS = 8192;
/** Datagrams that can wait for JavaScript: they are taken in batches of a few dozen. A power of two. */
const BUFFERS = 1024;
/** ACKs have 4 bytes, an ERROR some hundred. A longer datagram arrives truncated and counts as malformed. */
const BUFFER_BYTES = 512;
const BUFFER_ENTRY = 16;
const BUFFER_TAIL = 14;

/** Kinds of completions: the lowest bits of their user data. A receive has its token above them. */
const TAG_RECEIVE = 1;
const TAG_SEND = 2;
const TAG_CANCEL = 3;
const TAG_BITS = 2;
const TAG_MASK = 3;

export interface UringHandler {
  onReceived(id: number, bytes: Uint8Array, length: number): void;
  /**
   * Called when the receive of `id` has ended. @param errno 0: no error, for instance the ring was full for a moment.
   */
  onReceiveEnded(id: number, errno: number): void;
  onSendFailed(id: number, errno: number): void;
}

export class Uring {
  /** Signals arrivals; it need not be read. */
  readonly eventFd: number;
  readonly #fd: number;
  readonly #libc: Libc;
  readonly #handler: UringHandler;
  readonly #rings: Int32Array;
  readonly #sqes: Int32Array;
  readonly #buffers: Arena;
  #views: readonly Uint8Array[] = [];
  readonly #maps: { address: bigint; length: number }[] = [];
  readonly #sqHead: number;
  readonly #sqTail: number;
  readonly #sqMask: number;
  readonly #cqHead: number;
  readonly #cqTail: number;
  readonly #cqMask: number;
  readonly #cqes: number;
  #bufferTail = 0;
  /** Submissions not yet handed to the kernel. */
  #pending = 0;
  #closed = false;

  /**
   * @throws Error with the system's code where io_uring is missing: old kernels, seccomp filters,
   *   kernel.io_uring_disabled.
   */
  constructor(libc: Libc, handler: UringHandler) {
    this.#libc = libc;
    this.#handler = handler;
    this.#buffers = new Arena(libc, BUFFERS * (BUFFER_ENTRY + BUFFER_BYTES));
    const params = new Int32Array(PARAMS.size >> 2);
    params[PARAMS.cqEntries] = COMPLETIONS;
    params[PARAMS.flags] = SETUP_CQSIZE | SETUP_SUBMIT_ALL | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN;
    const bytes = new Uint8Array(params.buffer);
    try {
      this.#fd = this.#call(SYS_SETUP, SUBMISSIONS, Number(libc.address(bytes)));
    } catch (cause) {
      this.#buffers.free();
      throw cause;
    }
    this.eventFd = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    try {
      if (this.eventFd < 0) throw systemError('eventfd', libc.errno());
      if ((params[PARAMS.features]! & FEAT_SINGLE_MMAP) === 0) throw systemError('io_uring_setup', EINVAL);
      const [sq, cq] = [PARAMS.sq, PARAMS.cq];
      const submissions = params[0]!;
      const completions = params[PARAMS.cqEntries]!;
      const length = Math.max(
        params[sq + SQ.array]! + submissions * 4,
        params[cq + CQ.cqes]! + completions * CQE_WORDS * 4,
      );
      this.#rings = this.#map(length, 0);
      this.#sqes = this.#map(submissions * SQE_WORDS * 4, OFF_SQES);
      this.#sqHead = params[sq + SQ.head]! >> 2;
      this.#sqTail = params[sq + SQ.tail]! >> 2;
      this.#sqMask = this.#rings[params[sq + SQ.mask]! >> 2]!;
      this.#cqHead = params[cq + CQ.head]! >> 2;
      this.#cqTail = params[cq + CQ.tail]! >> 2;
      this.#cqMask = this.#rings[params[cq + CQ.mask]! >> 2]!;
      this.#cqes = params[cq + CQ.cqes]! >> 2;
      // Submissions are used in order.
      const array = params[sq + SQ.array]! >> 2;
      for (let index = 0; index < submissions; index++) this.#rings[array + index] = index;
      this.#views = Array.from({ length: BUFFERS }, (_, id) => {
        const at = BUFFERS * BUFFER_ENTRY + id * BUFFER_BYTES;
        return this.#buffers.bytes.subarray(at, at + BUFFER_BYTES);
      });
      this.#registerBuffers();
      libc.estate?.addFd(this.#fd);
      this.#register(REGISTER_EVENTFD, new Uint8Array(Int32Array.of(this.eventFd).buffer));
      if (libc.estate === undefined) {
        if (OPEN.size === 0) process.on('exit', closeAll);
        OPEN.add(this);
      } else {
        libc.estate.ring = this.#place;
      }
    } catch (cause) {
      this.close();
      throw cause;
    }
  }

  /**
   * Starts the receive of a socket: the handler gets its datagrams under `id`. @param token 0..2^30 - 1, by which
   * datagrams that a dead thread has left are assigned; see unreadDatagrams.
   */
  receive(fd: number, id: number, token: number): void {
    const tag = TAG_RECEIVE | (token << TAG_BITS);
    const at = this.#submission(OP_RECV | (BUFFER_SELECT << 8) | (RECV_MULTISHOT << 16), fd, tag, id);
    // Buffer group 0.
    this.#sqes[at + 10] = 0;
  }

  /** Ends the receive of `id`; the handler is notified once. @param token as in receive(). */
  cancel(id: number, token: number): void {
    const at = this.#submission(OP_ASYNC_CANCEL | (CQE_SKIP_SUCCESS << 8), -1, TAG_CANCEL, id);
    this.#sqes[at + 4] = TAG_RECEIVE | (token << TAG_BITS);
    this.#sqes[at + 5] = id;
  }

  /** @param low, high the address of a msghdr, which must stay until submit(), as must all that it points to. */
  send(fd: number, id: number, low: number, high: number): void {
    const at = this.#submission(OP_SENDMSG | (CQE_SKIP_SUCCESS << 8), fd, TAG_SEND, id);
    this.#sqes[at + 4] = low;
    this.#sqes[at + 5] = high;
    this.#sqes[at + 6] = 1;
    this.#sqes[at + 7] = MSG_DONTWAIT;
  }

  /** True if submissions wait for submit(). */
  get isPending(): boolean {
    return this.#pending > 0;
  }

  /** Hands over what is pending and makes completions of what has arrived. */
  submit(): void {
    if (this.#closed) return;
    const submitted = this.#libc.syscall(SYS_ENTER, this.#fd, this.#pending, 0, ENTER_GETEVENTS, 0, 0);
    if (submitted > 0) this.#pending -= submitted;
  }

  /**
   * Drops the sends that the kernel has not taken, for lack of memory: what they point to is about to change, and
   * another transfer's packet would leave in their place. Receives stay, and are handed over later.
   *
   * @returns how many.
   */
  dropSends(): number {
    let dropped = 0;
    const tail = this.#rings[this.#sqTail]!;
    for (let entry = Atomics.load(this.#rings, this.#sqHead); entry !== tail; entry = (entry + 1) | 0) {
      const at = (entry & this.#sqMask) * SQE_WORDS;
      if ((this.#sqes[at]! & 0xff) !== OP_SENDMSG) continue;
      for (let word = 0; word < SQE_WORDS; word++) this.#sqes[at + word] = 0;
      this.#sqes[at] = OP_NOP | (CQE_SKIP_SUCCESS << 8);
      this.#sqes[at + 8] = TAG_CANCEL;
      dropped++;
    }
    return dropped;
  }

  /** Passes completions to the handler. @returns how many datagrams were among them. */
  deliver(): number {
    let received = 0;
    for (let most = COMPLETIONS; most > 0 && !this.#closed; most--) {
      const head = this.#rings[this.#cqHead]!;
      if (head === Atomics.load(this.#rings, this.#cqTail)) break;
      const at = this.#cqes + (head & this.#cqMask) * CQE_WORDS;
      const tag = this.#rings[at]! & TAG_MASK;
      const id = this.#rings[at + 1]!;
      const result = this.#rings[at + 2]!;
      const flags = this.#rings[at + 3]!;
      Atomics.store(this.#rings, this.#cqHead, (head + 1) | 0);
      if (tag === TAG_RECEIVE) received += this.#onReceive(id, result, flags);
      else if (tag === TAG_SEND && result < 0) this.#handler.onSendFailed(id, -result);
    }
    return received;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (OPEN.delete(this) && OPEN.size === 0) process.off('exit', closeAll);
    if (this.#libc.estate !== undefined) this.#libc.estate.ring = undefined;
    this.#libc.close(this.#fd);
    if (this.eventFd >= 0) this.#libc.close(this.eventFd);
    for (const { address, length } of this.#maps) this.#libc.munmap(address, length);
    this.#buffers.free();
  }

  #onReceive(id: number, result: number, flags: number): number {
    if ((flags & CQE_BUFFER) !== 0) {
      const buffer = flags >>> 16;
      if (result >= 0) this.#handler.onReceived(id, this.#views[buffer]!, result);
      this.#provide(buffer);
      this.#publishBuffers();
    }
    if ((flags & CQE_MORE) === 0) this.#handler.onReceiveEnded(id, result < 0 ? -result : 0);
    return result >= 0 ? 1 : 0;
  }

  /** Adds a submission. @param head its first word: opcode, flags, priority. @returns its index in the entries. */
  #submission(head: number, fd: number, tag: number, id: number): number {
    for (let tries = 0; this.#pending > this.#sqMask; tries++) {
      // Entries are never overwritten: a submission the kernel has not taken would be lost or, worse, half replaced.
      if (tries === MAX_TRIES) throw systemError('io_uring_enter', this.#libc.errno());
      this.submit();
    }
    const tail = this.#rings[this.#sqTail]!;
    const at = (tail & this.#sqMask) * SQE_WORDS;
    for (let word = 0; word < SQE_WORDS; word++) this.#sqes[at + word] = 0;
    this.#sqes[at] = head;
    this.#sqes[at + 1] = fd;
    this.#sqes[at + 8] = tag;
    this.#sqes[at + 9] = id;
    Atomics.store(this.#rings, this.#sqTail, (tail + 1) | 0);
    this.#pending++;
    return at;
  }

  get #place(): RingPlace {
    return {
      rings: Number(this.#maps[0]!.address),
      ringsLength: this.#maps[0]!.length,
      head: this.#cqHead,
      tail: this.#cqTail,
      entries: this.#cqes,
      mask: this.#cqMask,
      buffers: Number(this.#buffers.address) + BUFFERS * BUFFER_ENTRY,
    };
  }

  #registerBuffers(): void {
    for (let buffer = 0; buffer < BUFFERS; buffer++) this.#provide(buffer);
    this.#publishBuffers();
    const registration = new BigUint64Array(5);
    registration[0] = this.#buffers.address;
    new Uint32Array(registration.buffer)[2] = BUFFERS;
    this.#register(REGISTER_PBUF_RING, new Uint8Array(registration.buffer));
  }

  #register(what: number, argument: Uint8Array): void {
    // Copied to the first buffer's place, because an address of JavaScript's own bytes would not keep them from being
    // collected.
    const at = BUFFERS * BUFFER_ENTRY;
    this.#buffers.bytes.set(argument, at);
    this.#call(SYS_REGISTER, this.#fd, what, Number(this.#buffers.address) + at, 1);
  }

  #provide(buffer: number): void {
    const entry = (this.#bufferTail & (BUFFERS - 1)) * BUFFER_ENTRY;
    const at = BUFFERS * BUFFER_ENTRY + buffer * BUFFER_BYTES;
    this.#buffers.point(entry, at);
    this.#buffers.i32[(entry + 8) >> 2] = BUFFER_BYTES;
    this.#buffers.u16[(entry + 12) >> 1] = buffer;
    this.#bufferTail++;
  }

  #publishBuffers(): void {
    Atomics.store(this.#buffers.u16, BUFFER_TAIL >> 1, this.#bufferTail & 0xffff);
  }

  #map(length: number, offset: number): Int32Array {
    const address = this.#libc.mmap(null, length, PROT_READ | PROT_WRITE, MAP_SHARED, this.#fd, offset);
    if (isMapFailed(address)) throw systemError('mmap', this.#libc.errno());
    this.#maps.push({ address, length });
    return new Int32Array(this.#libc.view(address, length));
  }

  #call(number: number, a: number, b: number, c = 0, d = 0): number {
    const result = this.#libc.syscall(number, a, b, c, d, 0, 0);
    if (result < 0) throw systemError('io_uring', this.#libc.errno());
    return result;
  }
}

/** Returns the datagrams that a thread left in its ring, oldest first. Call when the thread has exited. */
export function unreadDatagrams(libc: Libc, place: RingPlace): UnreadDatagram[] {
  const rings = new Int32Array(libc.view(BigInt(place.rings), place.ringsLength));
  const buffers = new Uint8Array(libc.view(BigInt(place.buffers), BUFFERS * BUFFER_BYTES));
  const unread: UnreadDatagram[] = [];
  const tail = rings[place.tail]!;
  for (let head = rings[place.head]!; head !== tail; head = (head + 1) | 0) {
    const at = place.entries + (head & place.mask) * CQE_WORDS;
    const [tag, result, flags] = [rings[at]!, rings[at + 2]!, rings[at + 3]!];
    if ((tag & TAG_MASK) !== TAG_RECEIVE || (flags & CQE_BUFFER) === 0 || result < 0) continue;
    const from = (flags >>> 16) * BUFFER_BYTES;
    unread.push({ token: tag >>> TAG_BITS, bytes: buffers.slice(from, from + result) });
  }
  return unread;
}

/**
 * The rings of this thread: one that outlives its thread would hold the sockets that it reads. Those of a thread with an
 * estate are closed by the main thread, after it has read them.
 */
const OPEN = new Set<Uring>();

function closeAll(): void {
  for (const uring of OPEN) uring.close();
}
