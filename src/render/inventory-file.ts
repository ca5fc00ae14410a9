/**
 * Reads an inventory file on a render thread: YAML or JSON, checked by a schema, with nodes merged with their profile
 * and groups. Reports faults with file and line. Knows no requests.
 */
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { expectedKey } from '../text/closest-word.ts';
import { showValue } from '../text/escape.ts';
import { glob } from '../text/glob.ts';
import { isSameKey, keepText, type Path, spell, valueAt } from '../text/yaml-place.ts';
import { anyMacNode, ipNode, serialNode, uuidNode } from '../boot-set/node/node-identity.ts';
import type { PackedInventory } from './jobs.ts';
import { INVENTORY_BYTES } from './limits.ts';
import { readPlainMap } from './plain-yaml.ts';
import type { InventoryNode, Json } from './types.ts';

/** Cap on the MACs, and on the addresses, of one node. */
const MAX_IDS = 64;

// A JSON number has lost its spelling, so identifiers must be strings.
const identifier = z.string('expected text in quotes');
const word = identifier.regex(/^[^\s\p{Cc}]{1,255}$/u, 'expected a word');
const line = identifier.regex(/^\P{Cc}{0,4096}$/u, 'expected one line');
// Both parsers produce nothing but JSON values.
const json = z.unknown();

/** A map with any words as keys. */
function mapOf<T extends z.ZodType>(value: T): z.ZodRecord<typeof word, T> {
  return z.record(word, value, {
    error: ({ code }) => (code === 'invalid_key' ? 'expected words as keys' : 'expected a map'),
  });
}

/** A map with these keys. */
function mapWith<T extends z.ZodRawShape>(shape: T): z.ZodObject<T, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `expected ${expectedKey(issue.keys[0]!, Object.keys(shape))}, got an unknown key`
        : 'expected a map',
  });
}

function listOf<T extends z.ZodType>(item: T): z.ZodArray<T> {
  return z.array(item, 'expected a list');
}

const given = {
  channel: word.optional(),
  arch: word.optional(),
  args: line.optional(),
  labels: mapOf(line).optional(),
  vars: mapOf(json).optional(),
};

function oneOrMore<T extends z.ZodType>(item: T): z.ZodUnion<[T, z.ZodArray<T>]> {
  return z.union([item, listOf(item).max(MAX_IDS, `expected at most ${MAX_IDS} in the list`)]);
}

const mac = identifier.transform((written, context) => {
  const node = anyMacNode(written);
  if (node === undefined) context.addIssue(`expected the MAC of one machine, got ${JSON.stringify(written)}`);
  return node?.slice('mac:'.length) ?? '';
});
const uuid = identifier.transform((written, context) => {
  const node = uuidNode(written);
  if (node === undefined) context.addIssue(`expected the UUID of one machine, got ${JSON.stringify(written)}`);
  return written.toLowerCase();
});
const address = z
  .string('expected an address')
  .refine((text) => isIP(text) !== 0 && !text.includes('%'), 'expected an address');
const serial = word.transform((digits) => digits.toLowerCase());

const nodeSchema = mapWith({
  name: word,
  mac: oneOrMore(mac).optional(),
  uuid: uuid.optional(),
  serial: serial.optional(),
  address: oneOrMore(address).optional(),
  profile: word.optional(),
  ...given,
});
const fileSchema = mapWith({
  profiles: mapOf(mapWith(given)).optional(),
  groups: listOf(mapWith({ name: word, select: mapOf(line), ...given })).optional(),
  nodes: listOf(z.unknown()).optional(),
});

type Given = { readonly [K in keyof typeof given]?: z.output<(typeof given)[K]> | undefined };
type NodeEntry = z.output<typeof nodeSchema>;

/** A fault and its place in the data. */
class Wrong extends Error {
  readonly path: Path;

  constructor(path: Path, message: string) {
    super(message);
    this.path = path;
  }
}

function list<T>(value: T | readonly T[] | undefined): readonly T[] {
  return value === undefined ? [] : Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

function checked<T extends z.ZodType>(schema: T, value: unknown, at: Path): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  let issue = parsed.error.issues[0]!;
  let path = issue.path;
  // For a union, reports the error of the option that came nearest.
  while (issue.code === 'invalid_union') {
    const inner = issue.errors.find((issues) => issues.some(({ code }) => code !== 'invalid_type')) ?? issue.errors[0];
    if (inner?.[0] === undefined) break;
    issue = inner[0];
    path = [...path, ...issue.path];
  }
  if (issue.code === 'unrecognized_keys') path = [...path, issue.keys[0]!];
  const got = issue.message.includes(', got ') ? '' : `, got ${showValue(valueAt(value, path))}`;
  throw new Wrong([...at, ...path], `${spell(path, spell(at, 'inventory'))}: ${issue.message}${got}`);
}

function matcher(select: Readonly<Record<string, string>>): (values: Readonly<Record<string, string>>) => boolean {
  const wanted = Object.entries(select).map(([key, value]) => [key, glob(value)] as const);
  return (values) => wanted.every(([key, fits]) => Object.hasOwn(values, key) && fits(values[key]!));
}

/** Merges a node with its profile and groups: later values win, and arguments are concatenated. */
function merged(node: NodeEntry, groups: readonly string[], all: readonly Given[]): InventoryNode {
  const last = (key: 'channel' | 'arch'): string | undefined => all.findLast((part) => part[key] !== undefined)?.[key];
  const channel = last('channel');
  const arch = last('arch');
  return {
    name: node.name,
    mac: list(node.mac),
    ...(node.uuid === undefined ? {} : { uuid: node.uuid }),
    ...(node.serial === undefined ? {} : { serial: node.serial }),
    address: list(node.address),
    ...(arch === undefined ? {} : { arch }),
    ...(channel === undefined ? {} : { channel }),
    args: all.flatMap(({ args }) => args || []).join(' '),
    ...(node.profile === undefined ? {} : { profile: node.profile }),
    groups,
    labels: Object.assign({}, ...all.map(({ labels }) => labels)) as Record<string, string>,
    vars: Object.assign({}, ...all.map(({ vars }) => vars)) as Record<string, Json>,
  };
}

function merge(data: unknown, file: string): PackedInventory {
  const { profiles = {}, groups = [], nodes = [] } = checked(fileSchema, data ?? {}, []);
  const selectors = groups.map(({ select, ...group }) => ({ fits: matcher(select), group }));
  const owners = new Map<string, string>();
  const packed: string[] = [];
  const lines: string[] = [];
  nodes.forEach((entry, index) => {
    const at = ['nodes', index] as const;
    const node = checked(nodeSchema, entry, at);
    const { name, profile } = node;
    if (profile !== undefined && !Object.hasOwn(profiles, profile)) {
      const known = Object.keys(profiles).join(', ');
      const expected = known === '' ? 'none, since the inventory declares no profiles' : `one of ${known}`;
      throw new Wrong([...at, 'profile'], `profile: expected ${expected}, got ${showValue(profile)}`);
    }
    const own = profile === undefined ? undefined : profiles[profile]!;
    const labels: Record<string, string> = {
      ...own?.labels,
      ...node.labels,
      name,
      ...(profile === undefined ? {} : { profile }),
    };
    const fitting = selectors.filter(({ fits }) => fits(labels)).map(({ group }) => group);
    const full = merged(
      node,
      fitting.map((group) => group.name),
      [...(own === undefined ? [] : [own]), ...fitting, node],
    );
    const ids = [
      `name:${name}`,
      ...full.mac.map((text) => `mac:${text}`),
      ...(full.uuid === undefined ? [] : [uuidNode(full.uuid)!]),
      ...(full.serial === undefined ? [] : [serialNode(full.serial)]),
      ...full.address.map(ipNode),
    ];
    for (const id of new Set(ids)) {
      const other = owners.get(id);
      if (other !== undefined) throw new Wrong(at, `${id.replace(':', ' ')} already belongs to ${other}`);
      owners.set(id, name);
    }
    packed.push(JSON.stringify(full));
    lines.push(ids.join(' '));
  });
  return { file, nodes: packed, ids: lines.join('\n') };
}

/** Returns true when a value is read as the text in the file, which holds for all but the values below `vars`. */
function isText(keys: readonly string[]): boolean {
  return keys[keys[0] === 'profiles' ? 2 : 1] !== 'vars';
}

/** @throws YAMLParseError, or ReferenceError for too many aliases. */
function parse(yaml: string, isTextAt: typeof isText, maxAliasCount = 100): unknown {
  const document = parseDocument(yaml, { uniqueKeys: isSameKey });
  if (document.errors[0] !== undefined) throw document.errors[0];
  keepText(document.contents, isTextAt);
  return document.toJS({ maxAliasCount }) as unknown;
}

const NODES = /^nodes:[ ]*$/m;

/**
 * Reads the list of nodes item by item and the rest with the full parser.
 *
 * @returns undefined when that is not possible.
 */
function readByItem(text: string): unknown {
  const start = NODES.exec(text);
  // Aliases may point anywhere, and the file may hold several documents.
  if (start === null || /^(?:---|\.\.\.|%)|[&*][A-Za-z]|<<:/m.test(text)) return undefined;
  const from = start.index + start[0].length + 1;
  const end = /^[^\s#-]/m.exec(text.slice(from));
  const to = end === null ? text.length : from + end.index;
  const lines = text.slice(from, to).replaceAll('\r\n', '\n').split('\n');
  const indent = /^ *(?=- )/.exec(lines.find((one) => /^ *- /.test(one)) ?? '')?.[0];
  if (indent === undefined) return undefined;
  const items: string[][] = [];
  for (const one of lines) {
    if (one.trim() === '' || one.trimStart().startsWith('#')) continue;
    if (one.startsWith(`${indent}- `)) items.push([`${indent}  ${one.slice(indent.length + 2)}`]);
    else if (items.length === 0 || !one.startsWith(`${indent} `)) return undefined;
    else items.at(-1)!.push(one);
  }
  const rest: unknown = parse(`${text.slice(0, start.index)}\n${text.slice(to)}`, isText);
  if (rest !== null && (typeof rest !== 'object' || 'nodes' in rest)) return undefined;
  const nodes = items.map(
    (item): unknown => readPlainMap(item) ?? parse(item.join('\n'), ([key]) => key !== 'vars', 0),
  );
  return { ...rest, nodes };
}

function readAll(text: string, file: string): unknown {
  if (file.endsWith('.json')) return JSON.parse(text) as unknown;
  try {
    const data = readByItem(text);
    if (data !== undefined) return data;
  } catch {
    // The full parser reports the place of the fault.
  }
  return parse(text, isText, 10_000);
}

/** Finds the line of a fault with the full parser, which is needed only in this case. */
function lineOf(text: string, path: Path): number | undefined {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter });
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true) as { range?: readonly number[] } | undefined;
    const at = node?.range?.[0];
    if (at !== undefined) return counter.linePos(at).line;
  }
  return 1;
}

/** @throws Error with a one-line message: file, line, what was expected. */
export function readInventory(file: string): PackedInventory {
  let text: string;
  try {
    if (statSync(file).size > INVENTORY_BYTES) throw new Error(`expected at most ${INVENTORY_BYTES} bytes`);
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`, { cause: error });
  }
  try {
    return merge(readAll(text, file), file);
  } catch (error) {
    const [first = ''] = (error as Error).message.split('\n');
    const { linePos } = error as { linePos?: readonly { readonly line: number }[] };
    const at = error instanceof Wrong ? lineOf(text, error.path) : linePos?.[0]?.line;
    const where = at === undefined ? file : `${file}:${at}`;
    throw new Error(`${where}: ${first.replace(/ at line \d+, column \d+:?$/, '')}`, { cause: error });
  }
}
