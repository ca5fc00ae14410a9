/** The first mistake that a schema found, in our words: Zod's own name neither the value nor what the format wants. */
import type { z } from 'zod';
import { expectedKey } from './closest-word.ts';
import { escapeText, showValue } from './escape.ts';
import { spell, valueAt } from './yaml-place.ts';

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map of keys',
  record: 'a map of keys',
};

function quantity(origin: string, bound: number | bigint): string {
  const units = { string: ['character', 'characters'], array: ['entry', 'entries'] }[origin];
  return units === undefined ? String(bound) : `${bound} ${units[Number(bound) === 1 ? 0 : 1]}`;
}

/** Completes the sentence "expected …". @param keys the known keys. */
function expectedBy(issue: z.core.$ZodIssue, keys: readonly string[]): string {
  switch (issue.code) {
    case 'unrecognized_keys':
      return expectedKey(issue.keys[0]!, keys);
    case 'invalid_type':
      return KINDS[issue.expected] ?? issue.expected;
    case 'invalid_value':
      return `${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`;
    case 'too_small':
      return `at least ${quantity(issue.origin, issue.minimum)}`;
    case 'too_big':
      return `at most ${quantity(issue.origin, issue.maximum)}`;
    default:
      return issue.message.replace(/^expected /, '');
  }
}

/**
 * @param whole stands for the value as a whole where the mistake has no place in it.
 * @param keys the known keys, for a schema that refuses others.
 * @returns one line: `place: expected …, got …`.
 */
export function schemaMistake(error: z.ZodError, value: unknown, whole: string, keys: readonly string[] = []): string {
  const issue = error.issues[0]!;
  const isKey = issue.code === 'unrecognized_keys';
  const path = isKey ? [...issue.path, issue.keys[0]!] : issue.path;
  const got = isKey ? 'an unknown key' : showValue(valueAt(value, path));
  return `${escapeText(spell(path, whole), 120)}: expected ${expectedBy(issue, keys)}, got ${got}`;
}
