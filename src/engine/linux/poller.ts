/**
 * Readiness of many sockets on Node.js's event loop: one epoll descriptor, watched by one handle per thread. Sockets
 * are not watched directly, because a pending error would end the watch for good.
 *
 * The handle has sharp edges. A thread that ends with a live handle kills the process, so it is closed whenever the
 * process or thread exits. It is closed before its descriptor, whose number may be reused at once. An exception under
 * it would surface much later, so it is rethrown outside. And Node.js does not notice its callbacks, so promises would
 * wait until something else wakes the loop: each callback notifies Node.js.
 */
import {
  EPOLLERR,
  EPOLLET,
  EPOLLIN,
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLL_EVENT,
  type Libc,
  type Watch,
  systemError,
} from './libc.ts';
import { throwLater } from '../throw-later.ts';

const EVENTS = 64;
/** Looks of catchUp() at sockets that had more than they are read at once. */
const REREADS = 32;
/** Maximum of looks at the sockets before timers and other threads' messages get their turn. */
const ROUNDS = 8;
/**
 * How long a look waits for more packets while transfers run: a round trip in a rack. With few nodes, whose packets
 * come one by one, a turn of Node.js's loop for each would cost a seventh of what the packet does. Timers and new
 * transfers wait at most for all the looks together.
 */
const STAY_NS = 200_000;
/**
 * After an immediate, in the same turn of the loop, Node.js runs ticks and microtasks. Up to 26.3 it ran them after
 * every callback of the loop anyway, and the immediate would cost a twentieth of a wake-up.
 */
const TELLS_NODE = Number.parseInt(process.versions.node, 10) >= 26;

export interface Readable {
  readonly fd: number;
  /** True if called once each time the socket becomes readable, even if it is not read. Default false. */
  readonly isEdge?: boolean;
  /** True if another thread reads its datagrams: only the error queue is watched. Default false. */
  readonly readsOnlyErrors?: boolean;
  onReadable(): void;
  /** Reads the error queue. */
  drainErrors(): void;
}

export class Poller {
  readonly #libc: Libc;
  readonly #epoll: number;
  /** In a worker an epoll descriptor that contains the other one, and is readable only while it is open. */
  readonly #gate: number | undefined;
  readonly #watch: Watch;
  /** Sockets by descriptor: small numbers, looked up for every event. */
  readonly #sockets: (Readable | undefined)[] = [];
  #count = 0;
  readonly #events = new Uint8Array(EVENTS * EPOLL_EVENT.size);
  /** Argument for EPOLL_CTL_DEL, which ignores the event: the events of the current round must not be overwritten. */
  readonly #noEvent = new Uint8Array(EPOLL_EVENT.size);
  readonly #newEvent = new Uint8Array(EPOLL_EVENT.size);
  readonly #newView = new DataView(this.#newEvent.buffer);
  readonly #view = new DataView(this.#events.buffer);
  readonly #afterBatch: () => void;
  /** A struct timespec: seconds and nanoseconds, 64 bits each. */
  readonly #stay = new Uint8Array(new BigInt64Array([0n, BigInt(STAY_NS)]).buffer);
  /** Number of transfers whose next packet is worth waiting for. */
  expected = 0;
  #hasRearmed = false;
  #closed = false;

  /** @param afterBatch called when everything that was readable has been read. @throws Error with the system's code. */
  constructor(libc: Libc, afterBatch: () => void) {
    this.#libc = libc;
    this.#afterBatch = afterBatch;
    this.#epoll = this.#create();
    // The estate of a thread is settled because its process outlives it.
    if (libc.estate !== undefined) {
      this.#gate = this.#create();
      this.#control(this.#gate, EPOLL_CTL_ADD, this.#epoll, EPOLLIN);
    }
    this.#watch =
      this.#gate === undefined ? libc.watch(this.#epoll, this.#onReady) : libc.watch(this.#gate, this.#defer);
    this.#watch.unref();
    if (OPEN.size === 0) process.on('exit', closeAll);
    OPEN.add(this);
  }

  /** Watches a socket. The event loop stays alive while one is watched. @throws Error with the system's code. */
  add(socket: Readable): void {
    this.#watchFor(socket, EPOLL_CTL_ADD);
    this.#sockets[socket.fd] = socket;
    if (++this.#count === 1) this.#watch.ref();
  }

  /** Calls an `isEdge` socket once more if it is still readable: it has not read everything. */
  rearm(socket: Readable): void {
    this.#hasRearmed = true;
    this.#watchFor(socket, EPOLL_CTL_MOD);
  }

  #watchFor(socket: Readable, operation: number): void {
    const { fd, isEdge, readsOnlyErrors } = socket;
    // Errors are always watched.
    const events = readsOnlyErrors === true ? 0 : EPOLLIN;
    this.#control(this.#epoll, operation, fd, isEdge === true ? (events | EPOLLET) >>> 0 : events);
  }

  #create(): number {
    const epoll = this.#libc.epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) throw systemError('epoll_create1', this.#libc.errno());
    return epoll;
  }

  #control(epoll: number, operation: number, fd: number, events: number): void {
    this.#newView.setUint32(EPOLL_EVENT.events, events, true);
    this.#newView.setInt32(EPOLL_EVENT.data, fd, true);
    if (this.#libc.epoll_ctl(epoll, operation, fd, this.#newEvent) < 0) {
      throw systemError('epoll_ctl', this.#libc.errno());
    }
  }

  /** Does a worker's work, during which it may run out of memory. Elsewhere just calls it. Not to be nested. */
  aside(work: () => void): void {
    if (this.#gate === undefined || this.#closed) return work();
    this.#control(this.#gate, EPOLL_CTL_MOD, this.#epoll, 0);
    try {
      work();
    } finally {
      if (!this.#closed) this.#control(this.#gate, EPOLL_CTL_MOD, this.#epoll, EPOLLIN);
    }
  }

  /** Stops watching a socket. Call before its descriptor is closed. */
  remove(socket: Readable): void {
    if (this.#sockets[socket.fd] !== socket) return;
    this.#sockets[socket.fd] = undefined;
    this.#libc.epoll_ctl(this.#epoll, EPOLL_CTL_DEL, socket.fd, this.#noEvent);
    if (--this.#count === 0 && !this.#closed) this.#watch.unref();
  }

  /** Reads every socket that is readable now, however many. */
  catchUp(): void {
    // The kernel moves sockets that have been read to the end of its list, so this many looks see all of them.
    for (let looks = Math.ceil(this.#count / EVENTS) + REREADS; looks > 0 && !this.#closed; looks--) {
      this.#hasRearmed = false;
      const count = this.#readReady(0);
      this.#afterBatch();
      if (count < EVENTS && !this.#hasRearmed) return;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    OPEN.delete(this);
    if (OPEN.size === 0) process.off('exit', closeAll);
    this.#watch.close();
    if (this.#gate !== undefined) this.#libc.close(this.#gate);
    this.#libc.close(this.#epoll);
  }

  readonly #defer = (): void => void setImmediate(this.#inImmediate);

  readonly #inImmediate = (): void => this.aside(this.#readAll);

  readonly #onReady = (): void => {
    if (TELLS_NODE) setImmediate(nothing);
    try {
      this.#readAll();
    } catch (error) {
      throwLater(error);
    }
  };

  readonly #readAll = (): void => {
    // Under load more packets have arrived: they are read first, because a turn of Node.js's loop costs more than a
    // look.
    for (let round = 0; round < ROUNDS && !this.#closed && this.#readReady(round) > 0; round++) this.#afterBatch();
  };

  /** Reads what is ready; later rounds wait a moment for more. @returns the number of ready sockets. */
  #readReady(round: number): number {
    const wait = round > 0 && this.expected > 0 ? this.#libc.epoll_pwait2 : undefined;
    const count =
      wait === undefined
        ? this.#libc.epoll_wait(this.#epoll, this.#events, EVENTS, 0)
        : wait(this.#epoll, this.#events, EVENTS, this.#stay, null, 0);
    for (let event = 0; event < count; event++) {
      const at = event * EPOLL_EVENT.size;
      const socket = this.#sockets[this.#view.getInt32(at + EPOLL_EVENT.data, true)];
      if (socket === undefined) continue;
      const what = this.#view.getUint32(at + EPOLL_EVENT.events, true);
      // Packets that a peer sent before it left are read before the report that it has left.
      if ((what & EPOLLIN) !== 0) socket.onReadable();
      if ((what & EPOLLERR) !== 0) socket.drainErrors();
    }
    return count;
  }
}

/** All pollers of this thread. The set also keeps them alive: a handle whose object is collected goes silent. */
const OPEN = new Set<Poller>();

function nothing(): void {}

function closeAll(): void {
  for (const poller of OPEN) poller.close();
}
