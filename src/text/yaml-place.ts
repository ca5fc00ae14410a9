/**
 * Where things stand in a YAML document: a path of keys and positions to an offset, a value, a spelling for people. Knows
 * YAML's nodes and no shape of any file.
 */
import { type Document, isMap, isNode, isPair, isScalar } from 'yaml';

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
