/**
 * What a packet of somebody else's transfer gets (RFC 1350 §4): ERROR 5, and nothing of ours is disturbed. Every
 * engine with ports that strangers can reach answers by these two.
 */
import { MAX_CONTROL, encodeError } from '../protocol/encode.ts';
import { ERROR_CODE, OPCODE } from '../protocol/opcode.ts';

/** The answer. It must not be written to. */
export const UNKNOWN_TID: Uint8Array = ((): Uint8Array => {
  const packet = new Uint8Array(MAX_CONTROL);
  return packet.slice(0, encodeError(packet, ERROR_CODE.UNKNOWN_TID, 'Unknown transfer ID'));
})();

/** Packets from strangers that a client's link answers. */
export const STRANGER_ANSWERS = 8;

/** Whether a stranger's datagram is to be answered: what belongs to some transfer is, an ERROR never. */
export function isAnswerable(bytes: Uint8Array, length: number): boolean {
  if (length < 4 || bytes[0] !== 0) return false;
  const opcode = bytes[1];
  return opcode === OPCODE.DATA || opcode === OPCODE.ACK || opcode === OPCODE.OACK;
}
