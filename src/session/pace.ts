/**
 * How much of a window is sent at once. The window itself can't shrink: a receiver acknowledges only at its end (RFC
 * 7440 §4), so a sender that stops short waits for nothing. Only the burst adapts to loss: a window is sent in bursts
 * one millisecond apart, halved by loss, grown by windows that arrive whole.
 */

/** The gap between two bursts of a window, ms. */
export const BURST_GAP_MS = 1;
/** A transfer's first burst is at most this long: a default socket buffer holds two or three such bursts. */
const FIRST_BURST_BYTES = 64 * 1024;
/**
 * Loss does not reduce the burst below this: 16 KiB per millisecond is what one gigabit link carries for eight nodes.
 */
const MIN_BURST_BYTES = 16 * 1024;

export class Pace {
  readonly #window: number;
  readonly #least: number;
  #burst: number;

  constructor(windowsize: number, blksize: number) {
    this.#window = windowsize;
    this.#least = Math.min(windowsize, Math.max(1, Math.floor(MIN_BURST_BYTES / blksize)));
    this.#burst = Math.min(windowsize, Math.max(1, Math.floor(FIRST_BURST_BYTES / blksize)));
  }

  /** Blocks that may be sent at once, 1..windowsize. */
  get burst(): number {
    return this.#burst;
  }

  /** Call when a whole window was acknowledged without a resend. */
  grow(): void {
    if (this.#burst < this.#window) this.#burst = Math.min(this.#window, this.#burst + 1 + (this.#window >> 3));
  }

  /** Call when something was lost. */
  shrink(): void {
    this.#burst = Math.max(this.#least, this.#burst >> 1);
  }
}
