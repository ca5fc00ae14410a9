/** What is told of a transfer, put together from what admission knows and what its cell says. Decides nothing. */
import { type StateCells, TRANSFER_STATES } from '../pool/state-cells.ts';
import type { Transfer } from './transfer.ts';
import type { StartRecord, TransferView } from './types.ts';

/** Of one that has been given to a worker. */
export function startRecord({
  id,
  peer,
  port,
  content,
  mode,
  negotiation,
  firstRequestAt,
  queuedAt,
  startedAt,
}: Transfer): StartRecord {
  const { label, origin = 'file', set, handle } = content!;
  const { blksize, windowsize } = negotiation!.settled;
  return {
    id,
    client: peer,
    local: port.local.address,
    file: label,
    origin,
    set,
    size: handle.length,
    mode,
    blksize,
    windowsize,
    waitedMs: startedAt - firstRequestAt,
    queuedMs: startedAt - queuedAt,
  };
}

/** Of any. @param now by the clock that the transfer's times are of. */
export function transferView(
  { id, peer, port, request, content, negotiation, slot, firstRequestAt }: Transfer,
  cells: StateCells,
  now: number,
): TransferView {
  const { blksize = 0, windowsize = 0 } = negotiation?.settled ?? {};
  const size = content?.handle.length ?? 0;
  return {
    id,
    client: peer,
    local: port.local.address,
    file: content?.label ?? request.filename,
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
