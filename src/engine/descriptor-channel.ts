/**
 * A socket between two processes of this machine that carries short messages together with descriptors
 * (SOCK_SEQPACKET, SCM_RIGHTS). Knows the system calls; not the messages.
 */
import { socketOption } from './bound-socket.ts';
import { Arena } from './linux/arena.ts';
import {
  AF_UNIX,
  CMSGHDR,
  EAGAIN,
  EBADF,
  EINTR,
  F_SETFD,
  F_SETFL,
  FD_CLOEXEC,
  IOVEC,
  type Libc,
  loadLibc,
  MMSGHDR,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_TRUNC,
  POLLIN,
  POLLOUT,
  SCM_RIGHTS,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SO_TYPE,
  SOCK_SEQPACKET,
  SOL_SOCKET,
  systemError,
  type Watch,
} from './linux/libc.ts';

/** Linux passes at most 253 descriptors with a message (SCM_MAX_FD). */
export const MAX_DESCRIPTORS = 253;
/** @limit Bytes of a message between the keeper and the server; a longer one is malformed. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

export interface Passed {
  readonly text: string;
  /** Descriptors that this process now owns, in the order sent. */
  readonly fds: readonly number[];
  /** True if text or descriptors were cut: this process may open no more descriptors, or the message was too long. */
  readonly isCut: boolean;
}

/** Offsets in the arena. */
const AT = { iovec: MMSGHDR.size, control: 128, data: 4096 } as const;
const CONTROL_BYTES = (CMSGHDR.size + 4 * MAX_DESCRIPTORS + 7) & ~7;

export class DescriptorChannel {
  readonly fd: number;
  readonly #libc: Libc;
  readonly #arena: Arena;
  #watch: Watch | undefined;
  #closed = false;
  /** Why the last send failed. */
  #errno = 0;
  /** True once the other end is closed and everything that it sent has been received. */
  hasEnded = false;

  /** @param fd an end of the channel; the caller no longer owns it. @throws Error for another descriptor, or when koffi is missing. */
  constructor(fd: number) {
    this.fd = fd;
    this.#libc = loadLibc();
    // The number comes from the environment. Another descriptor with this number must stay as it is.
    if (socketOption(this.#libc, fd, SOL_SOCKET, SO_TYPE) !== SOCK_SEQPACKET)
      throw new Error(`expected descriptor ${fd} to be a channel between processes`);
    this.#libc.fcntl(fd, F_SETFD, FD_CLOEXEC);
    this.#libc.fcntl(fd, F_SETFL, SOCK_NONBLOCK);
    this.#arena = new Arena(this.#libc, AT.data + MAX_MESSAGE_BYTES);
  }

  /** @returns a channel's end and the descriptor of the other one, for a child process. @throws Error with a code. */
  static pair(): readonly [DescriptorChannel, number] {
    const libc = loadLibc();
    const ends = new Int32Array(2);
    if (libc.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, new Uint8Array(ends.buffer)) !== 0) {
      throw systemError('socketpair', libc.errno());
    }
    return [new DescriptorChannel(ends[0]!), ends[1]!];
  }

  /**
   * Sends without waiting. The receiver gets copies of the descriptors.
   *
   * @param text at most MAX_MESSAGE_BYTES. @param fds at most MAX_DESCRIPTORS.
   * @returns false when the other end does not read fast enough, or is gone.
   * @throws Error with code EBADF for a descriptor that is not open.
   */
  send(text: string, fds: readonly number[] = []): boolean {
    if (this.#closed) return false;
    const { bytes, i32 } = this.#arena;
    const { written } = new TextEncoder().encodeInto(text, bytes.subarray(AT.data));
    this.#lay(written, fds.length === 0 ? 0 : (CMSGHDR.size + 4 * fds.length + 7) & ~7);
    if (fds.length > 0) {
      i32[(AT.control + CMSGHDR.length) >> 2] = CMSGHDR.size + 4 * fds.length;
      i32[(AT.control + CMSGHDR.length + 4) >> 2] = 0;
      i32[(AT.control + CMSGHDR.level) >> 2] = SOL_SOCKET;
      i32[(AT.control + CMSGHDR.type) >> 2] = SCM_RIGHTS;
      i32.set(fds, (AT.control + CMSGHDR.size) >> 2);
    }
    for (;;) {
      if (this.#libc.sendmsg(this.fd, this.#arena.address, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
      const errno = this.#libc.errno();
      if (errno === EBADF) throw systemError('sendmsg', errno);
      this.#errno = errno;
      if (errno !== EINTR) return false;
    }
  }

  /** Like send(), but waits for the other end to read. Blocks this thread meanwhile. */
  sendPatiently(text: string, fds: readonly number[], ms: number): boolean {
    const until = performance.now() + ms;
    while (!this.send(text, fds)) {
      const left = Math.ceil(until - performance.now());
      if (this.#closed || left <= 0 || !this.#poll(POLLOUT, left)) return false;
      // The other end is gone: it would be writable forever.
      if (this.#errno !== EAGAIN) return false;
    }
    return true;
  }

  /** Receives without waiting. @returns undefined when nothing has arrived; see `hasEnded`. */
  receive(): Passed | undefined {
    if (this.#closed || this.hasEnded) return undefined;
    const { bytes, i32 } = this.#arena;
    this.#lay(MAX_MESSAGE_BYTES, CONTROL_BYTES);
    let length = -1;
    for (;;) {
      length = this.#libc.recvmsg(this.fd, this.#arena.address, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
      if (length >= 0) break;
      const errno = this.#libc.errno();
      if (errno === EINTR) continue;
      if (errno !== EAGAIN) this.hasEnded = true;
      return undefined;
    }
    const fds: number[] = [];
    const controlLength = i32[MMSGHDR.controlLength >> 2]!;
    if (controlLength >= CMSGHDR.size && i32[(AT.control + CMSGHDR.type) >> 2] === SCM_RIGHTS) {
      const end = i32[(AT.control + CMSGHDR.length) >> 2]!;
      for (let at: number = CMSGHDR.size; at + 4 <= end; at += 4) fds.push(i32[(AT.control + at) >> 2]!);
    }
    // No message is empty, so this is the end.
    if (length === 0) {
      this.hasEnded = true;
      return undefined;
    }
    const isCut = (i32[MMSGHDR.flags >> 2]! & (MSG_CTRUNC | MSG_TRUNC)) !== 0;
    return { text: Buffer.from(bytes.subarray(AT.data, AT.data + length)).toString(), fds, isCut };
  }

  /** Waits for a message, and blocks this thread meanwhile. @returns false when none has arrived in time. */
  wait(ms: number): boolean {
    return this.#poll(POLLIN, ms);
  }

  #poll(events: number, ms: number): boolean {
    const wanted = new Int32Array([this.fd, events]);
    return this.#libc.poll(new Uint8Array(wanted.buffer), 1, ms) > 0;
  }

  /** Calls `onReadable` when there is something to receive. Does not keep the process alive. */
  watch(onReadable: () => void): void {
    this.#watch = this.#libc.watch(this.fd, onReadable);
    this.#watch.unref();
  }

  /** Ends the watch alone: once `hasEnded`, the descriptor would stay readable forever. */
  unwatch(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.unwatch();
    this.#libc.close(this.fd);
    this.#arena.free();
  }

  /** Writes the msghdr and its iovec. */
  #lay(dataBytes: number, controlBytes: number): void {
    const { i32 } = this.#arena;
    i32.fill(0, 0, AT.control >> 2);
    this.#arena.point(MMSGHDR.iov, AT.iovec);
    i32[MMSGHDR.iovLength >> 2] = 1;
    this.#arena.point(AT.iovec + IOVEC.base, AT.data);
    i32[(AT.iovec + IOVEC.length) >> 2] = dataBytes;
    if (controlBytes > 0) this.#arena.point(MMSGHDR.control, AT.control);
    i32[MMSGHDR.controlLength >> 2] = controlBytes;
  }
}

/** Closes a descriptor that this process does not need. */
export function closeDescriptor(fd: number): void {
  loadLibc().close(fd);
}
