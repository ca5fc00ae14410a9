/** Files mapped into memory, to be sent without a copy of ours. */
import type { Mapping } from '../shared-bytes.ts';
import { isMapFailed } from './arena.ts';
import { type Libc, MADV_POPULATE_READ, MAP_SHARED, PROT_READ } from './libc.ts';

/**
 * See MapFile. Pages are read in ahead of the first packet, off this thread: a page fault under a system call would
 * stop every transfer of a worker for as long as the disk takes. Kernels before 5.14 can't: undefined.
 */
export async function mapFile(libc: Libc, fd: number, length: number): Promise<Mapping | undefined> {
  const address = libc.mmap(null, length, PROT_READ, MAP_SHARED, fd, 0);
  if (isMapFailed(address)) return undefined;
  const populated = await libc.madviseAside(address, length, MADV_POPULATE_READ);
  if (populated === 0) return { handle: { address, length }, unmap: () => libc.munmap(address, length) };
  libc.munmap(address, length);
  return undefined;
}
