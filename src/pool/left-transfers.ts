/**
 * The transfers that a process has left in its region when it ended: what its table, its cells and its recovery records say.
 * Reads only; trusts no number in the region.
 */
import { blockCount } from '../protocol/block.ts';
import { MAX_BLKSIZE, MIN_BLKSIZE } from '../protocol/negotiate.ts';
import { RecoveryRecords, recoveriesMistake, type RecoveryRecord } from './recovery-records.ts';
import { lostReport } from './resumption.ts';
import { TRANSFER_STATE, type TransferState } from './state-cells.ts';
import { HEADER, tableMistake } from './table-region.ts';
import { type PlacedOrder, TransferTable } from './transfer-table.ts';

export interface LeftTransfer {
  readonly order: PlacedOrder;
  /** undefined: the process could not write it, or the transfer's numbers make no sense. */
  readonly recovery: RecoveryRecord | undefined;
  /** The bytes of the content, where it can't be opened again. */
  readonly text: Uint8Array | undefined;
  readonly state: TransferState;
  /** The last block that the client has acknowledged. */
  readonly blocks: number;
  readonly retransmits: number;
  readonly dataRetransmits: number;
  readonly roundTripMs: number | undefined;
  /** Time since the last progress, since the first request, and since the first reply, ms. */
  readonly silentMs: number;
  readonly requestedAgoMs: number;
  readonly openedAgoMs: number;
}

/**
 * @param now machineMs().
 * @returns the transfers that were running and are to go on; or in words why the region can't be read.
 */
export function leftTransfers(region: ArrayBufferLike, now: number): LeftTransfer[] | string {
  const mistake = tableMistake(region);
  if (mistake !== undefined) return mistake;
  const table = new TransferTable(region);
  const { cells, slots } = table;
  const wrong = recoveriesMistake(region, slots);
  if (wrong !== undefined) return wrong;
  const recoveries = new RecoveryRecords(region, slots);
  const left: LeftTransfer[] = [];
  // By the clock of the process that has ended.
  const then = now - new Float64Array(region)[HEADER.clockZero >> 1]!;
  for (let slot = 0; slot < recoveries.highest; slot++) {
    const state = cells.state(slot);
    if (state < TRANSFER_STATE.unproven || state >= TRANSFER_STATE.ended) continue;
    const order = table.read(slot);
    if (order === undefined || order.localPort === undefined) continue;
    // It is over, or superseded: at a shared port its packets would reach the next transfer of its client.
    if (lostReport(order, cells) !== undefined) continue;
    const read = recoveries.read(slot);
    left.push({
      order,
      recovery: isSound(order, cells.blocks(slot)) ? read?.recovery : undefined,
      text: read?.text,
      state,
      blocks: Math.max(0, cells.blocks(slot)),
      retransmits: cells.retransmits(slot),
      dataRetransmits: cells.dataRetransmits(slot),
      roundTripMs: cells.roundTripMs(slot),
      silentMs: Math.max(0, cells.silence(slot, Math.floor(then))),
      requestedAgoMs: Math.max(0, then - order.requestedAt),
      openedAgoMs: Math.max(0, then - (order.openedAt ?? then)),
    });
  }
  return left;
}

/** Tells whether a sender can go on by these numbers: it reads memory at places that they give. */
function isSound({ plan }: PlacedOrder, blocks: number): boolean {
  const { size, blksize, windowsize, arrived } = plan;
  if (blksize < MIN_BLKSIZE || blksize > MAX_BLKSIZE || windowsize < 1 || windowsize > 65_535 || size < 0) return false;
  // The size of a content that was still being read is not known yet.
  return arrived !== undefined || blocks <= blockCount(size, blksize);
}
