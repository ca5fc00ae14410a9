/**
 * When to send again: the estimator of RFC 6298 with bounds for a machine room, as RFC 1123 §4.2.3.2 demands of
 * TFTP ("adaptive timeout"). Integers throughout, milliseconds.
 */
import { Jitter } from './jitter.ts';

/** Before anything was measured. RFC 6298's 1 s is slow for a rack; PXELINUX asks again after 110 ms. */
export const RTO_START_MS = 400;
export const RTO_FLOOR_MS = 50;
export const RTO_CEILING_MS = 4000;

export class Retransmission {
  readonly #jitter: Jitter;
  readonly #fixedMs: number;
  /** SRTT × 8 and RTTVAR × 4 (RFC 6298 §2 with the usual shifts), or -1 before the first sample. */
  #srtt8 = -1;
  #rttvar4 = 0;
  #base = RTO_START_MS;
  #backedOff = RTO_START_MS;

  /** @param fixedMs an interval agreed by the `timeout` option, which then holds unchanged (RFC 2349); 0: adapt. */
  constructor(seed: number, fixedMs: number) {
    this.#jitter = new Jitter(seed);
    this.#fixedMs = fixedMs;
  }

  /** A round trip of a packet that was sent once only (Karn's rule: others can't be told apart). */
  sample(rttMs: number): void {
    if (this.#srtt8 < 0) {
      this.#srtt8 = rttMs << 3;
      this.#rttvar4 = rttMs << 1;
    } else {
      const error = rttMs - (this.#srtt8 >> 3);
      this.#srtt8 += error;
      this.#rttvar4 += Math.abs(error) - (this.#rttvar4 >> 2);
    }
    const srtt = this.#srtt8 >> 3;
    // Raspberry Pi firmware hangs on a duplicate, so the timer stays clear of the round trip last seen as well.
    const clear = 2 * Math.max(srtt, rttMs);
    this.#base = Math.min(RTO_CEILING_MS, Math.max(RTO_FLOOR_MS, srtt + this.#rttvar4, clear));
  }

  /** Something new was acknowledged: back to the estimate. */
  progress(): void {
    this.#backedOff = this.#base;
  }

  /** The timer ran out: wait twice as long from now on (RFC 6298 §5.5). */
  backOff(factor = 2): void {
    this.#backedOff = Math.min(RTO_CEILING_MS, this.#backedOff * factor);
  }

  /**
   * How long to wait now. Up to a quarter longer than computed, so that a thousand nodes that lost a packet to the
   * same full queue do not fill it again together.
   */
  delay(): number {
    if (this.#fixedMs > 0) return this.#fixedMs;
    return this.#backedOff + this.#jitter.next((this.#backedOff >> 2) + 1);
  }

  /** The smoothed round trip in milliseconds, or undefined before the first sample. */
  get smoothedMs(): number | undefined {
    return this.#srtt8 < 0 ? undefined : this.#srtt8 >> 3;
  }
}
