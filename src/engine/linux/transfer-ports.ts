/**
 * The ports that the main thread gives to transfers: sockets in stock for each local address, taken with the first reply,
 * closed after the transfer, opened again in quiet moments. Sends first replies; everything after them is a worker's.
 */
import type { SharedView } from '../../bytes/shared-bytes.ts';
import type { Address, BorrowedPort, NoPort, TransferPort, TransferPorts } from '../types.ts';
import type { PortChoice } from './port-range.ts';
import { ENETUNREACH, SO_ERROR, SOL_SOCKET, SOCKADDR_ROOM } from './libc.ts';
import type { Destination, Outlet } from './send-queue.ts';
import { writeSockaddr } from './socket-address.ts';
import type { ThreadIo } from './thread-io.ts';
import { type TransferSocket, TransferSockets } from './transfer-sockets.ts';

/** Sockets opened in one go, and the pause after it: requests must not wait for it long. */
const SLICE = 32;
const PAUSE_MS = 2;
/** No refill while transfers begin: so long after the last one. */
const QUIET_MS = 5;
/** Local addresses whose stock is kept; beyond it the oldest is closed. */
const MAX_LOCALS = 256;

export class LinuxTransferPorts implements TransferPorts {
  readonly #io: ThreadIo;
  readonly #choice: PortChoice;
  readonly #byLocal = new Map<string, TransferSockets>();
  readonly #sockaddr = new Uint8Array(SOCKADDR_ROOM);
  readonly #words = new Int32Array(this.#sockaddr.buffer);
  #takenAt = 0;
  #cancelRefill: (() => void) | undefined;
  #closed = false;
  /** What the system said when no more sockets were to be had. */
  shortage: string | undefined;

  constructor(io: ThreadIo, choice: PortChoice) {
    this.#io = io;
    this.#choice = choice;
  }

  stock(local: string, spare: number): void {
    try {
      const sockets = this.#at(local);
      sockets.spare = Math.max(sockets.spare, Math.min(spare, this.#choice.size));
      sockets.refill(spare);
    } catch (cause) {
      this.#note(cause);
    }
  }

  take(local: string, peer: Address, windowBytes: number): TransferPort | NoPort {
    const { clock, libc, queue } = this.#io;
    let sockets: TransferSockets;
    try {
      sockets = this.#at(local);
      writeSockaddr(libc, peer, this.#sockaddr);
    } catch {
      // A scope whose interface is gone.
      queue.dropped(1, ENETUNREACH);
      return 'unreachable';
    }
    this.#takenAt = clock.now();
    let socket: TransferSocket | NoPort;
    try {
      socket = sockets.take(this.#sockaddr, peer, windowBytes);
    } catch (cause) {
      this.#note(cause);
      return 'usedUp';
    }
    if (typeof socket === 'string') {
      if (sockets.lastErrno !== 0) queue.dropped(1, sockets.lastErrno);
      return socket;
    }
    this.#io.discard(socket.fd);
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
    const sockets = new TransferSockets(libc, local, this.#choice, SLICE, () => clock.now());
    this.#byLocal.set(local, sockets);
    return sockets;
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
    });
  }

  /** @returns whether there is more to open. */
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

class LinuxTransferPort implements TransferPort, Outlet, Destination {
  readonly fd: number;
  readonly peerWord: number;
  readonly addressWord: number;
  readonly local: Address;
  readonly sockaddrLength = 0;
  readonly outlet: Outlet = this;
  readonly at: number;
  readonly controlLength = 0;
  readonly ringId = -1;
  segmented = 0;
  segmentLimit = 0;
  queuedIn = -1;
  readonly #io: ThreadIo;
  readonly #onReleased: (socket: TransferSocket) => void;
  #released = false;

  constructor(
    io: ThreadIo,
    { fd, local }: TransferSocket,
    { peerWord, addressWord }: Omit<BorrowedPort, 'fd'>,
    onReleased: (socket: TransferSocket) => void,
  ) {
    this.peerWord = peerWord;
    this.addressWord = addressWord;
    this.#io = io;
    this.#onReleased = onReleased;
    this.fd = fd;
    this.local = local;
    this.at = io.connected;
  }

  control(bytes: Uint8Array, length: number): void {
    this.#io.control(this, bytes, length);
  }

  data(wireBlock: number, view: SharedView, offset: number, length: number): void {
    this.#io.data(this, wireBlock, view, offset, length);
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    if (this.#io.queue.holds(this)) this.#io.queue.flush();
    this.#onReleased(this);
  }

  /** A send failed because the peer's host said that nobody listens: the worker hears of it from the kernel as well. */
  drainErrors(): void {
    this.#io.libc.getsockopt(this.fd, SOL_SOCKET, SO_ERROR, ERROR, ERROR_LENGTH);
  }

  onUnreadable(): void {}
}

const ERROR = new Uint8Array(4);
const ERROR_LENGTH = new Uint8Array(new Int32Array([4]).buffer);
