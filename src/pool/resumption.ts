/** The way from the cell of a transfer whose worker has died to the plan of the sender that goes on. */
import type { TransferReport } from '../engine/report.ts';
import { blockCount } from '../protocol/block.ts';
import type { SenderPlan } from '../session/sender-plan.ts';
import type { PlacedOrder } from './transfer-table.ts';
import { type StateCells, TRANSFER_STATE, WISH_TO_END } from './state-cells.ts';

/** Returns the plan by which a transfer goes on. @param now the engines' common clock, ms. */
export function resumedPlan(plan: SenderPlan, slot: number, cells: StateCells, now: number): SenderPlan {
  // The worker may have died between the two words.
  const isProven = cells.state(slot) !== TRANSFER_STATE.unproven || cells.blocks(slot) > 0;
  return {
    ...plan,
    ...arrivedOf(plan, slot, cells),
    resumption: {
      // Until the OACK is acknowledged, there is no ACK to count.
      base: plan.oack && !isProven ? -1 : cells.blocks(slot),
      isProven,
      isWaiting: cells.isWaiting(slot),
      silentMs: Math.max(0, cells.silence(slot, now)),
      roundTripMs: cells.roundTripMs(slot),
      retransmits: cells.retransmits(slot),
      dataRetransmits: cells.dataRetransmits(slot),
    },
  };
}

/** Returns how much of the content has arrived by now. */
function arrivedOf(plan: SenderPlan, slot: number, cells: StateCells): Pick<SenderPlan, 'size' | 'arrived'> {
  if (plan.arrived === undefined) return { size: plan.size, arrived: undefined };
  const [arrived, last] = [cells.arrived(slot), cells.lastBlock(slot)];
  if (last === 0 || arrived !== last) return { size: plan.size, arrived };
  return { size: (last - 1) * plan.blksize + cells.lastBlockBytes(slot), arrived: undefined };
}

/**
 * Returns the report of a transfer that can't go on: it was over when its worker died, and its report was lost with it;
 * or its client has begun another. undefined if the transfer can go on.
 */
export function lostReport(
  order: Pick<PlacedOrder, 'slot' | 'plan' | 'openedAt'>,
  cells: StateCells,
): TransferReport | undefined {
  const { slot, plan, openedAt } = order;
  const blocks = cells.blocks(slot);
  const { size, arrived } = arrivedOf(plan, slot, cells);
  const isComplete = arrived === undefined && blocks === blockCount(size, plan.blksize);
  // A packet of a superseded transfer could reach the next one of its client, where both share a port.
  const isSuperseded = cells.wishToEnd(slot) === WISH_TO_END.supersede;
  const isSent = cells.state(slot) === TRANSFER_STATE.lastBlockSent;
  const superseded = isSuperseded ? (isSent ? 'completeUnconfirmed' : 'aborted') : undefined;
  const outcome = cells.outcome(slot) ?? (isComplete ? 'complete' : superseded);
  if (outcome === undefined) return undefined;
  return {
    outcome,
    startedAt: openedAt,
    durationMs: 0,
    blocks,
    bytes: Math.min(size, blocks * plan.blksize),
    retransmits: cells.retransmits(slot),
    stale: 0,
    timeouts: 0,
    errorCode: undefined,
    errorText: '',
    fault: undefined,
  };
}
