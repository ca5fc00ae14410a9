/**
 * Reads the config file: YAML to checked settings. Knows the file's structure and the position of each key; every
 * mistake becomes one line with the file, the line, the key, what was expected and what was found.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isMap, isNode, isScalar, LineCounter, type Document, parseDocument, visit } from 'yaml';
import { z } from 'zod';
import { escapeText, showValue } from '../text/escape.ts';
import { errorCode } from '../text/error-text.ts';
import { keepText, offsetOf, type Path, spell, valueAt } from '../text/yaml-place.ts';
import { expectedKey } from '../text/closest-word.ts';
import { FOLLOW_KEYS } from './follow-list.ts';
import { ROUTE_KEYS } from './route-list.ts';
import { SETTING_LIST, type Settings } from './settings.ts';
import { UsageError } from './usage-error.ts';
import { fieldOf } from './value-field.ts';

/**
 * Size limit, far above any real config: parsing a larger file would only cost memory.
 * @limit Length of a config file, characters. Shows: exit code 2.
 */
const MAX_CONFIG_CHARACTERS = 2 ** 20;
/** Cap on aliases. An alias may stand for a repeated value; a file that multiplies aliases is an attack on memory. */
const MAX_ALIASES = 16;

export interface ConfigFile {
  /** Settings in the file, with absolute paths. */
  readonly values: Partial<Settings>;
  /** Returns the position of a key as `FILE:LINE`. */
  where(key: string): string;
  /** Where a value stands, and which: `FILE:LINE: routes[1].template`. */
  origin(path: Path): string;
}

const KEYS = SETTING_LIST.map(({ key }) => key);
const SCHEMA = z
  .strictObject(Object.fromEntries(SETTING_LIST.map(({ key, kind }) => [key, kind.parts ?? fieldOf(kind)])))
  .partial();

function readText(file: string, shown: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`${shown}: expected a config file, got ${errorCode(error) ?? 'an unreadable file'}`, {
      cause: error,
    });
  }
  if (text.length > MAX_CONFIG_CHARACTERS) {
    throw new UsageError(`${shown}: expected at most ${MAX_CONFIG_CHARACTERS} characters, got ${text.length}`);
  }
  if (text.trim() === '') throw new UsageError(`${shown}:1: expected settings such as "root: DIR", got an empty file`);
  return text;
}

/** Returns the first mistake in the YAML itself; undefined when there is none. */
function syntaxMistake(document: Document, text: string, where: (offset: number) => string): string | undefined {
  const error = document.errors[0] ?? document.warnings[0];
  if (error === undefined) return undefined;
  const [start, end] = error.pos;
  const line = where(start);
  if (error.code === 'DUPLICATE_KEY') {
    const key = /^[^\s:]+/.exec(text.slice(start))?.[0] ?? '';
    return `${line}: ${escapeText(key, 60)}: expected once, got a second time`;
  }
  const lineText = text.slice(text.lastIndexOf('\n', start - 1) + 1).split('\n', 1)[0]!;
  const quotes = /\[[0-9a-f:.]*:[0-9a-f:.]*\]:[0-9]/i.test(lineText)
    ? ' (an IPv6 address needs quotes: "[::]:69")'
    : '';
  const found =
    error.code === 'MULTIPLE_DOCS'
      ? 'a second document'
      : showValue(text.slice(start, Math.max(end, start + 1)).trim());
  return `${line}: expected YAML, got ${found}: ${escapeText(error.message, 120)}${quotes}`;
}

function toPlain(document: Document, shown: string): Record<string, unknown> {
  let aliases = 0;
  visit(document, { Alias: () => void aliases++ });
  if (aliases > MAX_ALIASES) {
    throw new UsageError(`${shown}: expected at most ${MAX_ALIASES} aliases, got ${aliases}`);
  }
  try {
    // Labels that a route selects by are text, whatever type YAML gives them.
    keepText(document.contents, ([first, second]) => first === 'routes' && second === 'when');
    const plain: unknown = document.toJS();
    return typeof plain === 'object' && plain !== null ? { ...plain } : {};
  } catch (cause) {
    throw new UsageError(`${shown}: expected every alias after its anchor, got an alias without an anchor`, { cause });
  }
}

function parseYaml(text: string, counter: LineCounter, shown: string): Document {
  try {
    return parseDocument(text, { lineCounter: counter, prettyErrors: false });
  } catch (error) {
    // Only a file nested so deeply that the parser runs out of stack gets here.
    throw new UsageError(`${shown}: expected YAML, got a file that is nested too deeply`, { cause: error });
  }
}

/** Returns the position of each key. @throws UsageError when the document is not a map with words as keys. */
function keyOffsets(document: Document, at: (offset: number) => string): Map<string, number> {
  const lines = new Map<string, number>();
  const root = document.contents;
  // A file that contains only comments is a valid config: it changes nothing.
  if (root === null || (isScalar(root) && root.value === null)) return lines;
  if (!isMap(root)) {
    throw new UsageError(`${at(root.range?.[0] ?? 0)}: expected settings such as "root: DIR", got no map`);
  }
  for (const { key } of root.items) {
    const offset = isNode(key) ? (key.range?.[0] ?? 0) : 0;
    if (!isScalar(key) || typeof key.value !== 'string') {
      const found = isScalar(key) ? showValue(key.value) : 'no word';
      throw new UsageError(`${at(offset)}: expected a key of ${KEYS.join(', ')}, got ${found}`);
    }
    lines.set(key.value, offset);
  }
  return lines;
}

interface Mistake {
  readonly path: Path;
  /** The message after the key. */
  readonly text: string;
}

function mistakesIn(issue: z.core.$ZodIssue, plain: Record<string, unknown>): Mistake[] {
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.path.length === 0 ? KEYS : issue.path[0] === 'follow' ? FOLLOW_KEYS : ROUTE_KEYS;
    return issue.keys.map((key) => ({
      path: [...issue.path, key],
      text: `expected ${expectedKey(key, keys)}, got an unknown key`,
    }));
  }
  const got: unknown = issue.code === 'custom' ? issue.params?.['got'] : undefined;
  const found = typeof got === 'string' ? got : showValue(valueAt(plain, issue.path));
  return [{ path: issue.path, text: `expected ${issue.message}, got ${found}` }];
}

/**
 * Reads and checks a config file.
 *
 * @param file path of the file; relative paths in it are relative to its folder.
 * @throws UsageError with one line for the first mistake.
 */
export function readConfig(file: string): ConfigFile {
  const shown = escapeText(file);
  const text = readText(file, shown);
  const counter = new LineCounter();
  const at = (offset: number): string => `${shown}:${Math.max(1, counter.linePos(offset).line)}`;
  const document = parseYaml(text, counter, shown);
  const mistake = syntaxMistake(document, text, at);
  if (mistake !== undefined) throw new UsageError(mistake);

  const lines = keyOffsets(document, at);
  const where = (key: string): string => at(lines.get(key) ?? 0);

  const origin = (path: Path): string => `${at(offsetOf(document, path))}: ${escapeText(spell(path, 'config'), 60)}`;

  const plain = toPlain(document, shown);
  const checked = SCHEMA.safeParse(plain);
  if (!checked.success) {
    const mistakes = checked.error.issues.flatMap((issue) => mistakesIn(issue, plain));
    const placed = mistakes.map((one) => ({ ...one, offset: offsetOf(document, one.path) }));
    const first = placed.toSorted((a, b) => a.offset - b.offset)[0]!;
    throw new UsageError(`${origin(first.path)}: ${first.text}`);
  }
  const absolute = (path: unknown): unknown =>
    Array.isArray(path) ? path.map(absolute) : resolve(dirname(file), path as string);
  const values = SETTING_LIST.flatMap(({ name, key, kind }) => {
    const value = checked.data[key];
    return value === undefined ? [] : [[name, kind.isPath === true ? absolute(value) : value] as const];
  });
  return { values: Object.fromEntries(values), where, origin };
}
