/**
 * The response to a packet of another transfer (RFC 1350 §4): ERROR 5, and no transfer of ours is disturbed. Shared by
 * every engine with ports that strangers can reach.
 */
import { MAX_CONTROL, encodeError } from '../protocol/encode.ts';
import { ERROR_CODE, OPCODE } from '../protocol/opcode.ts';

/** The ERROR packet. It must not be modified. */
export const UNKNOWN_TID: Uint8Array = ((): Uint8Array => {
  const packet = new Uint8Array(MAX_CONTROL);
  return packet.slice(0, encodeError(packet, ERROR_CODE.UNKNOWN_TID, 'Unknown transfer ID'));
})();

/**
 * Maximum of packets from strangers that a client's link answers.
 * @limit Packets from strangers that one `reveille get` answers.
 */
export const STRANGER_ANSWERS = 8;

/** Tells whether to answer a stranger's datagram: packets of a transfer are answered, an ERROR never. */
export function isAnswerable(bytes: Uint8Array, length: number): boolean {
  if (length < 4 || bytes[0] !== 0) return false;
  const opcode = bytes[1];
  return opcode === OPCODE.DATA || opcode === OPCODE.ACK || opcode === OPCODE.OACK;
}
