/**
 * Sends datagrams in batches: what a thread's links send until the next flush, as one array for sendmmsg. Consecutive
 * blocks of one size to one peer share an entry, which the kernel segments (UDP_SEGMENT). Nothing is copied except
 * control packets: an entry points to a ready-made header and into the content.
 */
import { DATA_HEADER, encodeDataHeader } from '../../protocol/encode.ts';
import { noSendErrors, type SendErrno, sendErrno } from '../send-errors.ts';
import { Arena } from './arena.ts';
import {
  CMSGHDR,
  EAGAIN,
  ECONNREFUSED,
  EFAULT,
  EINTR,
  EINVAL,
  EIO,
  EMSGSIZE,
  IOVEC,
  type Libc,
  MMSGHDR,
  POLLOUT,
  SOCKADDR_ROOM,
  SOL_UDP,
  UDP_SEGMENT,
} from './libc.ts';
import type { Uring } from './uring.ts';

const ENTRIES = 512;
const IOVECS = 4096;
const CONTROL_ROOM = 64 * 1024;
/** Limits of the kernel for one entry: 64 segments (older kernels), and the bytes of one UDP datagram. */
const MAX_SEGMENTS = 64;
const MAX_BYTES = 65_507;
/**
 * How long the queue waits for a full send buffer each time, and how often, before packets count as lost.
 * @limit Time for which a full send buffer is waited for. Shows: `reveille_send_drops_total`.
 */
const PATIENCE_MS = 2;
const PATIENCE_TURNS = 5;
/** Calls to hand over a batch when the kernel takes only a part of it. */
const MAX_SUBMITS = 8;

/** The control message that gives the segment length, bytes. */
const SEGMENT_CONTROL = CMSGHDR.size + 8;
/**
 * Room per destination: its sockaddr, its own control message (packet info) if it has one, which goes with every entry,
 * and the message that gives the segment length, which goes with entries of several segments.
 */
export const DESTINATION_ROOM = SOCKADDR_ROOM + 40 + SEGMENT_CONTROL;
/** Sends of one entry on a shared socket that may fail with the error of an earlier one. */
const SHARED_TRIES = 4;

/** A segmentLimit above the length of any segment. */
export const UNLIMITED = 0x10000;

/** A socket as the queue sees it, and its known limits on segmentation. */
export interface Outlet {
  readonly fd: number;
  readonly sockaddrLength: number;
  /** Its number on io_uring, by which packets of many sockets leave together; -1: each socket has its own call. */
  readonly ringId: number;
  /** The device or the route refuses segments of at least this length, bytes: such blocks are sent one by one. */
  segmentLimit: number;
  /** Length of the segments last queued here, bytes; 0: none were. */
  segmented: number;
  /** True if its packets go to many peers: a pending error belongs to any of them. Default false. */
  readonly isShared?: boolean;
  /** Reads the error queue: a pending error makes an unrelated send fail. */
  drainErrors(): void;
}

/** A place to send to, and the callback for content that can't be read. */
export interface Destination {
  readonly outlet: Outlet;
  /** Offset of this destination's record in the queue's destinations arena. */
  readonly at: number;
  /** Bytes of its own control message, which goes with every entry; 0: none. A multiple of 8, at most 40. */
  readonly controlLength: number;
  /** The batch in which something was last queued for it. */
  queuedIn: number;
  onUnreadable(): void;
}

/** Counts since the start. */
export interface SendCounts {
  /** Datagrams that could not be sent, by reason. */
  readonly errors: Record<SendErrno, number>;
  /** Entries that the kernel refused to segment and that were sent one by one. */
  segmentFallbacks: number;
  /** Datagrams that could not be sent. */
  dropped: number;
}

export class SendQueue {
  readonly counts: SendCounts = { errors: noSendErrors(), segmentFallbacks: 0, dropped: 0 };
  readonly destinations: Arena;
  readonly #libc: Libc;
  readonly #headers: Arena;
  readonly #arena: Arena;
  readonly #words: Int32Array;
  readonly #iovecsAt = ENTRIES * MMSGHDR.size;
  readonly #controlAt = this.#iovecsAt + IOVECS * IOVEC.size;
  readonly #singlesAt = this.#controlAt + CONTROL_ROOM;
  /** Pointers to the entries, created once: a BigInt per call would be garbage per call. */
  readonly #entryAddress: readonly bigint[];
  readonly #singlesAddress: bigint;
  readonly #owners: (Destination | undefined)[] = Array.from({ length: ENTRIES });
  readonly #pollfd = new Uint8Array(8);
  #unreadable: Destination[] = [];

  /** Number of the current batch; see Destination.queuedIn. */
  #batch = 0;
  /** True if nothing is sent any more. */
  isMute = false;
  /** Called before anything is sent. Set once, by the owner of the transfers' ports. */
  beforeFlush: (() => void) | undefined;
  /** Set once by the owner of the ring, if there is one. */
  uring: Uring | undefined;
  /** True while the entries are for sockets on io_uring. */
  #isRinged = false;
  #flushing = false;
  #outlet: Outlet | undefined;
  #entries = 0;
  #iovecs = 0;
  #control = 0;
  /** The last entry's segments, their length, and its bytes; 0 segments when nothing may be added to it. */
  #segments = 0;
  #segmentLength = 0;
  #entryBytes = 0;

  /** @param destinations maximum of destinations at once. */
  constructor(libc: Libc, destinations: number) {
    this.#libc = libc;
    this.destinations = new Arena(libc, destinations * DESTINATION_ROOM);
    this.#headers = new Arena(libc, 0x10000 * DATA_HEADER);
    for (let block = 0; block < 0x10000; block++) {
      encodeDataHeader(this.#headers.bytes.subarray(block * DATA_HEADER), block);
    }
    this.#arena = new Arena(libc, this.#singlesAt + MAX_SEGMENTS * MMSGHDR.size);
    this.#words = this.#arena.i32;
    this.#entryAddress = Array.from(
      { length: ENTRIES },
      (_, entry) => this.#arena.address + BigInt(entry * MMSGHDR.size),
    );
    this.#singlesAddress = this.#arena.address + BigInt(this.#singlesAt);
  }

  /** Writes a destination's record. @param own its own control message, if it has one. */
  describe(at: number, sockaddr: Uint8Array, own?: Uint8Array): void {
    const { bytes, i32 } = this.destinations;
    bytes.set(sockaddr.subarray(0, SOCKADDR_ROOM), at);
    if (own !== undefined) bytes.set(own, at + SOCKADDR_ROOM);
    const control = (at + SOCKADDR_ROOM + (own?.length ?? 0)) >> 2;
    i32[control] = CMSGHDR.size + 2;
    i32[control + 1] = 0;
    i32[control + (CMSGHDR.level >> 2)] = SOL_UDP;
    i32[control + (CMSGHDR.type >> 2)] = UDP_SEGMENT;
  }

  /** Queues DATA: the header for `wireBlock`, and `length` bytes at the content address low + high * 2^32. */
  data(to: Destination, wireBlock: number, low: number, high: number, length: number): void {
    const size = DATA_HEADER + length;
    if (!this.#joins(to, size)) this.#open(to, size);
    const iovec = (this.#iovecsAt + this.#iovecs * IOVEC.size) >> 2;
    const words = this.#words;
    words[iovec] = (this.#headers.low + wireBlock * DATA_HEADER) | 0;
    words[iovec + 1] = this.#headers.high;
    words[iovec + 2] = DATA_HEADER;
    words[iovec + 3] = 0;
    words[iovec + 4] = low;
    words[iovec + 5] = high;
    words[iovec + 6] = length;
    words[iovec + 7] = 0;
    this.#iovecs += 2;
    this.#segments++;
    this.#entryBytes += size;
    const header = ((this.#entries - 1) * MMSGHDR.size) >> 2;
    words[header + (MMSGHDR.iovLength >> 2)] = this.#segments * 2;
    if (this.#segments === 2) this.#segmented(to, header);
    // Only an entry's last segment may be shorter than the others.
    if (size < this.#segmentLength) this.#segments = 0;
  }

  /** Queues a copy of bytes[0, length). */
  control(to: Destination, bytes: Uint8Array, length: number): void {
    if (this.#control + length > CONTROL_ROOM) this.flush();
    this.#open(to, length);
    const at = this.#controlAt + this.#control;
    for (let index = 0; index < length; index++) this.#arena.bytes[at + index] = bytes[index]!;
    // Rounded up, so that copies start at word boundaries.
    this.#control += (length + 7) & ~7;
    const iovec = this.#iovecsAt + this.#iovecs * IOVEC.size;
    this.#arena.point(iovec, at);
    this.#words[(iovec + IOVEC.length) >> 2] = length;
    this.#words[((iovec + IOVEC.length) >> 2) + 1] = 0;
    this.#iovecs++;
    this.#words[((this.#entries - 1) * MMSGHDR.size + MMSGHDR.iovLength) >> 2] = 1;
    this.#segments = 0;
  }

  get empty(): boolean {
    return this.#entries === 0;
  }

  /** True if something for this destination is still queued: its record and content are still needed. */
  holds(destination: Destination): boolean {
    return this.#entries > 0 && destination.queuedIn === this.#batch;
  }

  /**
   * Sends everything queued. Packets that can't be sent are dropped and counted: to TFTP they are lost packets.
   *
   * Reading the error queue on the way may end a transfer, which asks for a flush before it closes its link. That
   * nested flush does nothing: the transfer's packets are under way here, and what they point to stays valid until the
   * end.
   */
  flush(): void {
    const outlet = this.#outlet;
    const count = this.#entries;
    if (outlet === undefined || count === 0 || this.#flushing) return;
    this.#flushing = true;
    try {
      this.beforeFlush?.();
      if (this.isMute) return;
      if (this.#isRinged) this.#submit(count);
      else this.#sendAll(outlet, count);
    } finally {
      this.#flushing = false;
      this.#entries = this.#iovecs = this.#control = this.#segments = 0;
      this.#batch++;
      // fill() would call out of compiled code.
      for (let entry = 0; entry < count; entry++) this.#owners[entry] = undefined;
    }
    if (this.#unreadable.length > 0) this.#reportUnreadable();
  }

  #sendAll(outlet: Outlet, count: number): void {
    let turns = 0;
    let tries = 0;
    for (let entry = 0; entry < count; ) {
      const sent = this.#libc.sendmmsg(outlet.fd, this.#entryAddress[entry]!, count - entry, 0);
      if (sent > 0) {
        entry += sent;
        tries = 0;
        continue;
      }
      const errno = this.#libc.errno();
      if (errno === EINTR) continue;
      if (errno === EAGAIN && turns++ < PATIENCE_TURNS) this.#awaitRoom(outlet.fd);
      else if (errno === ECONNREFUSED && turns++ < ENTRIES) outlet.drainErrors();
      else if (outlet.isShared === true && tries++ < SHARED_TRIES) outlet.drainErrors();
      else {
        this.#refused(outlet, entry++, errno);
        tries = 0;
      }
    }
  }

  /** Submits everything in one call. Failures come back as completions. */
  #submit(count: number): void {
    const uring = this.uring!;
    const { low, high } = this.#arena;
    for (let entry = 0; entry < count; entry++) {
      const { outlet } = this.#owners[entry]!;
      uring.send(outlet.fd, outlet.ringId, (low + entry * MMSGHDR.size) | 0, high);
    }
    for (let tries = 0; uring.isPending && tries < MAX_SUBMITS; tries++) uring.submit();
    if (uring.isPending) this.dropped(uring.dropSends(), this.#libc.errno());
  }

  free(): void {
    this.#headers.free();
    this.#arena.free();
    this.destinations.free();
  }

  /** Tells whether a block of `size` bytes can join the last entry. */
  #joins(to: Destination, size: number): boolean {
    return (
      this.#segments > 0 &&
      this.#owners[this.#entries - 1] === to &&
      size <= this.#segmentLength &&
      this.#segmentLength < to.outlet.segmentLimit &&
      this.#segments < MAX_SEGMENTS &&
      this.#entryBytes + size <= MAX_BYTES &&
      this.#iovecs + 2 <= IOVECS
    );
  }

  /** Starts an entry. */
  #open(to: Destination, size: number): void {
    const joins = this.#outlet === to.outlet || (this.#isRinged && to.outlet.ringId >= 0);
    if (!joins || this.#entries === ENTRIES || this.#iovecs + 2 > IOVECS) {
      this.flush();
      this.#isRinged = to.outlet.ringId >= 0;
    }
    this.#outlet = to.outlet;
    const at = this.#entries * MMSGHDR.size;
    const header = at >> 2;
    this.destinations.pointFrom(this.#arena, at + MMSGHDR.name, to.at);
    this.#words[header + (MMSGHDR.nameLength >> 2)] = to.outlet.sockaddrLength;
    this.#arena.point(at + MMSGHDR.iov, this.#iovecsAt + this.#iovecs * IOVEC.size);
    if (to.controlLength > 0) {
      this.destinations.pointFrom(this.#arena, at + MMSGHDR.control, to.at + SOCKADDR_ROOM);
    } else {
      this.#words[header + (MMSGHDR.control >> 2)] = 0;
      this.#words[header + (MMSGHDR.control >> 2) + 1] = 0;
    }
    this.#words[header + (MMSGHDR.controlLength >> 2)] = to.controlLength;
    this.#owners[this.#entries++] = to;
    to.queuedIn = this.#batch;
    this.#segments = 0;
    this.#segmentLength = size;
    this.#entryBytes = 0;
  }

  /** Turns the last entry into one that the kernel segments. */
  #segmented(to: Destination, header: number): void {
    const control = to.at + SOCKADDR_ROOM;
    to.outlet.segmented = this.#segmentLength;
    this.destinations.u16[(control + to.controlLength + CMSGHDR.size) >> 1] = this.#segmentLength;
    this.destinations.pointFrom(this.#arena, (header << 2) + MMSGHDR.control, control);
    this.#words[header + (MMSGHDR.controlLength >> 2)] = to.controlLength + SEGMENT_CONTROL;
  }

  #awaitRoom(fd: number): void {
    const view = new DataView(this.#pollfd.buffer);
    view.setInt32(0, fd, true);
    view.setInt16(4, POLLOUT, true);
    this.#libc.poll(this.#pollfd, 1, PATIENCE_MS);
  }

  /** Handles an entry that the kernel refused. */
  #refused(outlet: Outlet, entry: number, errno: number): void {
    const header = (entry * MMSGHDR.size) >> 2;
    const segments = this.#words[header + (MMSGHDR.iovLength >> 2)]! >> 1;
    const own = this.#owners[entry]?.controlLength ?? 0;
    const segmented = this.#words[header + (MMSGHDR.controlLength >> 2)]! > own;
    if (segmented && (errno === EINVAL || errno === EMSGSIZE || errno === EIO)) {
      this.counts.segmentFallbacks++;
      const iovec = (entry * MMSGHDR.size + MMSGHDR.iov) >> 2;
      const first = (this.#words[iovec]! - (this.#arena.low + this.#iovecsAt)) | 0;
      const at = (this.#iovecsAt + first + IOVEC.size) >> 2;
      const length = DATA_HEADER + this.#words[at + (IOVEC.length >> 2)]!;
      // EIO: the socket or its device can't segment at all; otherwise segments this long do not fit the path.
      outlet.segmentLimit = errno === EIO ? 0 : Math.min(outlet.segmentLimit, length);
      this.#sendSingly(outlet, entry, segments, own);
      return;
    }
    this.dropped(Math.max(1, segments), errno);
    const owner = this.#owners[entry];
    if (errno === EFAULT && owner !== undefined) this.#unreadable.push(owner);
  }

  /** Reports unreadable content after the batch, because its destinations may send in response. */
  #reportUnreadable(): void {
    const unreadable = this.#unreadable;
    this.#unreadable = [];
    for (const destination of unreadable) destination.onUnreadable();
    this.flush();
  }

  /** @param own length of the destination's own control message. */
  #sendSingly(outlet: Outlet, entry: number, segments: number, own: number): void {
    const words = this.#words;
    const source = (entry * MMSGHDR.size) >> 2;
    for (let segment = 0; segment < segments; segment++) {
      const single = (this.#singlesAt + segment * MMSGHDR.size) >> 2;
      for (let word = 0; word < MMSGHDR.size >> 2; word++) words[single + word] = words[source + word]!;
      // An arena lies within 4 GiB, so only the lower half of the pointer changes.
      words[single + (MMSGHDR.iov >> 2)] = (words[source + (MMSGHDR.iov >> 2)]! + segment * 2 * IOVEC.size) | 0;
      words[single + (MMSGHDR.iovLength >> 2)] = 2;
      if (own === 0) {
        words[single + (MMSGHDR.control >> 2)] = 0;
        words[single + (MMSGHDR.control >> 2) + 1] = 0;
      }
      words[single + (MMSGHDR.controlLength >> 2)] = own;
    }
    const sent = this.#libc.sendmmsg(outlet.fd, this.#singlesAddress, segments, 0);
    if (sent < segments) this.dropped(segments - Math.max(0, sent), this.#libc.errno());
  }

  /** Counts datagrams that could not be sent. */
  dropped(datagrams: number, errno: number): void {
    this.counts.dropped += datagrams;
    this.counts.errors[sendErrno(errno)] += datagrams;
  }
}
