/** Converts the target of an HTTP request to a name, as a TFTP request has it. Knows no headers and no files. */

/** The scheme and authority of a target in absolute form (RFC 9112 §3.2.2), which proxies and some clients send. */
const ABSOLUTE = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?]*/;
const ESCAPE = /%(?:([0-9A-Fa-f]{2})|)/g;

/**
 * Returns the name that a request target asks for, one character per byte: without authority and query, percent-decoded
 * once, slashes collapsed, without a leading slash. Dots stay: what a name may be is decided where TFTP's names are
 * (readingsOf in src/content/name.ts).
 *
 * @param target as received (RFC 9112 §3.2), one character per byte.
 * @returns undefined when it is no path, has a NUL, or a `%` without two hexadecimal digits.
 */
export function nameOfTarget(target: string): string | undefined {
  const path = target.replace(ABSOLUTE, '');
  const [encoded = ''] = path.split('?', 1);
  if (encoded !== '' && !encoded.startsWith('/')) return undefined;
  let isValid = true;
  const name = encoded.replaceAll(ESCAPE, (_, hex: string | undefined) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    isValid = false;
    return '';
  });
  if (!isValid || name.includes('\0')) return undefined;
  return name.replaceAll(/\/{2,}/g, '/').replace(/^\//, '');
}
