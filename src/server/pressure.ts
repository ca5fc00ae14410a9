/** Chooses running transfers to end because others need their resources. Decides; ends nothing itself. */
import { type StateCells, TRANSFER_STATE } from '../pool/state-cells.ts';
import type { Transfer } from './transfer.ts';

/**
 * While others wait, or the server is to end, an unproven transfer keeps its session no longer than this.
 * @limit Life of a half-open transfer after its last request, while others wait for a session or the server stops.
 * Shows: `reveille_transfers_total{outcome="aborted"}`.
 */
const UNPROVEN_WHILE_SOME_WAIT_MS = 3000;
/**
 * The same while half-open transfers have more than half of their limit.
 * @limit Life of a half-open transfer after its last request, while half-open transfers exceed half their limit. Shows:
 * `reveille_transfers_total{outcome="aborted"}`.
 */
const UNPROVEN_IN_A_CROWD_MS = 10_000;
/**
 * A transfer's rate is not judged before this age.
 * @limit Age of a transfer from which its rate is judged. Shows: `reveille_transfers_total{outcome="aborted"}`.
 */
const RATE_AFTER_MS = 10_000;

export interface Pressure {
  /** True while requests wait for a session, a port or memory. */
  readonly someWait: boolean;
  /** True while half-open transfers have more than half of their limit. */
  readonly isCrowded: boolean;
  /** True while the server waits for running transfers to end. */
  readonly isDraining: boolean;
  /** Transfers slower than this end while others wait, bytes per second; 0 disables this. */
  readonly minRate: number;
}

export function* underPressure(
  active: Iterable<Transfer>,
  { someWait, isCrowded, isDraining, minRate }: Pressure,
  cells: StateCells,
  now: number,
): Iterable<Transfer> {
  if (!someWait && !isCrowded && !isDraining) return;
  const unprovenMs = someWait || isDraining ? UNPROVEN_WHILE_SOME_WAIT_MS : UNPROVEN_IN_A_CROWD_MS;
  for (const transfer of active) {
    const { slot, startedAt, lastRequestAt, settled } = transfer;
    const state = cells.state(slot);
    if (state === TRANSFER_STATE.unproven) {
      // A client that waited long has had our reply only since the start.
      if (now - Math.max(startedAt, lastRequestAt) >= unprovenMs) yield transfer;
    } else if (state === TRANSFER_STATE.running && someWait && minRate > 0) {
      const seconds = (now - startedAt) / 1000;
      const bytes = cells.blocks(slot) * settled!.blksize;
      if (now - startedAt >= RATE_AFTER_MS && bytes < minRate * seconds) yield transfer;
    }
  }
}

/** Where memory is short, a transfer still unproven after this time gives up its memory. */
const TIME_TO_ANSWER_MS = 250;
const KNOWN_TIME_TO_ANSWER_MS = 1000;

export function* slowToAnswer(
  active: Iterable<Transfer>,
  isKnown: (transfer: Transfer) => boolean,
  cells: StateCells,
  now: number,
): Iterable<Transfer> {
  for (const transfer of active) {
    const timeMs = isKnown(transfer) ? KNOWN_TIME_TO_ANSWER_MS : TIME_TO_ANSWER_MS;
    if (transfer.abandoned || now - transfer.startedAt < timeMs) continue;
    if (cells.state(transfer.slot) === TRANSFER_STATE.unproven) yield transfer;
  }
}
