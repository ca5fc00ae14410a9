/**
 * The retransmission timeout: the estimator of RFC 6298 with bounds for a machine room, as RFC 1123 §4.2.3.2 demands of
 * TFTP ("adaptive timeout"). Integers throughout, milliseconds.
 */
import { Jitter } from './jitter.ts';

/** The timeout before the first measurement. RFC 6298's 1 s is slow for a rack; PXELINUX asks again after 110 ms. */
export const RTO_START_MS = 400;
export const RTO_FLOOR_MS = 50;
export const RTO_CEILING_MS = 4000;
/** Time within which an answer arrives that is on its way, where no longer round trip is known. */
const ANSWER_MS = 25;

export class Retransmission {
  readonly #jitter: Jitter;
  readonly #fixedMs: number;
  /** SRTT × 8 and RTTVAR × 4 (RFC 6298 §2 with the usual shifts), or -1 before the first sample. */
  #srtt8 = -1;
  #rttvar4 = 0;
  #base = RTO_START_MS;
  #backedOff = RTO_START_MS;
  /** The block whose round trip is being measured, 0 for none. */
  #timedBlock = 0;
  #timedAt = 0;
  /** A round trip measured across a timeout, 0 for none: it counts if the resend turns out to have been needless. */
  #doubtfulMs = 0;
  /** True if anything was sent again since the last advancing ACK. */
  isResent = false;

  /** @param fixedMs interval agreed by the `timeout` option, which holds unchanged (RFC 2349), ms; 0: adaptive. */
  constructor(seed: number, fixedMs: number) {
    this.#jitter = new Jitter(seed);
    this.#fixedMs = fixedMs;
  }

  /** Starts to measure the round trip of a block that was just sent, unless its ACK could be for an earlier copy. */
  time(block: number, now: number): void {
    if (this.isResent) return;
    this.#timedBlock = block;
    this.#timedAt = now;
  }

  /** Takes an ACK that advances to `block`. @returns the round trip that it shows, ms; -1: none. */
  measure(block: number, now: number): number {
    const timed = this.#timedBlock;
    this.#timedBlock = this.#doubtfulMs = 0;
    if (timed === 0 || block < timed) return -1;
    const roundTripMs = now - this.#timedAt;
    if (this.isResent) this.#doubtfulMs = roundTripMs;
    else this.sample(roundTripMs);
    return this.isResent ? -1 : roundTripMs;
  }

  /**
   * Takes a repeat of the last ACK. After a timeout it means that both copies arrived, so the timer was too short and
   * the first ACK was for the first copy. Without this a peer that has become slow would never be measured again
   * (Karn's rule), and would get every block twice. @returns like measure().
   */
  measureRepeated(): number {
    const roundTripMs = this.#doubtfulMs;
    this.#doubtfulMs = 0;
    if (roundTripMs === 0) return -1;
    this.sample(roundTripMs);
    return roundTripMs;
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

  /** Returns how long to wait for an answer that is on its way, ms. */
  get answerMs(): number {
    return Math.max(ANSWER_MS, 2 * (this.smoothedMs ?? 0));
  }

  /** The smoothed round trip, ms; undefined before the first sample. */
  get smoothedMs(): number | undefined {
    return this.#srtt8 < 0 ? undefined : this.#srtt8 >> 3;
  }
}
