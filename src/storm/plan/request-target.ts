/** The names and the port of a URL, as they stand in an HTTP request. Knows neither servers nor profiles. */

/** The port of a URL that names none (RFC 9110 §4.2.1). */
export const HTTP_PORT = 80;
/** Limit on the bytes of a name in a request: many servers accept 8 KiB for the whole head. */
export const MAX_TARGET = 4096;

/**
 * The bytes that need no percent-encoding in a path (RFC 3986 §3.3): unreserved, sub-delims, `:`, `@` and the slash.
 */
const PLAIN = /[A-Za-z0-9\-._~!$&'()*+,;=:@/]/;

/**
 * @returns the request target (RFC 9112 §3.2.1) for a file name: with at least one leading slash, and UTF-8
 * percent-encoded.
 */
export function requestTarget(name: string): string {
  const path = Array.from(Buffer.from(name, 'utf8'), (byte) => {
    const character = String.fromCharCode(byte);
    return PLAIN.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }).join('');
  return path.startsWith('/') ? path : `/${path}`;
}
