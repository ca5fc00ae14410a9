/**
 * Memory that one process leaves to the next: a file without a name (memfd_create(2)), sealed against shrinking and
 * growing, so that a mapping of it never faults. Knows no content.
 */
import { fstatSync } from 'node:fs';
import { isMapFailed } from './linux/arena.ts';
import {
  F_ADD_SEALS,
  F_GET_SEALS,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  loadLibc,
  MAP_SHARED,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  PROT_READ,
  PROT_WRITE,
  systemError,
} from './linux/libc.ts';

const SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

/** A mapping, valid in all threads of this process. */
export interface RegionPlace {
  readonly address: bigint;
  readonly length: number;
}

export interface SharedRegion extends RegionPlace {
  readonly fd: number;
}

/** Returns new memory, all zero. Pages take memory once they are written. @throws Error with the system's code. */
export function createRegion(length: number): SharedRegion {
  const libc = loadLibc();
  const fd = libc.memfd_create('reveille-transfers', MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) throw systemError('memfd_create', libc.errno());
  try {
    if (libc.ftruncate(fd, length) !== 0) throw systemError('ftruncate', libc.errno());
    if (libc.fcntl(fd, F_ADD_SEALS, SEALS) !== 0) throw systemError('fcntl', libc.errno());
    return { fd, ...map(fd, length) };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/**
 * Maps memory that another process has created.
 *
 * @throws Error with the reason: it is not sealed, so that it could shrink under the mapping, or the system's code.
 */
export function mapRegion(fd: number): RegionPlace {
  const seals = loadLibc().fcntl(fd, F_GET_SEALS, 0);
  if (seals < 0 || (seals & SEALS) !== SEALS) throw new Error('expected memory sealed against shrinking');
  return map(fd, fstatSync(fd).size);
}

export function unmapRegion({ address, length }: RegionPlace): void {
  loadLibc().munmap(address, length);
}

/** Returns the memory for this thread. It must not be touched after unmapRegion. */
export function viewRegion({ address, length }: RegionPlace): ArrayBuffer {
  return loadLibc().view(address, length);
}

function map(fd: number, length: number): RegionPlace {
  const libc = loadLibc();
  const address = libc.mmap(null, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (isMapFailed(address)) throw systemError('mmap', libc.errno());
  return { address, length };
}
