/**
 * Decodes packets inside a transfer. Every input gives a packet or a reason, never an exception, and nothing is
 * allocated. Requests (RRQ, WRQ) are only recognized here; request.ts decodes them.
 *
 *      2 bytes   2 bytes     n bytes              2 bytes   2 bytes
 *     +--------+----------+----------+           +--------+----------+
 *     | 03     | block    | payload  |  DATA     | 04     | block    |  ACK
 *     +--------+----------+----------+           +--------+----------+
 *      2 bytes   2 bytes     string    1 byte     2 bytes   string 1 byte  string 1 byte …
 *     +--------+----------+----------+------+    +--------+-------+------+-------+------+
 *     | 05     | code     | message  | 0    |    | 06     | name  | 0    | value | 0    |  OACK (RFC 2347)
 *     +--------+----------+----------+------+    +--------+-------+------+-------+------+
 */
import { OPCODE } from './opcode.ts';

/** A packet as a view of its datagram. One record is reused: read it before the next decode. */
export interface Packet {
  /** One of OPCODE. */
  opcode: number;
  /** The 16-bit block number of DATA or ACK, 0..65535; 0 for other packets. */
  block: number;
  /** The code of an ERROR, 0..65535; 0 for other packets. */
  code: number;
  /** The whole datagram. */
  bytes: Uint8Array;
  /** Range of the bytes after the header, [start, end): payload, message, options or the rest of a request. */
  start: number;
  end: number;
}

/** Reasons why a datagram is not a packet. The names are also metric labels. */
export const MALFORMED = ['short', 'long', 'opcode', 'truncated', 'filename', 'mode'] as const;
export type Malformed = (typeof MALFORMED)[number];

export function createPacket(): Packet {
  return { opcode: 0, block: 0, code: 0, bytes: new Uint8Array(0), start: 0, end: 0 };
}

/**
 * Decodes the first `length` bytes of a datagram into `packet`.
 *
 * ERROR packets of 2 or 3 bytes are taken as code 0: several servers have crashed by insisting on 4. Bytes after an
 * ACK's block number are ignored (Windows' `msftwindow` puts one there).
 *
 * @returns undefined when `packet` is filled, otherwise the reason; `packet` is then unspecified.
 */
export function decode(bytes: Uint8Array, length: number, packet: Packet): Malformed | undefined {
  if (length < 2) return 'short';
  if (bytes[0] !== 0) return 'opcode';
  const opcode = bytes[1]!;
  packet.opcode = opcode;
  packet.block = 0;
  packet.code = 0;
  packet.bytes = bytes;
  packet.start = 2;
  packet.end = length;
  switch (opcode) {
    case OPCODE.DATA:
    case OPCODE.ACK:
      if (length < 4) return 'truncated';
      packet.block = (bytes[2]! << 8) | bytes[3]!;
      packet.start = 4;
      return undefined;
    case OPCODE.ERROR:
      if (length >= 4) packet.code = (bytes[2]! << 8) | bytes[3]!;
      packet.start = Math.min(4, length);
      return undefined;
    case OPCODE.RRQ:
    case OPCODE.WRQ:
    case OPCODE.OACK:
      return undefined;
    default:
      return 'opcode';
  }
}

/**
 * Returns the message of an ERROR packet for display: at most 128 characters, printable ASCII only, because a peer may
 * send anything and logs and terminals obey escape codes.
 */
export function errorMessage(packet: Packet): string {
  let text = '';
  for (let at = packet.start; at < packet.end && text.length < 128; at++) {
    const byte = packet.bytes[at]!;
    if (byte === 0) break;
    text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '?';
  }
  return text;
}
