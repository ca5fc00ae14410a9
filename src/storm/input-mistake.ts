/** Errors for plans and flags that cannot be accepted. Knows neither where the text was written nor what it was for. */

/** A mistake made by the user. The message is one line: where, what was expected, what was found. */
export class InputMistake extends Error {
  override readonly name = 'InputMistake';
}

/** Length to which a message cuts the user's text, in characters. */
const MAX_SHOWN = 60;

/** Formats a value as the user wrote it, in printable ASCII and short enough for one line. */
export function shown(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'string') return 'a map';
  const text = value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}...` : value;
  return JSON.stringify(text).replace(/[^ -~]/g, (odd) => `\\u${odd.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Makes the error for one piece of text: `--loss: expected a share such as 1%, got "lots"`. */
export function mistake(where: string, expected: string, found: unknown): InputMistake {
  return new InputMistake(`${where}: expected ${expected}, got ${shown(found)}`);
}
