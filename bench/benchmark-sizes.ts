/** Sizes shared by the small benchmarks, so that their results can be compared. Numbers alone. */

/** A block in one Ethernet frame; also the length of a small file. */
export const BLKSIZE = 1468;
/** 1 GiB: hundreds of thousands of blocks, so that starting over costs next to nothing. */
export const SIZE = 2 ** 30;
