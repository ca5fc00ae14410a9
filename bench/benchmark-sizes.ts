/** The sizes that small benchmarks have in common, so that their results belong together. Numbers alone. */

/** A block in one Ethernet frame, which is also the length of a small file. */
export const BLKSIZE = 1468;
/** 1 GiB: hundreds of thousands of blocks, so that starting over costs next to nothing. */
export const SIZE = 2 ** 30;
