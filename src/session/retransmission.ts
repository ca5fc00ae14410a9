/**
 * The retransmission timeout: the estimator of RFC 6298 with bounds for a machine room, as RFC 1123 §4.2.3.2 demands of
 * TFTP ("adaptive timeout"). Integers throughout, milliseconds.
 */
import { Jitter } from './jitter.ts';

/** The timeout before the first measurement. RFC 6298's 1 s is slow for a rack; PXELINUX asks again after 110 ms. */
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

  /** @param fixedMs interval agreed by the `timeout` option, which holds unchanged (RFC 2349), ms; 0: adaptive. */
  constructor(seed: number, fixedMs: number) {
    this.#jitter = new Jitter(seed);
    this.#fixedMs = fixedMs;
  }

  /** Takes a round trip of a packet that was sent only once (Karn's rule: others are ambiguous). */
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
    // Raspberry Pi firmware hangs on a duplicate, so the timeout stays clear of the latest round trip as well.
    const clear = 2 * Math.max(srtt, rttMs);
    this.#base = Math.min(RTO_CEILING_MS, Math.max(RTO_FLOOR_MS, srtt + this.#rttvar4, clear));
  }

  /** Call when something new was acknowledged: returns the timeout to the estimate. */
  progress(): void {
    this.#backedOff = this.#base;
  }

  /** Call when the timer ran out: doubles the timeout by default (RFC 6298 §5.5). */
  backOff(factor = 2): void {
    this.#backedOff = Math.min(RTO_CEILING_MS, this.#backedOff * factor);
  }

  /**
   * Returns how long to wait now, ms. Adds up to a quarter at random, so that a thousand nodes that lost a packet to
   * the same full queue do not fill it again together.
   */
  delay(): number {
    if (this.#fixedMs > 0) return this.#fixedMs;
    return this.#backedOff + this.#jitter.next((this.#backedOff >> 2) + 1);
  }

  /** The smoothed round trip, ms; undefined before the first sample. */
  get smoothedMs(): number | undefined {
    return this.#srtt8 < 0 ? undefined : this.#srtt8 >> 3;
  }
}
