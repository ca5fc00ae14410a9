/**
 * Encodes packets into a buffer of the caller. Every function returns the number of bytes written; each buffer must
 * hold MAX_CONTROL bytes (ACK: 4).
 */
import { type ErrorCode, OPCODE } from './opcode.ts';
import type { GrantedOption, Wish } from './negotiate.ts';
import type { TransferMode } from './request.ts';

/** RFC 2347 limits a request to 512 octets; we keep every packet but DATA within that. */
export const MAX_CONTROL = 512;
/** Length of the header before the payload of a DATA packet, in bytes. */
export const DATA_HEADER = 4;

function putString(into: Uint8Array, at: number, text: string): number {
  for (let index = 0; index < text.length; index++) into[at++] = text.charCodeAt(index);
  into[at++] = 0;
  return at;
}

function putHeader(into: Uint8Array, opcode: number, number: number): number {
  into[0] = 0;
  into[1] = opcode;
  into[2] = (number >>> 8) & 0xff;
  into[3] = number & 0xff;
  return 4;
}

/** Writes the four bytes before a payload. @param block the number on the wire, 0..65535. */
export function encodeDataHeader(into: Uint8Array, block: number): number {
  return putHeader(into, OPCODE.DATA, block);
}

/** @param block the number on the wire, 0..65535. */
export function encodeAck(into: Uint8Array, block: number): number {
  return putHeader(into, OPCODE.ACK, block);
}

/** @param message short ASCII text of our own: never a path, never a peer's words. It is cut at MAX_CONTROL. */
export function encodeError(into: Uint8Array, code: ErrorCode, message: string): number {
  const at = putHeader(into, OPCODE.ERROR, code);
  return putString(into, at, message.slice(0, MAX_CONTROL - at - 1));
}

/** Writes the OACK for what negotiate() granted: at most seven options, so it always fits. */
export function encodeOack(into: Uint8Array, options: readonly GrantedOption[]): number {
  into[0] = 0;
  into[1] = OPCODE.OACK;
  let at = 2;
  for (const { spelling, value } of options) at = putString(into, putString(into, at, spelling), value);
  return at;
}

/** Returns the options of a wish, in the order that suits firmware. */
export function wishedOptions({ tsize, blksize, windowsize, timeout }: Wish): GrantedOption[] {
  const options: GrantedOption[] = [];
  if (tsize === true) options.push({ spelling: 'tsize', value: '0' });
  if (blksize !== undefined) options.push({ spelling: 'blksize', value: String(blksize) });
  if (windowsize !== undefined) options.push({ spelling: 'windowsize', value: String(windowsize) });
  if (timeout !== undefined) options.push({ spelling: 'timeout', value: String(timeout) });
  return options;
}

/**
 * Writes a read request.
 *
 * @param filename one character per byte, without NUL.
 * @param options sent as they are, unchecked: see wishedOptions.
 * @throws RangeError when the request would exceed MAX_CONTROL bytes or the name holds a NUL or a character above 255:
 *   a mistake of the caller, not of a peer.
 */
export function encodeReadRequest(
  into: Uint8Array,
  filename: string,
  mode: TransferMode,
  options: readonly GrantedOption[],
): number {
  const strings = [filename, mode, ...options.flatMap(({ spelling, value }) => [spelling, value])];
  const length = strings.reduce((sum, text) => sum + text.length + 1, 2);
  if (length > MAX_CONTROL) throw new RangeError(`Expected a request of at most ${MAX_CONTROL} bytes, got ${length}`);
  for (let at = 0; at < filename.length; at++) {
    const code = filename.charCodeAt(at);
    if (code === 0 || code > 0xff) throw new RangeError('Expected a file name of bytes 1..255');
  }
  into[0] = 0;
  into[1] = OPCODE.RRQ;
  return strings.reduce((at, text) => putString(into, at, text), 2);
}
