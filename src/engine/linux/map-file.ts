/** Files in memory that the kernel sends from and JavaScript does not touch: mapped, or copied. */
import { read } from 'node:fs';
import type { FileMemory, MappingHandle } from '../../bytes/shared-bytes.ts';
import { isMapFailed } from './arena.ts';
import {
  F_DUPFD_CLOEXEC,
  type Libc,
  MADV_POPULATE_READ,
  MAP_ANONYMOUS,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_CLOEXEC,
  PROT_READ,
  PROT_WRITE,
} from './libc.ts';

const PAGE_BYTES = 4096;
/** A shorter copy has no descriptor: writing it costs little more than sendfile(2), and descriptors are scarce. */
const DESCRIPTOR_FROM_BYTES = 1024 * 1024;

/**
 * See MapFile. Pages are populated ahead of the packets, off this thread: a page fault under a system call would stop
 * every transfer of a worker for as long as the disk takes. Returns undefined on kernels before 5.14, which can't do
 * so.
 *
 * @param hasDescriptor true to keep a descriptor of the file for sendfile(2), if one is free.
 */
export async function mapFile(
  libc: Libc,
  fd: number,
  length: number,
  hasDescriptor: boolean,
): Promise<FileMemory | undefined> {
  if (!(await canPopulate(libc))) return undefined;
  const address = libc.mmap(null, length, PROT_READ, MAP_SHARED, fd, 0);
  if (isMapFailed(address)) return undefined;
  const own = hasDescriptor ? libc.fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
  return {
    handle: handleOf(address, length, own),
    fill: async (_, at, wanted) => {
      const from = at - (at % PAGE_BYTES);
      const populated = await libc.madviseAside(address + BigInt(from), at + wanted - from, MADV_POPULATE_READ);
      if (populated === 0) return wanted;
      // The call can't distinguish a truncated file from a failing disk; a read can.
      const count = await readByte(fd, at);
      if (count > 0) throw Object.assign(new Error('EIO: the system could not read a mapped file'), IO_ERROR);
      return 0;
    },
    free: () => free(libc, address, length, own),
  };
}

function handleOf(address: bigint, length: number, fd: number): MappingHandle {
  return fd < 0 ? { address, length } : { address, length, fd };
}

function free(libc: Libc, address: bigint, length: number, fd: number): void {
  libc.munmap(address, length);
  if (fd >= 0) libc.close(fd);
}

const IO_ERROR = { code: 'EIO', syscall: 'madvise' };

/** @returns 1, or 0 at the end of the file. Rejects with the system's error. */
function readByte(fd: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, new Uint8Array(1), 0, 1, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

let populates: Promise<boolean> | undefined;

/** Tests the system once, with an unused page. */
function canPopulate(libc: Libc): Promise<boolean> {
  populates ??= (async () => {
    const address = libc.mmap(null, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (isMapFailed(address)) return false;
    const populated = await libc.madviseAside(address, PAGE_BYTES, MADV_POPULATE_READ);
    libc.munmap(address, PAGE_BYTES);
    return populated === 0;
  })();
  return populates;
}

/**
 * See AllocateFile: a copy that nothing else can change. Not a SharedArrayBuffer, because that is freed only when each
 * thread that has seen it collects its garbage: an idle one does not, and a server whose files change would exceed its
 * memory limit many times over.
 *
 * @param hasDescriptor true to give a large copy a descriptor for sendfile(2), if one is free.
 */
export function allocateFile(libc: Libc, length: number, hasDescriptor: boolean): FileMemory | undefined {
  const own = hasDescriptor && length >= DESCRIPTOR_FROM_BYTES ? memoryFile(libc, length) : -1;
  const flags = MAP_NORESERVE | (own < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
  const address = libc.mmap(null, length, PROT_READ | PROT_WRITE, flags, own, 0);
  if (isMapFailed(address)) {
    if (own >= 0) libc.close(own);
    return undefined;
  }
  return {
    handle: handleOf(address, length, own),
    fill: async (fd, at, wanted, position) => {
      const count = await libc.preadAside(fd, address + BigInt(at), wanted, position);
      // The call's errno is in another thread: a read by Node.js fails with the same one.
      return count < 0 ? await readInstead(libc, fd, address + BigInt(at), position) : count;
    },
    free: () => free(libc, address, length, own),
  };
}

/** @returns the descriptor of an anonymous file; -1: there is none. */
function memoryFile(libc: Libc, length: number): number {
  const fd = libc.memfd_create('reveille', MFD_CLOEXEC);
  if (fd < 0 || libc.ftruncate(fd, length) === 0) return fd;
  libc.close(fd);
  return -1;
}

async function readInstead(libc: Libc, fd: number, into: bigint, position: number): Promise<number> {
  const count = await readByte(fd, position);
  return count === 0 ? 0 : Math.max(0, await libc.preadAside(fd, into, 1, position));
}
