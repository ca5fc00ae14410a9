/** Chooses running transfers to end because others need their resources. Decides; ends nothing itself. */
import type { Clock } from '../engine/types.ts';
import { type StateCells, TRANSFER_STATE } from '../pool/state-cells.ts';
import type { Transfer } from './transfer.ts';

/**
 * While others wait, or the server is to end, an unproven transfer keeps its session no longer than this. By then the
 * server has sent the OACK three times, and its client has had three chances to answer.
 * @limit Life of a half-open transfer after its last request, while others wait for a session or the server stops.
 * Shows: `reveille_transfers_total{outcome="aborted"}`.
 */
const UNPROVEN_WHILE_SOME_WAIT_MS = 3000;
/**
 * The same where the server has sent its first reply once: after a lost ACK only the client can send again, and firmware
 * does so after up to five seconds. Also while half-open transfers have more than half of their limit.
 * @limit Life of a half-open transfer after its last request, while half-open transfers exceed half their limit; also
 * while others wait or the server stops, where the first reply was DATA 1 or `timeout` was agreed. Shows:
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
  const isPressing = someWait || isDraining;
  for (const transfer of active) {
    const { slot, startedAt, lastRequestAt, settled } = transfer;
    const state = cells.state(slot);
    if (state === TRANSFER_STATE.unproven) {
      const unprovenMs = isPressing && repeatsReply(transfer) ? UNPROVEN_WHILE_SOME_WAIT_MS : UNPROVEN_IN_A_CROWD_MS;
      // A client that waited long has had our reply only since the start.
      if (now - Math.max(startedAt, lastRequestAt) >= unprovenMs) yield transfer;
    } else if (state === TRANSFER_STATE.running && someWait && minRate > 0) {
      const seconds = (now - startedAt) / 1000;
      const bytes = cells.blocks(slot) * settled!.blksize;
      if (now - startedAt >= RATE_AFTER_MS && bytes < minRate * seconds) yield transfer;
    }
  }
}

/** Tells whether the server soon sends the first reply again: an OACK, unless its interval is the client's choice. */
function repeatsReply({ hasOack, settled }: Transfer): boolean {
  return hasOack && settled!.timeoutMs === 0;
}

/** Where memory is short, a transfer still unproven after this time gives up its memory. */
const TIME_TO_ANSWER_MS = 250;
const KNOWN_TIME_TO_ANSWER_MS = 1000;

function* slowToAnswer(
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

/** Interval of the search for unproven transfers while memory is short. */
const TAKE_MEMORY_MS = 50;

/** Finds transfers that are to give up their memory for others. */
export class MemoryHolders {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #cells: StateCells;
  readonly #isKnown: (transfer: Transfer) => boolean;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Pick<Clock, 'now'>, cells: StateCells, isKnown: (transfer: Transfer) => boolean) {
    this.#clock = clock;
    this.#cells = cells;
    this.#isKnown = isKnown;
  }

  /** Searches unless it has just done so. */
  look(active: Iterable<Transfer>): Iterable<Transfer> {
    const now = this.#clock.now();
    if (now - this.#lookedAt < TAKE_MEMORY_MS) return [];
    this.#lookedAt = now;
    return slowToAnswer(active, this.#isKnown, this.#cells, now);
  }
}
