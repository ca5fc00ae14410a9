/**
 * Memory that both JavaScript and the kernel work in: one anonymous mapping with typed views, never moved, never across
 * a 4 GiB boundary, so that a pointer into it is two 32-bit halves of which only the lower changes.
 */
import { type Libc, MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE, systemError } from './libc.ts';

const MAP_FAILED = 0xffffffffffffffffn;

export function isMapFailed(address: bigint): boolean {
  return BigInt.asUintN(64, address) === MAP_FAILED;
}

export class Arena {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly i32: Int32Array;
  readonly u16: Uint16Array;
  /** The halves of the address, as signed 32-bit integers. */
  readonly low: number;
  readonly high: number;
  readonly #libc: Libc;
  readonly #length: number;

  /**
   * @param length bytes, rounded up to whole pages. @param address memory that another arena of this length has.
   *   Default: new memory. @throws Error with code ENOMEM.
   */
  constructor(libc: Libc, length: number, address?: bigint) {
    this.#libc = libc;
    this.#length = Math.ceil(length / 4096) * 4096;
    this.address = address ?? mapWithin4GiB(libc, this.#length);
    const buffer = libc.view(this.address, this.#length);
    this.bytes = new Uint8Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.low = Number(this.address & 0xffffffffn) | 0;
    this.high = Number(this.address >> 32n) | 0;
  }

  /**
   * Writes a pointer to this.bytes[target] at bytes[at]; both are multiples of 4 (`at` of 8 where the kernel needs it).
   */
  point(at: number, target: number): void {
    this.pointFrom(this, at, target);
  }

  /** Writes a pointer to this.bytes[target] into another arena. */
  pointFrom(from: Arena, at: number, target: number): void {
    from.i32[at >> 2] = (this.low + target) | 0;
    from.i32[(at >> 2) + 1] = this.high;
  }

  /** Frees the memory. The views must not be touched afterwards. */
  free(): void {
    this.#libc.munmap(this.address, this.#length);
  }
}

function mapWithin4GiB(libc: Libc, length: number): bigint {
  for (;;) {
    const address = libc.mmap(null, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (isMapFailed(address)) throw systemError('mmap', libc.errno());
    if (address >> 32n === (address + BigInt(length)) >> 32n) return address;
    // The mapping stays, so that the next one lies elsewhere. It uses address space, not memory: it is never touched.
  }
}
