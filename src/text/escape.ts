/**
 * Foreign text made safe to show. Names come from the wire and from disks: in a log or on a terminal a CR, an ESC or
 * a bidirectional override would rewrite what the reader sees. Knows nothing of where the text comes from.
 */

/** The longest piece of foreign text shown, in characters of the input. Requests may carry names of 64 KiB. */
export const MAX_SHOWN = 512;

const PLAIN = /^[\x20-\x5b\x5d-\x7e]*$/;

const utf8 = new TextEncoder();

/** Whatever could move a cursor, turn text around or be taken for a command of a terminal's that knows no UTF-8. */
const NOT_PLAIN = /[^\x20-\x7e]/gu;
/** What no terminal that knows UTF-8 shows: controls, formats (among them all that turn text around), separators of lines. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

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
    shown += code >= 0x20 && code < 0x7f && code !== 0x5c ? character : escapeCharacter(character);
  }
  return text.length > most ? `${shown}...(+${text.length - most})` : shown;
}

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0)!;
  return code <= 0xff ? hex(code) : [...utf8.encode(character)].map(hex).join('');
}

/**
 * One line of a command's output, whoever wrote what is in it: as escapeText, but for the backslash, so that what has been
 * escaped before stays as it is, and whole.
 */
export function escapeLine(line: string): string {
  return line.replace(NOT_PLAIN, escapeCharacter);
}

/** As escapeLine, for the lines of a JSON document: the value is the same. */
export function escapeJson(json: string): string {
  return json.replace(UNSAFE, (character) => {
    if (character === '\n') return character;
    const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
  });
}

/**
 * Text that operators wrote themselves, such as a line of a config, in one of ours: all that a terminal shows stays as it
 * is written, backslashes too, so that they know it again. What could rewrite the screen, or end a line, becomes `\xNN`.
 * What is longer than `most` characters is cut. Not for names from the wire: two that differ may be shown alike.
 */
export function printableText(text: string, most = MAX_SHOWN): string {
  const shown = text.slice(0, most).replace(UNSAFE, escapeCharacter);
  return text.length > most ? `${shown}...(+${text.length - most})` : shown;
}

/** Text of which letters of all scripts are shown, and what could rewrite the screen is a question mark. */
export function safeText(text: string): string {
  return text.replace(UNSAFE, '?');
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
