/**
 * Decodes requests and the option lists in them. Like packet.ts, every input gives a request or a reason.
 *
 *      2 bytes   string   1 byte   string  1 byte   string 1 byte  string 1 byte
 *     +--------+----------+------+-------+------+  +------+------+-------+------+
 *     | 01/02  | filename | 0    | mode  | 0    |  | name | 0    | value | 0    |  …  (RFC 1350 §5, RFC 2347)
 *     +--------+----------+------+-------+------+  +------+------+-------+------+
 */
import { OPCODE } from './opcode.ts';
import type { Malformed } from './packet.ts';

/** The port that requests go to (RFC 1350 §4). */
export const TFTP_PORT = 69;

/** The options Reveille understands: RFC 2348, 2349, 7440, and tftp-hpa's three. Others are never stored. */
export const OPTION_NAMES = ['blksize', 'blksize2', 'tsize', 'timeout', 'utimeout', 'windowsize', 'rollover'] as const;
export type OptionName = (typeof OPTION_NAMES)[number];

export interface AskedOption {
  readonly name: OptionName;
  /** The name as the peer spelled it: GRUB and EDK2 compare it case-sensitively, so it is echoed unchanged. */
  readonly spelling: string;
  readonly value: string;
}

/** The modes that files are transferred in (RFC 1350 §5). */
export type TransferMode = 'octet' | 'netascii';

/** `mail` (obsolete, RFC 1123 §4.2.2.1) and unknown modes are answered with ERROR 4. */
export type Mode = TransferMode | 'mail' | 'unknown';

export interface Request {
  readonly operation: 'read' | 'write';
  /** One character per byte of the wire (latin1): lossless for any bytes. Not yet safe to use: see content/name.ts. */
  readonly filename: string;
  readonly mode: Mode;
  /** Options in the order asked, each name at most once: the first of repeated options counts (RFC 2347). */
  readonly options: readonly AskedOption[];
}

const KNOWN: ReadonlyMap<string, OptionName> = new Map(OPTION_NAMES.map((name) => [name, name]));
const MODES: ReadonlyMap<string, Mode> = new Map([
  ['octet', 'octet'],
  ['netascii', 'netascii'],
  ['mail', 'mail'],
]);
/**
 * RFC 2347 allows a request 512 octets. Firmware pads its requests; a request larger than one Ethernet frame over IPv4
 * does not come from firmware.
 * @limit Length of a request. Shows: `reveille_requests_malformed_total{reason="long"}`.
 */
export const MAX_REQUEST_BYTES = 1472;
const MAX_MODE_CHARACTERS = 'netascii'.length;
/** A whole request is at most 512 octets (RFC 2347), and so are its options: the rest of a longer list is not read. */
const OPTIONS_BYTES = 512;

/** Returns the end of the NUL-terminated string at `from`, or -1 if no NUL comes before `end`. */
function stringEnd(bytes: Uint8Array, from: number, end: number): number {
  const at = bytes.indexOf(0, from);
  return at >= 0 && at < end ? at : -1;
}

/** Characters converted by one call: they are arguments, so they take up stack. */
const CHUNK = 512;

function latin1(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  // Converting one character at a time would allocate a string for each.
  for (let at = from; at < to; at += CHUNK) {
    text += String.fromCharCode.apply(undefined, bytes.subarray(at, Math.min(at + CHUNK, to)) as unknown as number[]);
  }
  return text;
}

const UPPER_CASE = /[A-Z]/;

/** Lowercases A–Z alone: `toLowerCase` also folds U+212A to `k`, and option names are ASCII (RFC 2347). */
export function asciiLowerCase(text: string): string {
  return UPPER_CASE.test(text) ? text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : text;
}

/**
 * Decodes an RRQ or WRQ of `length` bytes.
 *
 * Bytes after the mode are taken as options as far as they parse: PA-RISC firmware pads its requests with stray memory.
 */
export function decodeRequest(bytes: Uint8Array, length: number): Request | Malformed {
  if (length < 2) return 'short';
  if (length > MAX_REQUEST_BYTES) return 'long';
  if (bytes[0] !== 0) return 'opcode';
  const opcode = bytes[1];
  if (opcode !== OPCODE.RRQ && opcode !== OPCODE.WRQ) return 'opcode';
  const nameEnd = stringEnd(bytes, 2, length);
  if (nameEnd < 0) return 'filename';
  const modeEnd = stringEnd(bytes, nameEnd + 1, length);
  if (modeEnd < 0) return 'mode';
  const mode =
    modeEnd - nameEnd - 1 > MAX_MODE_CHARACTERS
      ? undefined
      : MODES.get(asciiLowerCase(latin1(bytes, nameEnd + 1, modeEnd)));
  return {
    operation: opcode === OPCODE.RRQ ? 'read' : 'write',
    filename: latin1(bytes, 2, nameEnd),
    mode: mode ?? 'unknown',
    options: decodeOptions(bytes, modeEnd + 1, length),
  };
}

/**
 * Reads the name/value pairs in bytes[start, end) of a request or an OACK. Skips unknown names, empty values and a last
 * string without its NUL; the pairs around them count. Reads at most 512 bytes: 64 KiB of empty strings would keep the
 * thread busy for milliseconds.
 */
export function decodeOptions(bytes: Uint8Array, start: number, end: number): AskedOption[] {
  const options: AskedOption[] = [];
  const limit = Math.min(end, start + OPTIONS_BYTES);
  let at = start;
  while (at < limit) {
    const nameEnd = stringEnd(bytes, at, limit);
    if (nameEnd < 0) break;
    const valueEnd = stringEnd(bytes, nameEnd + 1, limit);
    if (valueEnd < 0) break;
    const spelling = latin1(bytes, at, nameEnd);
    const name = KNOWN.get(asciiLowerCase(spelling));
    if (name !== undefined && valueEnd > nameEnd + 1 && !options.some((option) => option.name === name)) {
      options.push({ name, spelling, value: latin1(bytes, nameEnd + 1, valueEnd) });
    }
    at = valueEnd + 1;
  }
  return options;
}
