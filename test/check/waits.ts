/** Wait times for servers on the same machine that resend within half a second. */
import type { Waits } from '../../src/check/exchange.ts';

export const QUICK_WAITS: Waits = {
  replyMs: 500,
  replySends: 3,
  quietMs: 300,
  resendMs: 3000,
  closedMs: 1200,
  stallMs: 1000,
  capMs: 4500,
  capQuietMs: 1500,
  stepMs: 2,
  checkMs: 60_000,
};
