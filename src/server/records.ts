/** Records of transfers, combined from admission's knowledge and the transfers' cells. Decides nothing. */
import type { TransferReport } from '../engine/report.ts';
import { type StateCells, TRANSFER_STATE, TRANSFER_STATES } from '../pool/state-cells.ts';
import { contentBytes } from './feeder.ts';
import type { Transfer } from './transfer.ts';
import { STUCK_MS, type StartRecord, type TransferRecord, type TransferView } from './types.ts';

/** Texts for the fault of a transfer that the server ended for a known cause. */
export const FAULTS = {
  beganAnew: 'The client sent another request',
  givenUp: 'The client did not answer, and other transfers needed its place',
  changed: 'The file changed while it was being read',
  unreadable: 'The file could not be read to its end',
} as const;

/** Tells whether the client has acknowledged anything. A superseded transfer may have ended without an ACK. */
export function hasAcknowledged({ abandoned }: Transfer, { outcome }: TransferReport): boolean {
  return outcome === 'complete' || (outcome === 'completeUnconfirmed' && !abandoned);
}

/** Returns the record of a transfer that a worker has taken. */
export function startRecord({
  id,
  peer,
  port,
  content,
  mode,
  settled,
  firstRequestAt,
  queuedAt,
  startedAt,
}: Transfer): StartRecord {
  const { label, origin = 'file', set } = content!;
  const { blksize, windowsize } = settled!;
  return {
    protocol: 'tftp',
    id,
    client: peer,
    local: port.local.address,
    file: label,
    origin,
    set,
    size: contentBytes(content!),
    mode,
    blksize,
    windowsize,
    waitedMs: startedAt - firstRequestAt,
    queuedMs: startedAt - queuedAt,
  };
}

/**
 * Returns the record of a transfer that has ended. Field by field: spreading an object that has crossed threads, or one
 * among as many fields, costs more than the rest of a small transfer in this thread.
 *
 * @param superseded whether the client has started over or the transfer was given up.
 */
export function transferRecord(transfer: Transfer, report: TransferReport, superseded: boolean): TransferRecord {
  const start = startRecord(transfer);
  return {
    protocol: start.protocol,
    id: start.id,
    client: start.client,
    local: start.local,
    file: start.file,
    origin: start.origin,
    set: start.set,
    size: start.size,
    mode: start.mode,
    blksize: start.blksize,
    windowsize: start.windowsize,
    waitedMs: start.waitedMs,
    queuedMs: start.queuedMs,
    outcome: report.outcome,
    startedAt: report.startedAt,
    durationMs: report.durationMs,
    blocks: report.blocks,
    bytes: report.bytes,
    retransmits: report.retransmits,
    stale: report.stale,
    timeouts: report.timeouts,
    errorCode: report.errorCode,
    errorText: report.errorText,
    fault: superseded
      ? transfer.givenUp
        ? FAULTS.givenUp
        : FAULTS.beganAnew
      : (report.fault ?? supplyFault(transfer, report)),
    firstReplyMs: firstReplyMs(transfer, report),
  };
}

function supplyFault({ content }: Transfer, { outcome }: TransferReport): string | undefined {
  const failure = outcome === 'aborted' ? content?.supply?.failure : undefined;
  return failure === undefined ? undefined : FAULTS[failure];
}

/** Snapshot of a transfer in any state. @param now same clock as the transfer's timestamps, ms. */
export function transferView(
  { id, peer, port, filename, content, settled, slot, firstRequestAt }: Transfer,
  cells: StateCells,
  now: number,
): TransferView {
  const { blksize = 0, windowsize = 0 } = settled ?? {};
  const size = content === undefined ? 0 : contentBytes(content);
  return {
    protocol: 'tftp',
    id,
    client: peer,
    local: port.local.address,
    file: content?.label ?? filename,
    origin: content === undefined ? undefined : (content.origin ?? 'file'),
    set: content?.set,
    state: TRANSFER_STATES[cells.state(slot)] as TransferView['state'],
    size,
    bytes: Math.min(size, cells.blocks(slot) * blksize),
    retransmits: cells.retransmits(slot),
    blksize,
    windowsize,
    sinceMs: now - firstRequestAt,
    silentMs: Math.max(0, cells.silence(slot, now)),
  };
}

/** Counts the stuck ones among running transfers. @returns also the addresses they serve. */
export function runningOf(
  active: Iterable<Transfer>,
  cells: StateCells,
  now: number,
): { readonly stuck: number; readonly nodes: Set<string> } {
  const nodes = new Set<string>();
  let stuck = 0;
  for (const { slot, peer } of active) {
    nodes.add(peer.address);
    if (cells.state(slot) === TRANSFER_STATE.running && cells.silence(slot, now) >= STUCK_MS) stuck++;
  }
  return { stuck, nodes };
}

/** Returns the time to the first reply, ms. The clocks of two threads agree to a millisecond. */
function firstReplyMs({ firstRequestAt }: Transfer, { startedAt }: TransferReport): number | undefined {
  return startedAt === undefined ? undefined : Math.max(0, startedAt - firstRequestAt);
}
