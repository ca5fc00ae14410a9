/**
 * The system calls and struct layouts of Linux, by koffi: everything that is unsafe to get wrong is in this folder, and
 * the numbers are in this file. Layouts are those of 64-bit little-endian glibc (x86-64, arm64).
 *
 * koffi is an optional dependency: load() throws if it, the library or the machine is not as expected.
 */
import { createRequire } from 'node:module';
import { endianness } from 'node:os';

import type { KoffiFunc } from 'koffi';

import type { Estate } from '../estate.ts';

type Pointer = bigint | null;

export interface Libc {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly bind: (fd: number, address: Uint8Array, length: number) => number;
  readonly connect: (fd: number, address: Uint8Array, length: number) => number;
  readonly getsockname: (fd: number, address: Uint8Array, length: Uint8Array) => number;
  readonly socketpair: (domain: number, type: number, protocol: number, into: Uint8Array) => number;
  readonly sendmsg: (fd: number, message: bigint, flags: number) => number;
  readonly recvmsg: (fd: number, message: bigint, flags: number) => number;
  readonly setsockopt: (fd: number, level: number, name: number, value: Uint8Array, length: number) => number;
  readonly getsockopt: (fd: number, level: number, name: number, value: Uint8Array, length: Uint8Array) => number;
  readonly getrlimit: (resource: number, into: Uint8Array) => number;
  readonly close: (fd: number) => number;
  readonly listen: (fd: number, backlog: number) => number;
  readonly fcntl: (fd: number, command: number, value: number) => number;
  readonly memfd_create: (name: string, flags: number) => number;
  readonly ftruncate: (fd: number, length: number) => number;
  readonly sendfile: (to: number, from: number, offset: Uint8Array, count: number) => number;
  /** Reads memory of a process, this one too: fails with EFAULT where a load would raise SIGBUS. */
  readonly process_vm_readv: (
    pid: number,
    local: Uint8Array,
    locals: number,
    remote: Uint8Array,
    remotes: number,
    flags: number,
  ) => number;
  readonly eventfd: (initial: number, flags: number) => number;
  readonly read: (fd: number, into: Uint8Array, length: number) => number;
  readonly write: (fd: number, from: Uint8Array, length: number) => number;
  readonly recvmmsg: (fd: number, messages: bigint, count: number, flags: number, timeout: null) => number;
  readonly sendmmsg: (fd: number, messages: bigint, count: number, flags: number) => number;
  readonly sendto: (
    fd: number,
    from: Uint8Array,
    length: number,
    flags: number,
    address: Uint8Array,
    addressLength: number,
  ) => number;
  /** Makes io_uring's calls, which glibc does not wrap. Addresses are numbers: those of a process are below 2^47. */
  readonly syscall: (number: number, a: number, b: number, c: number, d: number, e: number, f: number) => number;
  readonly poll: (fds: Uint8Array, count: number, timeoutMs: number) => number;
  readonly epoll_create1: (flags: number) => number;
  readonly epoll_ctl: (epoll: number, operation: number, fd: number, event: Uint8Array) => number;
  readonly epoll_wait: (epoll: number, events: Uint8Array, most: number, timeoutMs: number) => number;
  /** Takes its timeout as a struct timespec. undefined before glibc 2.35; fails before Linux 5.11. */
  readonly epoll_pwait2: EpollPwait2 | undefined;
  readonly mmap: (address: Pointer, length: number, prot: number, flags: number, fd: number, offset: number) => bigint;
  readonly munmap: (address: bigint, length: number) => number;
  /** Runs on a thread of its own. Resolves with madvise's result. */
  readonly madviseAside: (address: bigint, length: number, advice: number) => Promise<number>;
  /** Runs on a thread of its own. Resolves with pread's result. */
  readonly preadAside: (fd: number, into: bigint, length: number, offset: number) => Promise<number>;
  readonly inet_pton: (family: number, text: string, into: Uint8Array) => number;
  readonly inet_ntop: (family: number, from: Uint8Array, into: Uint8Array, size: number) => bigint | null;
  readonly if_nametoindex: (name: string) => number;
  readonly if_indextoname: (index: number, into: Uint8Array) => bigint | null;
  /** Returns errno of the last failed call. */
  readonly errno: () => number;
  readonly address: (bytes: Uint8Array) => bigint;
  readonly view: (address: bigint, length: number) => ArrayBuffer;
  readonly watch: (fd: number, onReadable: () => void) => Watch;
  /** The list of what this thread holds; undefined: nobody settles it. */
  readonly estate?: Estate;
}

type EpollPwait2 = (
  epoll: number,
  events: Uint8Array,
  most: number,
  timeout: Uint8Array,
  signals: null,
  signalsSize: number,
) => number;

/** Members that are not library functions, or not in every version. */
type Others = 'epoll_pwait2' | 'madviseAside' | 'preadAside' | 'errno' | 'address' | 'view' | 'watch';

/** A descriptor watched by Node.js's event loop. It must be closed before its thread ends, or the process dies. */
export interface Watch {
  close(): void;
  ref(): void;
  unref(): void;
}

const SIGNATURES = {
  socket: 'int socket(int, int, int)',
  bind: 'int bind(int, void *, int)',
  connect: 'int connect(int, void *, int)',
  getsockname: 'int getsockname(int, void *, void *)',
  socketpair: 'int socketpair(int, int, int, void *)',
  sendmsg: 'int64_t sendmsg(int, void *, int)',
  recvmsg: 'int64_t recvmsg(int, void *, int)',
  setsockopt: 'int setsockopt(int, int, int, void *, int)',
  getsockopt: 'int getsockopt(int, int, int, void *, void *)',
  getrlimit: 'int getrlimit(int, void *)',
  close: 'int close(int)',
  listen: 'int listen(int, int)',
  fcntl: 'int fcntl(int, int, int)',
  memfd_create: 'int memfd_create(const char *, unsigned int)',
  ftruncate: 'int ftruncate(int, int64_t)',
  sendfile: 'int64_t sendfile(int, int, void *, size_t)',
  process_vm_readv: 'int64_t process_vm_readv(int, void *, size_t, void *, size_t, size_t)',
  eventfd: 'int eventfd(unsigned int, int)',
  read: 'int64_t read(int, void *, size_t)',
  write: 'int64_t write(int, void *, size_t)',
  recvmmsg: 'int recvmmsg(int, void *, unsigned int, int, void *)',
  sendmmsg: 'int sendmmsg(int, void *, unsigned int, int)',
  sendto: 'int64_t sendto(int, void *, size_t, int, void *, unsigned int)',
  syscall: 'int64_t syscall(int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t)',
  poll: 'int poll(void *, unsigned long, int)',
  epoll_create1: 'int epoll_create1(int)',
  epoll_ctl: 'int epoll_ctl(int, int, int, void *)',
  epoll_wait: 'int epoll_wait(int, void *, int, int)',
  mmap: 'void *mmap(void *, size_t, int, int, int, int64_t)',
  munmap: 'int munmap(void *, size_t)',
  inet_pton: 'int inet_pton(int, const char *, void *)',
  inet_ntop: 'void *inet_ntop(int, void *, void *, unsigned int)',
  if_nametoindex: 'unsigned int if_nametoindex(const char *)',
  if_indextoname: 'void *if_indextoname(unsigned int, void *)',
} as const;

/**
 * The newest Node.js that the engine is known to work on. koffi's watch relies on Node.js's libuv, whose layout may
 * change from one major version to the next.
 */
export const NEWEST_NODE = 26;

let loaded: Libc | undefined;

/** @throws Error with the reason why this machine can't provide it. */
export function loadLibc(): Libc {
  loaded ??= load();
  return loaded;
}

function load(): Libc {
  if (process.platform !== 'linux') throw new Error(`it needs Linux, got ${process.platform}`);
  if (process.arch !== 'x64' && process.arch !== 'arm64')
    throw new Error(`it does not support the architecture ${process.arch}`);
  const { node } = process.versions;
  if (Number.parseInt(node, 10) > NEWEST_NODE) throw new Error(`it supports Node.js up to ${NEWEST_NODE}, got ${node}`);
  if (endianness() !== 'LE') throw new Error('it supports only little-endian machines');
  const require = createRequire(import.meta.url);
  const koffi = require('koffi') as typeof import('koffi');
  const library = koffi.load('libc.so.6');
  const madvise = library.func('int madvise(void *, size_t, int)');
  const pread = library.func('int64_t pread(int, void *, size_t, int64_t)');
  let pwait2: EpollPwait2 | undefined;
  try {
    pwait2 = library.func('int epoll_pwait2(int, void *, int, void *, void *, size_t)');
  } catch {
    // Absent from an older glibc.
  }
  const calls = Object.fromEntries(
    Object.entries(SIGNATURES).map(([name, signature]) => [name, library.func(signature)]),
  );
  return {
    ...(calls as unknown as Omit<Libc, Others>),
    epoll_pwait2: pwait2,
    madviseAside: (address, length, advice) => aside(madvise, address, length, advice),
    preadAside: (fd, into, length, offset) => aside(pread, fd, into, length, offset),
    errno: () => koffi.errno(),
    address: (bytes) => koffi.address(bytes),
    view: (address, length) => koffi.view(address, length),
    watch: (fd, onReadable) => koffi.node.poll(fd, { readable: true }, onReadable),
  };
}

/**
 * Returns the same calls, with every descriptor and mapping that they open noted until it is closed. io_uring's is noted
 * by its owner.
 */
export function withEstate(libc: Libc, estate: Estate): Libc {
  const noted = (fd: number): number => {
    if (fd >= 0) estate.addFd(fd);
    return fd;
  };
  return {
    ...libc,
    socket: (domain, type, protocol) => noted(libc.socket(domain, type, protocol)),
    epoll_create1: (flags) => noted(libc.epoll_create1(flags)),
    eventfd: (initial, flags) => noted(libc.eventfd(initial, flags)),
    close: (fd) => {
      estate.removeFd(fd);
      return libc.close(fd);
    },
    mmap: (hint, length, prot, flags, fd, offset) => {
      const address = libc.mmap(hint, length, prot, flags, fd, offset);
      // A failed call returns -1.
      if (BigInt.asIntN(64, address) > 0n) estate.addMapping(Number(address), length);
      return address;
    },
    munmap: (address, length) => {
      estate.removeMapping(Number(address));
      return libc.munmap(address, length);
    },
    estate,
  };
}

/** Runs a call on a thread of its own. */
function aside(call: KoffiFunc<(...args: unknown[]) => number>, ...args: readonly unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    call.async(...args, (error: Error | null, result: number) => {
      if (error === null) resolve(result);
      else reject(error);
    });
  });
}

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_SEQPACKET = 5;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;

export const EFD_NONBLOCK = 0o4000;
export const EFD_CLOEXEC = 0o2000000;

export const RLIMIT_NOFILE = 7;

export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_TYPE = 3;
export const SO_ERROR = 4;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_ACCEPTCONN = 30;
export const SO_SNDBUFFORCE = 32;
export const SO_REUSEPORT = 15;
export const SO_RCVBUFFORCE = 33;
export const SO_TIMESTAMPNS = 35;
export const SO_ATTACH_REUSEPORT_CBPF = 51;
export const SO_MEMINFO = 55;
/** The word of SO_MEMINFO that counts datagrams dropped for lack of buffer. */
export const MEMINFO_DROPS = 8;

export const SOL_IP = 0;
export const IP_PKTINFO = 8;
export const IP_MTU_DISCOVER = 10;
export const IP_RECVERR = 11;
export const IP_MTU = 14;
export const IP_FREEBIND = 15;
export const SOL_IPV6 = 41;
export const IPV6_MTU_DISCOVER = 23;
export const IPV6_MTU = 24;
export const IPV6_RECVERR = 25;
export const IPV6_V6ONLY = 26;
export const IPV6_RECVPKTINFO = 49;
export const IPV6_PKTINFO = 50;
/**
 * Leaves DF ("don't fragment") unset: IP fragments blocks larger than the path's MTU, because the operator chose that
 * size.
 */
export const PMTUDISC_DONT = 0;
export const IPV6_FREEBIND = 78;
export const SOL_TCP = 6;
export const TCP_NOTSENT_LOWAT = 25;
export const SCM_RIGHTS = 1;
export const F_SETFD = 2;
export const FD_CLOEXEC = 1;
export const F_SETFL = 4;
export const F_DUPFD_CLOEXEC = 1030;
export const F_ADD_SEALS = 1033;
export const F_GET_SEALS = 1034;
export const F_SEAL_SEAL = 1;
export const F_SEAL_SHRINK = 2;
export const F_SEAL_GROW = 4;
export const MFD_CLOEXEC = 1;
export const MFD_ALLOW_SEALING = 2;
export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;

export const MSG_CTRUNC = 0x8;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_CMSG_CLOEXEC = 0x40000000;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_ERRQUEUE = 0x2000;

export const EPOLL_CLOEXEC = 0o2000000;
export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;
export const EPOLLIN = 1;
export const POLLIN = 1;
export const EPOLLERR = 8;
export const EPOLLET = 1 << 31;
export const POLLOUT = 4;

export const EINTR = 4;
export const EIO = 5;
export const EBADF = 9;
export const EAGAIN = 11;
export const EFAULT = 14;
export const EINVAL = 22;
export const EMFILE = 24;
export const EMSGSIZE = 90;
export const EADDRINUSE = 98;
export const ENETUNREACH = 101;
export const ECONNREFUSED = 111;

export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const MAP_NORESERVE = 0x4000;
export const MAP_ANONYMOUS = 0x20;
/** Available since Linux 5.14. */
export const MADV_POPULATE_READ = 22;

/** struct mmsghdr: a msghdr of 56 bytes, then the length received or sent. Offsets in bytes. */
export const MMSGHDR = {
  size: 64,
  name: 0,
  nameLength: 8,
  iov: 16,
  iovLength: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  length: 56,
} as const;
/** struct iovec: base, then length. */
export const IOVEC = { size: 16, base: 0, length: 8 } as const;
/** struct cmsghdr: 64-bit length, level, type; the data follows, padded to 8 bytes. */
export const CMSGHDR = { size: 16, length: 0, level: 8, type: 12 } as const;
/** Room for a sockaddr_in (16 bytes) or sockaddr_in6 (28 bytes). */
export const SOCKADDR_ROOM = 32;
export const SOCKADDR_IN = { size: 16, family: 0, port: 2, address: 4 } as const;
export const SOCKADDR_IN6 = { size: 28, family: 0, port: 2, address: 8, scope: 24 } as const;
/** struct epoll_event is packed on x86-64 alone. Offsets in bytes. */
export const EPOLL_EVENT = process.arch === 'x64' ? { size: 12, events: 0, data: 4 } : { size: 16, events: 0, data: 8 };

/** Returns a failed call's error, with the code that Node.js would give it. */
export function systemError(call: string, errno: number): NodeJS.ErrnoException {
  const code = ERRNO_NAMES.get(errno) ?? `errno ${errno}`;
  return Object.assign(new Error(`${call}: ${code}`), { code, errno, syscall: call });
}

const ERRNO_NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'EPERM'],
  [9, 'EBADF'],
  [12, 'ENOMEM'],
  [13, 'EACCES'],
  [22, 'EINVAL'],
  [23, 'ENFILE'],
  [24, 'EMFILE'],
  [97, 'EAFNOSUPPORT'],
  [98, 'EADDRINUSE'],
  [99, 'EADDRNOTAVAIL'],
  [105, 'ENOBUFS'],
]);
