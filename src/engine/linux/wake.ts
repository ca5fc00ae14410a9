/** An eventfd by which one thread of the process wakes another from its epoll. Does not know the reason for a wake. */
import { EFD_CLOEXEC, EFD_NONBLOCK, type Libc, systemError } from './libc.ts';
import type { Readable } from './poller.ts';
import type { ThreadIo } from './thread-io.ts';

/** The receiving end: it reads the descriptor and calls `onWake`. */
export class Wake implements Readable {
  readonly fd: number;
  readonly #io: ThreadIo;
  readonly #onWake: () => void;
  readonly #count = new Uint8Array(8);
  #closed = false;

  /** @throws Error with the system's code. */
  constructor(io: ThreadIo, onWake: () => void) {
    this.#io = io;
    this.#onWake = onWake;
    this.fd = io.libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (this.fd < 0) throw systemError('eventfd', io.libc.errno());
    io.poller.add(this);
  }

  onReadable(): void {
    this.#io.libc.read(this.fd, this.#count, 8);
    this.#onWake();
  }

  drainErrors(): void {}

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#io.poller.remove(this);
    this.#io.libc.close(this.fd);
  }
}

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/** Wakes the thread whose Wake has this descriptor. Callable from any thread of the process. */
export function ring(libc: Libc, fd: number): void {
  libc.write(fd, ONE, 8);
}
