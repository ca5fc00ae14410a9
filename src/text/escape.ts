/**
 * Foreign text made safe to show. Names come from the wire and from disks: in a log or on a terminal a CR, an ESC or
 * a bidirectional override would rewrite what the reader sees. Knows nothing of where the text comes from.
 */

/** The longest piece of foreign text shown, in characters of the input. Requests may carry names of 64 KiB. */
export const MAX_SHOWN = 512;

const PLAIN = /^[\x20-\x5b\x5d-\x7e]*$/;

const utf8 = new TextEncoder();

function hex(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}

/**
 * Printable ASCII stays; every other character, and the backslash itself, becomes `\xNN` (past U+00FF: one for each
 * of its UTF-8 bytes). What is longer than `most` characters is cut, and `...(+N)` says how many are missing.
 */
export function escapeText(text: string, most = MAX_SHOWN): string {
  // Nearly all names: nothing to escape, nothing to cut.
  if (text.length <= most && PLAIN.test(text)) return text;
  let shown = '';
  for (const character of text.slice(0, most)) {
    const code = character.codePointAt(0)!;
    if (code >= 0x20 && code < 0x7f && code !== 0x5c) shown += character;
    else if (code <= 0xff) shown += hex(code);
    else for (const byte of utf8.encode(character)) shown += hex(byte);
  }
  return text.length > most ? `${shown}...(+${text.length - most})` : shown;
}

/** escapeText over every string inside `value`, four levels deep; what is deeper, or no plain data, becomes text. */
export function escapeDeep(value: unknown, levels = 4): unknown {
  if (typeof value === 'string') return escapeText(value);
  if (typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol') {
    return escapeText(String(value));
  }
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return escapeText(value.message);
  if (levels === 0) return '...';
  if (Array.isArray(value)) return value.map((item) => escapeDeep(item, levels - 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [escapeText(key), escapeDeep(item, levels - 1)]),
  );
}

function showItem(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (typeof value === 'string') return `"${escapeText(value, 60)}"`;
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'a map';
}

/** A value that a user wrote, as it was written and short enough for one line. */
export function showValue(value: unknown): string {
  if (!Array.isArray(value)) return showItem(value);
  if (value.length === 0) return 'an empty list';
  return value.length > 4 ? `a list of ${value.length}` : `[${value.map(showItem).join(', ')}]`;
}
