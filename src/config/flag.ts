/** A flag's value, read by its kind; what is wrong becomes one line that names the flag. */
import { showValue } from '../text/escape.ts';
import { UsageError } from './usage-error.ts';
import type { ValueKind } from './value-kind.ts';

/** @returns a parser for commander, which lets a UsageError through. */
export function flag<T>(name: string, kind: ValueKind<T>): (text: string) => T {
  return (text) => {
    const value = kind.read(text);
    if (value === undefined) throw new UsageError(`${name}: expected ${kind.expected}, got ${showValue(text)}`);
    return value;
  };
}
