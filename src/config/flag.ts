/** Parses the value of a flag by its kind; an error is one line that names the flag. */
import { UsageError } from './usage-error.ts';
import { mistakeIn, type ValueKind } from './value-kind.ts';

/** @returns a parser for commander, which passes a UsageError through. */
export function flag<T>(name: string, kind: ValueKind<T>): (text: string) => T {
  return (text) => readFlag(name, kind, text);
}

/** @returns a parser for a flag that may be repeated: all its values so far form one list. */
export function repeatedFlag<T>(name: string, kind: ValueKind<T>): (text: string) => T {
  const words: string[] = [];
  return (text) => {
    words.push(text);
    return readFlag(name, kind, words.length === 1 ? text : words);
  };
}

function readFlag<T>(name: string, kind: ValueKind<T>, given: unknown): T {
  const value = kind.read(given);
  if (value !== undefined) return value;
  const { expected, got } = mistakeIn(kind, given);
  throw new UsageError(`${name}: expected ${expected}, got ${got}`);
}
