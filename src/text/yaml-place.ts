/**
 * Where things stand in a YAML document: a path of keys and positions to an offset, a value, a spelling for people; and
 * which values keep the text that stands there. Knows YAML's nodes and no shape of any file.
 */
import { type Document, isMap, isNode, isPair, isScalar, isSeq, type ParsedNode } from 'yaml';

export type Path = readonly PropertyKey[];

/** `stages[2].think`, counted from 1; what has no path is called `whole`. */
export function spell(path: Path, whole: string): string {
  const spelled = path.map((key) => (typeof key === 'number' ? `[${key + 1}]` : `.${String(key)}`)).join('');
  return spelled.replace(/^\./, '') || whole;
}

/** Where the value at `path` starts, or its key, or whatever of its surroundings is there. */
export function offsetOf(document: Document, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const parent: unknown = document.getIn(path.slice(0, length - 1), true);
    const last = path[length - 1];
    const pair = isMap(parent) ? parent.items.find(({ key }) => isScalar(key) && key.value === last) : undefined;
    const node: unknown = pair !== undefined && isPair(pair) ? pair.key : document.getIn(path.slice(0, length), true);
    if (isNode(node)) return node.range?.[0] ?? 0;
  }
  return document.contents?.range?.[0] ?? 0;
}

export function valueAt(plain: unknown, path: Path): unknown {
  let value = plain;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

/**
 * Undoes what YAML makes of text that names something: `00001234` is 1234 to it, `1.10` is 1.1, `100000e3` is 100000000.
 * A plain scalar becomes the text in the file where `isText` says so, elsewhere only if it is a number (or a date, in
 * YAML 1.1) that would be written otherwise; keys of maps always. Nothing at all stays null. Call before toJS().
 *
 * @param isText gets the keys above a value; positions in lists are not among them.
 */
export function keepText(
  node: unknown,
  isText: (keys: readonly string[]) => boolean,
  keys: readonly string[] = [],
): void {
  if (isMap(node)) {
    for (const { key, value } of node.items) {
      keepText(key, () => true);
      keepText(value, isText, [...keys, isScalar(key) ? String(key.value) : '']);
    }
  } else if (isSeq(node)) for (const item of node.items) keepText(item, isText, keys);
  else if (isScalar(node) && node.type === 'PLAIN' && node.source !== undefined && node.source !== '') {
    const { value, source } = node;
    const isChanged = typeof value === 'number' ? String(value) !== source : value instanceof Date;
    if (isText(keys) || isChanged) node.value = source;
  }
}

/** Whether two keys of a map are one: for the parser, where keys are text. */
export function isSameKey(one: ParsedNode, other: ParsedNode): boolean {
  return (
    one === other || (isScalar(one) && isScalar(other) && (one.source ?? one.value) === (other.source ?? other.value))
  );
}
