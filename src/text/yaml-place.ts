/**
 * Positions in a YAML document: from a path of keys and indexes to an offset, a value, or a spelling for people; and
 * which values keep their text from the file. Knows YAML's nodes and no shape of any file.
 */
import { type Document, isMap, isNode, isPair, isScalar, isSeq, type ParsedNode } from 'yaml';

export type Path = readonly PropertyKey[];

/** Spells a path as `stages[2].think`, counted from 1; an empty path as `whole`. */
export function spell(path: Path, whole: string): string {
  const spelled = path.map((key) => (typeof key === 'number' ? `[${key + 1}]` : `.${String(key)}`)).join('');
  return spelled.replace(/^\./, '') || whole;
}

/** Returns where the key or the value at `path` starts, or else its nearest ancestor that exists. */
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
 * Undoes YAML's conversions of text that names something: it reads `00001234` as 1234, `1.10` as 1.1, `100000e3` as
 * 100000000. A plain scalar becomes the text in the file where `isText` says so; elsewhere only if it is a number (or a
 * date, in YAML 1.1) whose usual form differs from the file. Keys of maps always become text. An empty value stays
 * null. Call it before toJS().
 *
 * @param isText gets the keys above a value, without positions in lists.
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

/** Tells the parser whether two keys of a map are equal, where keys are text. */
export function isSameKey(one: ParsedNode, other: ParsedNode): boolean {
  return (
    one === other || (isScalar(one) && isScalar(other) && (one.source ?? one.value) === (other.source ?? other.value))
  );
}
