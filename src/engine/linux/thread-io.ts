/** The parts that all sockets of a thread share: receive ring, send queue, poller, and the time of sending. */
import { performance } from 'node:perf_hooks';
import type { MonotonicClock } from '../clock.ts';
import type { LatencyHistogram } from '../latencies.ts';
import type { SharedView } from '../../bytes/shared-bytes.ts';
import { AF_INET, IPV6_RECVERR, IP_RECVERR, type Libc, MSG_ERRQUEUE, SOCKADDR_ROOM, SOL_IP, SOL_IPV6 } from './libc.ts';
import type { LinuxView } from './linux-view.ts';
import { Poller } from './poller.ts';
import { ReceiveRing } from './receive-ring.ts';
import { DESTINATION_ROOM, type Destination, SendQueue } from './send-queue.ts';
import { clearError, type UdpSocket } from './udp-socket.ts';

/** Datagrams per receive call. */
const RING_SLOTS = 64;
/** Room for an IP_RECVERR control message: the error, and the address of the host that reported it. */
const ERROR_CONTROL_ROOM = 128;
const ERROR_SLOTS = 8;
/** One batch in this many is timed: reading the clock twice costs a hundredth of what a batch of one packet does. */
const MEASURED_BATCH = 8;
/** Room for an IP_PKTINFO or IPV6_PKTINFO control message, and a time. */
const INFO_CONTROL_ROOM = 80;
/** ACKs have 4 bytes, an ERROR some hundred. Small slots share pages, which saves misses of the TLB. */
const ACK_ROOM = 512;

export class ThreadIo {
  readonly libc: Libc;
  readonly clock: MonotonicClock;
  readonly ring: ReceiveRing;
  readonly queue: SendQueue;
  readonly poller: Poller;
  /** The ring for sockets whose datagrams come with the address they were sent to; created when the first one opens. */
  #infoRing: ReceiveRing | undefined;
  /** The ring for sockets that many transfers share, for ACKs and ERRORs; created when the first one opens. */
  #sharedRing: ReceiveRing | undefined;
  readonly #errors: ReceiveRing;
  readonly #destinations: DestinationSlots;
  /** Histogram of the time from reading datagrams to handing the replies to the kernel. */
  turnaround: LatencyHistogram | undefined;
  /** Called after each flush, for what is sent outside the queue. */
  afterFlush: (() => void) | undefined;
  #batches = 0;
  /** When a timed batch began, ms; -1 for the others. */
  #begunAt = -1;
  /** The record shared by all links on connected sockets: no address, and the control message for segments. */
  readonly connected: number;
  #receiving = false;
  #flushScheduled = false;

  /** @param links maximum of links at once. */
  constructor(libc: Libc, links: number, clock: MonotonicClock) {
    this.libc = libc;
    this.clock = clock;
    this.ring = new ReceiveRing(libc, RING_SLOTS, 0);
    this.#errors = new ReceiveRing(libc, ERROR_SLOTS, ERROR_CONTROL_ROOM);
    this.#destinations = new DestinationSlots(links + 1);
    this.queue = new SendQueue(libc, links + 1);
    this.connected = this.takeDestination(new Uint8Array(SOCKADDR_ROOM));
    this.poller = new Poller(libc, this.flush);
  }

  /** Discards datagrams that reached a socket before it was connected: they are not the peer's. */
  discard(fd: number): void {
    while (this.ring.receive(fd) === this.ring.slots);
  }

  get infoRing(): ReceiveRing {
    this.#infoRing ??= new ReceiveRing(this.libc, RING_SLOTS, INFO_CONTROL_ROOM);
    return this.#infoRing;
  }

  get sharedRing(): ReceiveRing {
    this.#sharedRing ??= this.sharedRingAt();
    return this.#sharedRing;
  }

  /** Returns the ring that another thread had as its sharedRing. @param address its memory. Default: new memory. */
  sharedRingAt(address?: bigint): ReceiveRing {
    return new ReceiveRing(this.libc, RING_SLOTS, INFO_CONTROL_ROOM, ACK_ROOM, address);
  }

  /** Reserves a destination's record. @returns its offset. @throws Error when all records are taken. */
  takeDestination(sockaddr: Uint8Array, control?: Uint8Array): number {
    const at = this.#destinations.take() * DESTINATION_ROOM;
    this.queue.describe(at, sockaddr, control);
    return at;
  }

  /** Returns the position of the sockaddr in a destination's record. */
  destination(at: number): { readonly words: Int32Array; readonly word: number } {
    return { words: this.queue.destinations.i32, word: at >> 2 };
  }

  releaseDestination(at: number): void {
    this.#destinations.release(at / DESTINATION_ROOM);
  }

  /** Queues DATA from shared content. */
  data(to: Destination, wireBlock: number, view: SharedView, offset: number, length: number): void {
    const { low, high } = view as LinuxView;
    const at = low + offset;
    this.queue.data(to, wireBlock, at | 0, high + Math.floor(at / 0x100000000), length);
    this.touch();
  }

  /** Queues a copy of bytes[0, length). */
  control(to: Destination, bytes: Uint8Array, length: number): void {
    this.queue.control(to, bytes, length);
    this.touch();
  }

  /** Schedules a flush for queued packets: at the end of the current batch, or else when the running code is done. */
  touch(): void {
    if (this.#receiving || this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(this.flush);
  }

  readonly flush = (): void => {
    this.#flushScheduled = false;
    this.queue.flush();
    this.afterFlush?.();
  };

  /** Runs `read` with sends held back until its end and the clock frozen. @param count datagrams that it reads. */
  batch(count: number, read: () => void): void {
    this.beginBatch();
    try {
      read();
    } finally {
      this.endBatch(count);
    }
  }

  /** Holds back sends, and freezes the clock, until endBatch. */
  beginBatch(): void {
    this.#begunAt = this.turnaround !== undefined && this.#batches++ % MEASURED_BATCH === 0 ? performance.now() : -1;
    this.#receiving = true;
    this.clock.hold();
  }

  /** Sends the batch's packets and releases the clock. @param count datagrams read since beginBatch. */
  endBatch(count: number): void {
    this.#receiving = false;
    this.clock.release();
    const wasEmpty = this.queue.empty;
    this.queue.flush();
    if (this.#begunAt >= 0 && !wasEmpty) this.turnaround?.observe(performance.now() - this.#begunAt, count);
  }

  /** Reads a socket's error queue. @param onError gets the errno, and the index in `words` of the peer's sockaddr. */
  drainErrors(socket: UdpSocket, onError: (errno: number, words: Int32Array, at: number) => void): void {
    const ring = this.#errors;
    const [level, type] = socket.family === AF_INET ? [SOL_IP, IP_RECVERR] : [SOL_IPV6, IPV6_RECVERR];
    for (let count = ring.slots; count === ring.slots; ) {
      count = ring.receive(socket.fd, MSG_ERRQUEUE);
      for (let slot = 0; slot < count; slot++) {
        const at = ring.control(slot, level, type);
        // struct sock_extended_err starts with the errno.
        if (at >= 0) onError(ring.words[at >> 2]!, ring.words, ring.peerWord(slot));
      }
    }
    // An error may be pending that found the queue full: the socket would count as ready until it is cleared.
    clearError(this.libc, socket.fd);
  }

  close(): void {
    this.poller.close();
    this.queue.free();
    this.ring.free();
    this.#infoRing?.free();
    this.libc.estate?.forgetBatch();
    this.#sharedRing?.free();
    this.#errors.free();
  }
}

/** Numbers of free destination records. */
class DestinationSlots {
  readonly #most: number;
  readonly #free: number[] = [];
  #next = 0;

  constructor(most: number) {
    this.#most = most;
  }

  take(): number {
    const slot = this.#free.pop() ?? this.#next++;
    if (slot < this.#most) return slot;
    this.#next--;
    throw Object.assign(new Error(`Expected at most ${this.#most} links in a thread`), { code: 'EMFILE' });
  }

  release(slot: number): void {
    this.#free.push(slot);
  }
}
