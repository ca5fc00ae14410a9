/** When a receiver resends while nothing arrives, and when it gives up: adaptively, or by the schedule of firmware. */
import { type Manners, type Schedule, waitAfter } from './manners.ts';
import { Retransmission } from './retransmission.ts';

/** A deadline that is not reached. */
export const NEVER = Number.MAX_SAFE_INTEGER;

export interface Waiting {
  /** When to call `expire`, ms. */
  readonly deadline: number;
  /** Call when the request has been sent for the first time. */
  start(now: number): void;
  /** Call on progress. @param rttMs ms since the packet it answers, if that was sent only once. */
  progress(now: number, rttMs: number | undefined): void;
  /** Call when a deadline has passed, possibly another one than this. */
  expire(now: number): 'resend' | 'wait' | 'give up';
}

/** Adapts to the round trip (RFC 1123 §4.2.3.2) and gives up after patienceMs without progress. */
export class AdaptiveWaiting implements Waiting {
  readonly #retransmission: Retransmission;
  readonly #patienceMs: number;
  #resendAt = NEVER;
  #giveUpAt = NEVER;

  constructor(seed: number, patienceMs: number) {
    this.#retransmission = new Retransmission(seed, 0);
    this.#patienceMs = patienceMs;
  }

  get deadline(): number {
    return Math.min(this.#resendAt, this.#giveUpAt);
  }

  start(now: number): void {
    this.#resendAt = now + this.#retransmission.delay();
    this.#giveUpAt = now + this.#patienceMs;
  }

  progress(now: number, rttMs: number | undefined): void {
    if (rttMs !== undefined) this.#retransmission.sample(rttMs);
    this.#retransmission.progress();
    this.start(now);
  }

  expire(now: number): 'resend' | 'wait' | 'give up' {
    if (now >= this.#giveUpAt) return 'give up';
    if (now < this.#resendAt) return 'wait';
    this.#retransmission.backOff();
    this.#resendAt = now + this.#retransmission.delay();
    return 'resend';
  }
}

/** Follows a fixed schedule, as firmware does. */
export class ScheduledWaiting implements Waiting {
  readonly #manners: Manners;
  #schedule: Schedule;
  #sends = 1;
  #at = NEVER;
  #fileEnd = NEVER;

  constructor(manners: Manners) {
    this.#manners = manners;
    this.#schedule = manners.request;
  }

  get deadline(): number {
    return Math.min(this.#at, this.#fileEnd);
  }

  start(now: number): void {
    this.#at = now + waitAfter(this.#schedule, 1);
    if (this.#manners.fileMs !== undefined) this.#fileEnd = now + this.#manners.fileMs;
  }

  progress(now: number): void {
    this.#schedule = this.#manners.data;
    this.#sends = 1;
    this.#at = now + waitAfter(this.#schedule, 1);
  }

  expire(now: number): 'resend' | 'wait' | 'give up' {
    if (now >= this.#fileEnd) return 'give up';
    if (now < this.#at) return 'wait';
    if (this.#sends >= this.#schedule.sends) return 'give up';
    this.#sends++;
    this.#at = now + waitAfter(this.#schedule, this.#sends);
    return this.#schedule === this.#manners.request || this.#manners.repeatsAck ? 'resend' : 'wait';
  }
}
