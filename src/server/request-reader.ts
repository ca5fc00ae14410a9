/**
 * Decodes requests. In a storm thousands of nodes send the same bytes: recent ones are not decoded again, so repeated
 * and probing requests cost almost no memory. Knows no clients.
 */
import type { Malformed } from '../protocol/packet.ts';
import { decodeRequest, type Request } from '../protocol/request.ts';

/**
 * A request and a text of its contents that tells repeats from new requests. Shared by all that send the same bytes.
 */
export interface ReadRequest extends Request {
  readonly text: string;
}

/**
 * Requests remembered, each at the place given by its hash. A power of two.
 * @limit Requests remembered by their bytes. Shows: nothing: the request is decoded again.
 */
const PLACES = 256;
/** Longer requests are rare, and not remembered. */
const MAX_BYTES = 256;

interface Remembered {
  readonly hash: number;
  readonly bytes: Uint8Array;
  readonly request: ReadRequest;
}

export class RequestReader {
  readonly #remembered: (Remembered | undefined)[] = Array.from({ length: PLACES }, () => undefined);

  read(bytes: Uint8Array, length: number): ReadRequest | Malformed {
    if (length > MAX_BYTES) return decode(bytes, length);
    const hash = hashOf(bytes, length);
    const place = hash & (PLACES - 1);
    const known = this.#remembered[place];
    if (known !== undefined && known.hash === hash && isSame(known.bytes, bytes, length)) return known.request;
    const request = decode(bytes, length);
    if (typeof request === 'string') return request;
    this.#remembered[place] = { hash, bytes: bytes.slice(0, length), request };
    return request;
  }
}

function decode(bytes: Uint8Array, length: number): ReadRequest | Malformed {
  const request = decodeRequest(bytes, length);
  if (typeof request === 'string') return request;
  const { operation, filename, mode, options } = request;
  let text = `${filename}\0${mode}`;
  for (const { name, value } of options) text += `\0${name}=${value}`;
  return { operation, filename, mode, options, text };
}

/** FNV-1a. A client that forces collisions only has its requests decoded each time, as without this table. */
function hashOf(bytes: Uint8Array, length: number): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < length; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  return hash >>> 0;
}

function isSame(one: Uint8Array, other: Uint8Array, length: number): boolean {
  if (one.length !== length) return false;
  for (let at = 0; at < length; at++) if (one[at] !== other[at]) return false;
  return true;
}
