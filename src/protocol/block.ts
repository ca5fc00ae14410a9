/**
 * Block arithmetic: transfers count blocks without wrapping, the wire has 16 bits. All wrapping is in this file.
 *
 * RFC 1350 does not say what follows block 65535. Nearly every peer continues with 0; a few continue with 1, which
 * clients can ask for with tftp-hpa's `rollover` option.
 */

/** The block number after 65535: 0 or 1. */
export type Rollover = 0 | 1;

/** Returns the number that block `block` (counted from 0 without wrapping) carries on the wire. */
export function toWire(block: number, rollover: Rollover): number {
  if (block <= 0xffff) return block;
  return rollover === 0 ? block % 0x10000 : ((block - 1) % 0xffff) + 1;
}

/**
 * Returns the unwrapped block number nearest to `near` that carries `wire` on the wire. It may lie on either side of
 * `near`, and is negative for numbers from before the first block. Windows of at most 32767 blocks are never ambiguous.
 */
export function fromWire(wire: number, near: number, rollover: Rollover): number {
  if (rollover === 0) {
    // The shifts read the difference as a signed 16-bit number.
    return near + (((wire - (near % 0x10000)) << 16) >> 16);
  }
  // With rollover 1 the numbers 1..65535 repeat; 0 is only ever the block before the first.
  if (wire === 0) return 0;
  let distance = wire - toWire(near, 1);
  if (distance > 0x7fff) distance -= 0xffff;
  else if (distance < -0x7fff) distance += 0xffff;
  return near + distance;
}

/**
 * Returns how many DATA packets a file takes. The last one is always shorter than blksize, possibly empty (RFC 1350
 * §6).
 */
export function blockCount(size: number, blksize: number): number {
  return Math.floor(size / blksize) + 1;
}
