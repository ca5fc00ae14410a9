/** Parses the value of a flag by its kind; an error is one line that names the flag. */
import { UsageError } from './usage-error.ts';
import { mistakeIn, type ValueKind } from './value-kind.ts';

/** A parser for commander, which passes a UsageError through. Completions are generated from its kind of value. */
export interface FlagParser<T> {
  (text: string): T;
  readonly kind: ValueKind<T>;
}

/** @returns a parser for a flag that is given once. */
export function flag<T>(name: string, kind: ValueKind<T>): FlagParser<T> {
  return Object.assign((text: string) => readFlag(name, kind, text), { kind });
}

/** @returns a parser for a flag that may be repeated: all its values so far form one list. */
export function repeatedFlag<T>(name: string, kind: ValueKind<T>): FlagParser<T> {
  const words: string[] = [];
  const parse = (text: string): T => {
    words.push(text);
    return readFlag(name, kind, words.length === 1 ? text : words);
  };
  return Object.assign(parse, { kind });
}

function readFlag<T>(name: string, kind: ValueKind<T>, given: unknown): T {
  const value = kind.read(given);
  if (value !== undefined) return value;
  const { expected, got } = mistakeIn(kind, given);
  throw new UsageError(`${name}: expected ${expected}, got ${got}`);
}
