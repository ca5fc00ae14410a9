/** The files that the operator offers: their known sizes and bytes, and the choice of a file for a check. */
import type { Options } from './packets.ts';
import { notTried, type Verdict } from './verdict.ts';

export interface OfferedFile {
  readonly name: string;
  /** Size in bytes; undefined when it is unknown and the file was too large to read. */
  readonly size: number | undefined;
  /** The file's content, or the beginning of it. */
  readonly bytes: Buffer;
}

/** RFC 1350 §2: the block size without negotiation, bytes. */
export const PLAIN_BLKSIZE = 512;
/** RFC 2348: limits of blksize, bytes. */
export const MIN_BLKSIZE = 8;
export const MAX_BLKSIZE = 65464;
/** Largest file that is read to its end, where there is a choice, bytes. */
const MAX_READ_BYTES = 64 * 1024 * 1024;
export const LF = 0x0a;
export const CR = 0x0d;

export function isWhole(file: OfferedFile): boolean {
  return file.size === file.bytes.length;
}

/** A file, and the options that give it the shape a check needs. */
export interface Shape {
  readonly file: OfferedFile;
  readonly options: Options;
}

function knownBytes({ size, bytes }: OfferedFile): number {
  return size ?? bytes.length;
}

/** Sorts files, smallest first, because those are read sooner. */
export function bySize(files: readonly OfferedFile[]): OfferedFile[] {
  return files.toSorted((a, b) => knownBytes(a) - knownBytes(b));
}

/**
 * Returns a file of at least `blocks` blocks: of 512 bytes, or if no file is that large, of a smaller block size.
 *
 * @param blksizes whether the server grants blksize.
 */
export function shapeOf(files: readonly OfferedFile[], blocks: number, blksizes: boolean): Shape | Verdict {
  const ordered = bySize(files);
  const plain = ordered.find((file) => knownBytes(file) >= (blocks - 1) * PLAIN_BLKSIZE);
  if (plain !== undefined) return { file: plain, options: [] };
  const largest = ordered.at(-1);
  const blksize = Math.floor((largest === undefined ? 0 : knownBytes(largest)) / Math.max(1, blocks - 1));
  if (blksizes && largest !== undefined && blksize >= MIN_BLKSIZE) {
    return { file: largest, options: [['blksize', String(blksize)]] };
  }
  return notTried(`needs a file of ${(blocks - 1) * PLAIN_BLKSIZE} bytes`);
}

/** A block size, and the number of its blocks that a file holds exactly. */
interface Division {
  readonly blksize: number;
  readonly blocks: number;
}

/** Returns 512 or else the largest block size that divides `size` into a wanted number of blocks. */
function divisionOf(size: number, blksizes: boolean, wanted: (blocks: number) => boolean): Division | undefined {
  if (size % PLAIN_BLKSIZE === 0 && wanted(size / PLAIN_BLKSIZE)) {
    return { blksize: PLAIN_BLKSIZE, blocks: size / PLAIN_BLKSIZE };
  }
  if (!blksizes) return undefined;
  for (let blksize = Math.min(size, MAX_BLKSIZE); blksize >= MIN_BLKSIZE; blksize--) {
    if (size % blksize === 0 && wanted(size / blksize)) return { blksize, blocks: size / blksize };
  }
  return undefined;
}

/**
 * Returns a file that a block size divides exactly, so that its last block is empty (RFC 1350 §6).
 *
 * @param wanted tells whether a number of full blocks is acceptable.
 */
export function evenShape(
  files: readonly OfferedFile[],
  blksizes: boolean,
  wanted: (blocks: number) => boolean,
): (Shape & { readonly blocks: number }) | undefined {
  for (const file of bySize(files)) {
    if (file.size === undefined || file.size === 0 || file.size > MAX_READ_BYTES || !isWhole(file)) continue;
    const division = divisionOf(file.size, blksizes, wanted);
    if (division === undefined) continue;
    const { blksize, blocks } = division;
    return { file, blocks, options: blksize === PLAIN_BLKSIZE ? [] : [['blksize', String(blksize)]] };
  }
  return undefined;
}

/** Encodes netascii (RFC 764 by way of RFC 1350 §1): LF travels as CR LF, CR as CR NUL. */
export function toNetascii(bytes: Buffer): Buffer {
  let pairs = 0;
  for (const byte of bytes) if (byte === LF || byte === CR) pairs++;
  const out = Buffer.alloc(bytes.length + pairs);
  let at = 0;
  for (const byte of bytes) {
    out[at++] = byte === LF ? CR : byte;
    if (byte === LF) out[at++] = LF;
    // The buffer is zeroed, so the NUL is there already.
    else if (byte === CR) at++;
  }
  return out;
}
