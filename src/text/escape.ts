/**
 * Makes foreign text safe to show. Names come from the wire and from disks: in a log or on a terminal a CR, an ESC or a
 * bidirectional override would rewrite what the reader sees. Knows nothing of the text's source.
 */

/** The longest piece of foreign text shown, in characters of the input. Requests may carry names of 64 KiB. */
export const MAX_SHOWN = 512;

const PLAIN = /^[\x20-\x5b\x5d-\x7e]*$/;

const utf8 = new TextEncoder();

/** Characters that could move a cursor, reverse text, or act as commands on a terminal without UTF-8. */
const NOT_PLAIN = /[^\x20-\x7e]/gu;
/** Characters invisible on a UTF-8 terminal: controls, formats (including all that reverse text), line separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

function hex(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}

/**
 * Escapes text. Printable ASCII stays; every other character, and the backslash itself, becomes `\xNN` (above U+00FF:
 * one for each of its UTF-8 bytes). Text longer than `most` characters is cut, and `...(+N)` counts the missing ones.
 */
export function escapeText(text: string, most = MAX_SHOWN): string {
  // Nearly all names have nothing to escape or cut.
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
 * Escapes one line of a command's output, whatever its source. Like escapeText, but keeps backslashes, so that text
 * escaped before stays as it is, and never cuts.
 */
export function escapeLine(line: string): string {
  return line.replace(NOT_PLAIN, escapeCharacter);
}

/** Like escapeLine, for the lines of a JSON document: its value stays the same. */
export function escapeJson(json: string): string {
  return json.replace(UNSAFE, (character) => {
    if (character === '\n') return character;
    const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
  });
}

/**
 * Prepares text that operators wrote themselves, such as a line of a config, for a message: printable characters stay as
 * they are, backslashes too, so that operators recognize it. Characters that could rewrite the screen or end a line become
 * `\xNN`; text longer than `most` characters is cut. Not for names from the wire: two different ones may look alike.
 */
export function printableText(text: string, most = MAX_SHOWN): string {
  const shown = text.slice(0, most).replace(UNSAFE, escapeCharacter);
  return text.length > most ? `${shown}...(+${text.length - most})` : shown;
}

/** Keeps letters of all scripts, and replaces characters that could rewrite the screen by question marks. */
export function safeText(text: string): string {
  return text.replace(UNSAFE, '?');
}

/**
 * Applies escapeText to every string inside `value`, four levels deep; deeper values and values that are not plain data
 * become text.
 */
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

/** Shows a value as the user wrote it, short enough for one line. */
export function showValue(value: unknown): string {
  if (!Array.isArray(value)) return showItem(value);
  if (value.length === 0) return 'an empty list';
  return value.length > 4 ? `a list of ${value.length}` : `[${value.map(showItem).join(', ')}]`;
}
