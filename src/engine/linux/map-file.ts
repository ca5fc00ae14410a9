/** Files in memory that the kernel sends from and JavaScript does not touch: mapped, or copied. */
import type { Mapping } from '../../bytes/shared-bytes.ts';
import { isMapFailed } from './arena.ts';
import {
  type Libc,
  MADV_POPULATE_READ,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from './libc.ts';

/** Bytes per read: the threads for such calls are few, and none should be kept for long. */
const CHUNK_BYTES = 4 * 1024 ** 2;

/**
 * See MapFile. Pages are read in ahead of the first packet, off this thread: a page fault under a system call would
 * stop every transfer of a worker for as long as the disk takes. Kernels before 5.14 can't: undefined.
 */
export async function mapFile(libc: Libc, fd: number, length: number): Promise<Mapping | undefined> {
  const address = libc.mmap(null, length, PROT_READ, MAP_SHARED, fd, 0);
  if (isMapFailed(address)) return undefined;
  const populated = await libc.madviseAside(address, length, MADV_POPULATE_READ);
  if (populated === 0) return mapping(libc, address, length);
  libc.munmap(address, length);
  return undefined;
}

/**
 * See MapFile: a copy that nobody else can change. Not a SharedArrayBuffer, because that is given back when each
 * thread that has seen it collects its garbage: an idle one does not, and a server whose files change would hold many
 * times its memory limit. Undefined where there is no memory, or the file is shorter.
 */
export async function copyFile(libc: Libc, fd: number, length: number): Promise<Mapping | undefined> {
  const address = libc.mmap(null, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (isMapFailed(address)) return undefined;
  for (let at = 0; at < length; ) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other, as the disk has them.
    const count = await libc.preadAside(fd, address + BigInt(at), Math.min(CHUNK_BYTES, length - at), at);
    if (count > 0) {
      at += count;
      continue;
    }
    libc.munmap(address, length);
    return undefined;
  }
  return mapping(libc, address, length);
}

function mapping(libc: Libc, address: bigint, length: number): Mapping {
  return { handle: { address, length }, unmap: () => libc.munmap(address, length) };
}
