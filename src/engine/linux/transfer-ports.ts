/**
 * The ports that the main thread gives to transfers: sockets in stock for each local address, taken with the first
 * reply, closed after the transfer, opened again in quiet moments. Sends first replies; everything after them is sent
 * by a worker.
 */
import type { SocketKeep } from '../socket-keep.ts';
import type { Address, BorrowedPort, NoPort, TransferPort, TransferPorts } from '../types.ts';
import type { PortChoice } from './port-range.ts';
import { ENETUNREACH, type Libc, RLIMIT_NOFILE, SOCKADDR_ROOM } from './libc.ts';
import { QueuedPort } from './queued-link.ts';
import type { Outlet } from './send-queue.ts';
import { writeSockaddr } from './socket-address.ts';
import type { ThreadIo } from './thread-io.ts';
import { type SocketBudget, type TransferSocket, TransferSockets } from './transfer-sockets.ts';
import { clearError } from './udp-socket.ts';

/** Sockets opened in one go, and the pause after it: requests must not wait for it long. */
const SLICE = 32;
const PAUSE_MS = 2;
/** Refills wait until this long after the last transfer began. */
const QUIET_MS = 5;
/**
 * At most this fraction of the range's ports, and of the descriptors, is kept open for the next storm: other programs
 * have ports in the same range. A port opened on demand costs its node, and those behind it, some 10 µs.
 * @limit Divisor of the ports in `dataPorts`, and of the descriptors, for the ports that are kept open for the next
 * storm. Setting: `sessions`, `dataPorts`. Shows: nothing: more ports are opened when they are needed.
 */
const STOCK_DIVISOR = 8;
/** Errors of the system when the process, or the machine, has no more sockets. */
const SHORT_OF: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);
/**
 * Descriptors reserved for files, for other sockets and for the threads.
 * @limit Descriptors that transfers leave to everything else. Shows: a warning at the start; requests wait.
 */
const OTHER_DESCRIPTORS = 256;
/**
 * Local addresses whose stock is kept; beyond that the oldest stock is closed.
 * @limit Local addresses that have a stock of ports. Shows: nothing: the oldest stock is closed.
 */
const MAX_LOCALS = 256;

export class LinuxTransferPorts implements TransferPorts {
  readonly #io: ThreadIo;
  readonly #choice: PortChoice;
  readonly #keep: SocketKeep | undefined;
  readonly #descriptors: number;
  readonly #reserved: number;
  readonly #budget: SocketBudget;
  readonly #byLocal = new Map<string, TransferSockets>();
  readonly #sockaddr = new Uint8Array(SOCKADDR_ROOM);
  readonly #words = new Int32Array(this.#sockaddr.buffer);
  #takenAt = 0;
  #cancelRefill: (() => void) | undefined;
  #closed = false;
  /** The system's error when no more sockets could be opened. */
  shortage: string | undefined;

  /**
   * @param descriptors maximum of sockets over all local addresses; undefined: what the process may open, less
   *   `reserved`.
   * @param keep a parent that keeps copies of the sockets.
   */
  constructor(io: ThreadIo, choice: PortChoice, descriptors: number | undefined, reserved = 0, keep?: SocketKeep) {
    this.#io = io;
    this.#keep = keep;
    // A client that knows of a port must find it open whenever this process dies.
    if (keep !== undefined) io.queue.beforeFlush = () => keep.flush();
    this.#choice = choice;
    this.#reserved = reserved;
    this.#descriptors = descriptors ?? descriptorsForTransfers(io.libc, reserved);
    this.#budget = { left: this.#descriptors };
  }

  stock(locals: readonly string[], transfers: number, isUrgent = true): void {
    if (transfers > Math.min(this.#choice.size, this.#descriptors)) {
      this.shortage ??= `${transfers} transfers may run at once, but there are ${this.#scarce()}`;
    }
    const each = Math.min(
      Math.ceil(transfers / locals.length),
      this.#choice.size / STOCK_DIVISOR,
      this.#descriptors / STOCK_DIVISOR / locals.length,
    );
    for (const local of locals) {
      try {
        const sockets = this.#at(local);
        sockets.spare = Math.max(sockets.spare, Math.floor(each), 1);
        if (isUrgent) sockets.refill(sockets.spare);
      } catch (cause) {
        this.#note(cause);
      }
    }
    this.#keep?.flush();
    if (!isUrgent) this.#scheduleRefill();
  }

  take({ address: local }: Address, peer: Address, windowBytes: number): TransferPort | NoPort {
    const { clock, libc, queue } = this.#io;
    let sockets: TransferSockets;
    try {
      sockets = this.#at(local);
      writeSockaddr(libc, peer, this.#sockaddr);
    } catch {
      // The interface named by the peer's scope no longer exists.
      queue.dropped(1, ENETUNREACH);
      return 'unreachable';
    }
    this.#takenAt = clock.now();
    let socket: TransferSocket | NoPort;
    try {
      socket = sockets.take(this.#sockaddr, peer, windowBytes);
    } catch (cause) {
      this.#note(cause);
      return SHORT_OF.has((cause as NodeJS.ErrnoException).code) ? 'noDescriptor' : 'usedUp';
    }
    if (typeof socket === 'string') {
      if (sockets.lastErrno !== 0) queue.dropped(1, sockets.lastErrno);
      return socket;
    }
    this.#io.discard(socket.fd);
    return this.#portOf(socket, sockets, peer);
  }

  adopt(local: Address, peer: Address): TransferPort | undefined {
    const fd = this.#keep?.takeTransfer(local);
    if (fd === undefined) return undefined;
    const sockets = this.#at(local.address);
    writeSockaddr(this.#io.libc, peer, this.#sockaddr);
    const socket = { fd, local };
    sockets.adopt(socket);
    return this.#portOf(socket, sockets, peer);
  }

  /** @param socket connected to the peer, whose sockaddr has just been written. */
  #portOf(socket: TransferSocket, sockets: TransferSockets, peer: Address): LinuxTransferPort {
    const [peerWord = 0, addressWord = 0] = this.#words;
    return new LinuxTransferPort(this.#io, socket, { peerWord, addressWord }, (closed) => {
      sockets.giveBack(closed, peer);
      this.#scheduleRefill();
    });
  }

  close(): void {
    this.#closed = true;
    this.#cancelRefill?.();
    for (const sockets of this.#byLocal.values()) sockets.close();
    this.#byLocal.clear();
  }

  #at(local: string): TransferSockets {
    const known = this.#byLocal.get(local);
    if (known !== undefined) return known;
    if (this.#byLocal.size >= MAX_LOCALS) {
      const [oldest] = this.#byLocal.values();
      oldest!.close();
      this.#byLocal.delete(oldest!.local);
    }
    const { libc, clock } = this.#io;
    const sockets = new TransferSockets(libc, local, this.#choice, this.#budget, () => clock.now(), this.#keep);
    // Even the maximum of addresses together takes no more descriptors than the stock does.
    sockets.spare = Math.floor(Math.min(SLICE, this.#descriptors / STOCK_DIVISOR / MAX_LOCALS));
    this.#byLocal.set(local, sockets);
    return sockets;
  }

  /** Returns what limits transfers: the ports of the range, or the descriptors. */
  #scarce(): string {
    if (this.#choice.size <= this.#descriptors) return `ports for ${this.#choice.size} only`;
    const { libc } = this.#io;
    const kept = reservedDescriptors(libc, this.#reserved);
    const others = kept === 0 ? '' : `, and keeps ${kept} for HTTP connections`;
    return `descriptors for ${this.#descriptors} only: the process may open ${mostDescriptors(libc)}${others}`;
  }

  #note(cause: unknown): void {
    this.shortage ??= cause instanceof Error ? cause.message : String(cause);
  }

  #scheduleRefill(): void {
    if (this.#cancelRefill !== undefined || this.#closed) return;
    const { clock } = this.#io;
    this.#cancelRefill = clock.wake(clock.now() + PAUSE_MS, () => {
      this.#cancelRefill = undefined;
      if (this.#refill()) this.#scheduleRefill();
      this.#keep?.flush();
    });
  }

  /** @returns true while more sockets are to be opened. */
  #refill(): boolean {
    if (this.#io.clock.now() - this.#takenAt < QUIET_MS) return true;
    let room = SLICE;
    let wanted = false;
    for (const sockets of this.#byLocal.values()) {
      const before = sockets.open;
      try {
        wanted = sockets.refill(room) || wanted;
      } catch (cause) {
        this.#note(cause);
        return false;
      }
      room -= sockets.open - before;
      if (room <= 0) return true;
    }
    return wanted;
  }
}

/** Returns how many descriptors the process may have. */
export function mostDescriptors(libc: Libc): number {
  const limits = new BigUint64Array(2);
  if (libc.getrlimit(RLIMIT_NOFILE, new Uint8Array(limits.buffer)) !== 0) return Number.POSITIVE_INFINITY;
  return Number(limits[0]);
}

function descriptorsForTransfers(libc: Libc, reserved: number): number {
  const most = mostDescriptors(libc);
  // With a low limit, a quarter goes to transfers: an idle server has some 35 open.
  return Math.max(most - OTHER_DESCRIPTORS - reserved, Math.floor(most / 4));
}

/** Returns how many of `reserved` descriptors there are when transfers and files have theirs. */
export function reservedDescriptors(libc: Libc, reserved: number): number {
  const most = mostDescriptors(libc);
  if (most === Number.POSITIVE_INFINITY) return reserved;
  const left = most - OTHER_DESCRIPTORS - descriptorsForTransfers(libc, reserved);
  return Math.min(reserved, Math.max(left, Math.floor(most / 4)));
}

class LinuxTransferPort extends QueuedPort implements Outlet {
  readonly fd: number;
  readonly peerWord: number;
  readonly addressWord: number;
  readonly local: Address;
  readonly sockaddrLength = 0;
  readonly outlet: Outlet = this;
  readonly ringId = -1;
  segmented = 0;
  segmentLimit = 0;
  readonly #close: (socket: TransferSocket) => void;

  constructor(
    io: ThreadIo,
    { fd, local }: TransferSocket,
    { peerWord, addressWord }: Omit<BorrowedPort, 'fd'>,
    close: (socket: TransferSocket) => void,
  ) {
    super(io, io.connected, 0);
    this.peerWord = peerWord;
    this.addressWord = addressWord;
    this.#close = close;
    this.fd = fd;
    this.local = local;
  }

  protected onReleased(): void {
    this.#close(this);
  }

  /** Clears a send error caused by a closed port at the peer: the kernel reports it to the worker as well. */
  drainErrors(): void {
    clearError(this.io.libc, this.fd);
  }
}
