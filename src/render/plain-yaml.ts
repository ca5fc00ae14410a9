/**
 * Fast reader for plain YAML: block maps, flow maps and lists of simple scalars. An inventory of thousands of nodes
 * consists almost entirely of these, and the full parser takes 0.2 ms per node. Anything else gives undefined and is
 * left to the full parser. Where this reader gives a value, the full parser gives the same (tested): the text as
 * written, and below `vars` the value that YAML defines.
 */
import type { Json } from './types.ts';

/** A scalar that starts with no character special in YAML. The caller excludes `: ` and ` #`. */
const PLAIN = /^(?![-?:](?:\s|$))[A-Za-z0-9_./+=~^$()-][A-Za-z0-9_./+=@~^$();<\\ :,*&!%'"-]*$/;
const FLOW_PLAIN = /^(?![-?:](?:\s|$))[A-Za-z0-9_./+=-][A-Za-z0-9_./+=@:; -]*$/;
const SPECIAL = /^(?:~|null|Null|NULL|true|True|TRUE|false|False|FALSE)$/;
const NUMBER_LIKE = /^[-+]?(?:\.?[0-9]|\.inf|\.Inf|\.INF)|^\.nan|^\.NaN|^\.NAN/;
const NOT_A_NUMBER = /^[-+]?[0-9.]*[^-+0-9.eExob]|\..*\.|:/;
const WHOLE = /^(?:0|[1-9][0-9]{0,14})$/;
/** A line that is blank or contains a character outside printable ASCII. */
const NOT_PLAIN = /[^\x20-\x7e]|^ *$/;
const KEY = /^([A-Za-z_][A-Za-z0-9_-]*):(?: +|$)/;

function scalar(text: string, allowed: RegExp, isText: boolean): Json | undefined {
  if (text.includes(': ') || text.includes(' #') || text.endsWith(':') || !allowed.test(text)) return undefined;
  if (isText) return text;
  if (WHOLE.test(text)) return Number(text);
  if (SPECIAL.test(text)) return undefined;
  if (NUMBER_LIKE.test(text) && !NOT_A_NUMBER.test(text)) return undefined;
  if (/^[-+]?\.(?:inf|nan)$/i.test(text) || /^[-+]?0[xob]/.test(text)) return undefined;
  return text;
}

/** Reads `{ a: b, c: d }` or `[a, b]`, without nesting. */
function flow(text: string, isText: boolean): Json | undefined {
  const inner = text.slice(1, -1).trim();
  if (text.startsWith('[') && text.endsWith(']')) {
    const items: Json[] = [];
    for (const part of inner === '' ? [] : inner.split(',')) {
      const item = scalar(part.trim(), FLOW_PLAIN, isText);
      if (item === undefined) return undefined;
      items.push(item);
    }
    return items;
  }
  if (!text.startsWith('{') || !text.endsWith('}')) return undefined;
  const map: Record<string, Json> = {};
  for (const part of inner === '' ? [] : inner.split(',')) {
    const pair = part.trim();
    const key = KEY.exec(pair);
    const item = key === null ? undefined : scalar(pair.slice(key[0].length), FLOW_PLAIN, isText);
    if (item === undefined || Object.hasOwn(map, key![1]!)) return undefined;
    map[key![1]!] = item;
  }
  return map;
}

function indentOf(line: string): number {
  let at = 0;
  while (line[at] === ' ') at++;
  return at;
}

/**
 * Reads the map whose lines start at `from`, each indented by `indent`. `isText` tells for which keys the values are
 * text. `next` is the first line after the map.
 */
function readMap(
  lines: readonly string[],
  from: number,
  indent: number,
  isText: (key: string) => boolean,
): { map: Record<string, Json>; next: number } | undefined {
  const map: Record<string, Json> = {};
  let at = from;
  while (at < lines.length && indentOf(lines[at]!) === indent) {
    const rest = lines[at]!.slice(indent).trimEnd();
    const key = KEY.exec(rest);
    if (key === null || Object.hasOwn(map, key[1]!) || key[1] === '__proto__') return undefined;
    const text = rest.slice(key[0].length);
    at++;
    if (text === '') {
      const deeper = at < lines.length ? indentOf(lines[at]!) : 0;
      const inner = deeper > indent ? readMap(lines, at, deeper, () => isText(key[1]!)) : undefined;
      if (inner === undefined) return undefined;
      map[key[1]!] = inner.map;
      at = inner.next;
      continue;
    }
    const value =
      text[0] === '{' || text[0] === '[' ? flow(text, isText(key[1]!)) : scalar(text, PLAIN, isText(key[1]!));
    if (value === undefined) return undefined;
    map[key[1]!] = value;
  }
  // A line indented deeper continues a scalar, which the full parser must read; a line indented less belongs to the
  // caller.
  return at < lines.length && indentOf(lines[at]!) > indent ? undefined : { map, next: at };
}

/** Returns the map in `lines`; undefined when only the full parser can read it. */
export function readPlainMap(lines: readonly string[]): Readonly<Record<string, Json>> | undefined {
  if (lines.length === 0 || lines.some((line) => NOT_PLAIN.test(line))) return undefined;
  const read = readMap(lines, 0, indentOf(lines[0]!), (key) => key !== 'vars');
  return read?.next === lines.length ? read.map : undefined;
}
