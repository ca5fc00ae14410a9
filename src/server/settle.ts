/**
 * Settles a transfer with its client: options granted, the OACK, and the lane it waits in. Changes only the transfer
 * and its supply.
 */
import type { Content } from '../content/types.ts';
import { MAX_CONTROL, encodeOack } from '../protocol/encode.ts';
import { negotiate, type NegotiationLimits } from '../protocol/negotiate.ts';
import type { AskedOption } from '../protocol/request.ts';
import { type Transfer, mayBeProbe } from './transfer.ts';
import { contentBytes } from './feeder.ts';

/** Files of at most this size go in the quick lane: configs, scripts, small loaders. */
const QUICK_BYTES = 64 * 1024;

const NO_OPTIONS: readonly AskedOption[] = [];
const packet = new Uint8Array(MAX_CONTROL);

/** @param allowed the limits for this client. */
export function settle(transfer: Transfer, content: Content, allowed: NegotiationLimits): void {
  const { options, mode } = transfer;
  const { supply } = content;
  const size = contentBytes(content);
  let { settled, oack } = negotiate(options, allowed, size, mode);
  if (supply !== undefined && !supply.isWhole) {
    const most = Math.max(1, Math.floor(supply.maxWindowBytes / settled.blksize));
    if (settled.windowsize > most)
      ({ settled, oack } = negotiate(options, { ...allowed, maxWindowsize: most }, size, mode));
    supply.cut(settled.blksize);
  }
  transfer.options = NO_OPTIONS;
  transfer.settled = settled;
  transfer.hasOack = oack.length > 0;
  if (transfer.hasOack) transfer.opening = packet.slice(0, encodeOack(packet, oack));
  transfer.quick = size <= QUICK_BYTES || mayBeProbe(options);
}
