/**
 * Names with typed captures: `pxelinux.cfg/01-{mac}`. Text alone. A capture takes any spelling that firmware uses and
 * gives one canonical form. No expression is made of a pattern: one with several captures would try all ways to part a
 * name between them, and take seconds for a hostile one. Here each part looks at each place of a name once.
 */
import { foldCase } from '../content/name.ts';
import { anyMacNode, ipNode, macNode, type NodeId, serialNode, uuidNode } from '../boot-set/node/node-identity.ts';

export type Captures = Readonly<Record<string, string>>;

interface Capture {
  /** Where it may end that begins at `at`, the ends to try first in front. */
  readonly ends: (name: string, at: number) => readonly number[];
  /** @returns undefined when it is none after all. */
  readonly canonical: (text: string) => string | undefined;
  /** Takes what other captures could take as well: two of them at most in a pattern, so that people can foresee a match. */
  readonly free?: boolean;
}

const HEX = '[0-9A-Fa-f]';

/** One of some spellings. @param spellings expressions that can match in one way each. */
function oneOf(...spellings: readonly string[]): Capture['ends'] {
  const expressions = spellings.map((source) => new RegExp(source, 'y'));
  return (name, at) =>
    expressions.flatMap((expression) => {
      expression.lastIndex = at;
      return expression.test(name) ? [expression.lastIndex] : [];
    });
}

/** As many characters of a set as there are, or fewer. */
function run(character: RegExp, most = Number.POSITIVE_INFINITY): Capture['ends'] {
  return (name, at) => {
    let end = at;
    while (end < name.length && end - at < most && character.test(name[end]!)) end++;
    return Array.from({ length: end - at }, (_, less) => end - less);
  };
}

const OCTET = '(?:0|[1-9][0-9]{0,2})';

const IPV4 = oneOf(`(?:${OCTET}\\.){3}${OCTET}`);

/** Four numbers with dots between; of the last, as many digits as there are, or fewer. */
const ipv4Ends: Capture['ends'] = (name, at) => {
  const [whole] = IPV4(name, at);
  if (whole === undefined) return [];
  const last = name.lastIndexOf('.', whole - 1) + 1;
  return Array.from({ length: whole - last }, (_, less) => whole - less);
};

function value(id: NodeId | undefined): string | undefined {
  return id?.slice(id.indexOf(':') + 1);
}

function macOf(text: string): string | undefined {
  return value(anyMacNode(text));
}

function uuidOf(text: string): string {
  const digits = text.replaceAll('-', '').toLowerCase();
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function ipv4Of(text: string): string | undefined {
  return text.split('.').every((part) => Number(part) <= 255) ? text : undefined;
}

const CAPTURES: Readonly<Record<string, Capture>> = {
  mac: {
    // Eight bytes are the GUID of an InfiniBand port.
    ends: oneOf(
      `(?:${HEX}{2}-){7}${HEX}{2}`,
      `(?:${HEX}{2}:){7}${HEX}{2}`,
      `${HEX}{16}`,
      `(?:${HEX}{2}-){5}${HEX}{2}`,
      `(?:${HEX}{2}:){5}${HEX}{2}`,
      `(?:${HEX}{4}\\.){2}${HEX}{4}`,
      `${HEX}{12}`,
    ),
    canonical: macOf,
  },
  uuid: { ends: oneOf(`${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}`, `${HEX}{32}`), canonical: uuidOf },
  hexip: { ends: run(/[0-9A-Fa-f]/, 8), canonical: (text) => text.toUpperCase() },
  ip: { ends: ipv4Ends, canonical: ipv4Of },
  serial: { ends: run(/[0-9A-Za-z._-]/, 64), canonical: (text) => text.toLowerCase(), free: true },
  arch: { ends: run(/[0-9A-Za-z_]/, 32), canonical: (text) => text.toLowerCase(), free: true },
  name: { ends: run(/[^/]/, 255), canonical: (text) => text, free: true },
  'path*': { ends: run(/./s), canonical: (text) => text, free: true },
};
const MAX_FREE = 2;

export interface Pattern {
  readonly text: string;
  /** Without the `*`. */
  readonly captures: readonly string[];
  /** @param name cleaned. */
  match(name: string): Captures | undefined;
}

/** A pattern's parts: text, and captures between. */
type Part = string | Capture;

/**
 * Where each capture begins and ends, so that the first take as much as they can; undefined: nowhere.
 *
 * What has been found not to fit from a part and a place on is not tried again: whether it fits does not depend on how
 * one got there.
 *
 * @param folded the name as it is compared with text.
 */
function spans(
  parts: readonly Part[],
  name: string,
  folded: string,
): readonly (readonly [from: number, to: number])[] | undefined {
  const failed = new Set<number>();
  const found: (readonly [number, number])[] = [];
  const fits = (index: number, at: number): boolean => {
    const part = parts[index];
    if (part === undefined) return at === name.length;
    if (typeof part === 'string') return folded.startsWith(part, at) && fits(index + 1, at + part.length);
    const key = index * (name.length + 1) + at;
    if (failed.has(key)) return false;
    for (const end of part.ends(name, at)) {
      found.push([at, end]);
      if (fits(index + 1, end)) return true;
      found.pop();
    }
    failed.add(key);
    return false;
  };
  return fits(0, 0) ? found : undefined;
}

/**
 * @param ignoreCase whether text outside braces matches ASCII letters of either case. Default false.
 * @throws Error that says what was expected.
 */
export function parsePattern(text: string, ignoreCase = false): Pattern {
  const fold = ignoreCase ? foldCase : (name: string): string => name;
  const parts = text.split(/\{([^{}]*)\}/);
  const names: string[] = [];
  parts.forEach((part, index) => {
    if (index % 2 === 0) {
      if (/[{}]/.test(part)) throw new Error(`expected captures in braces, got ${JSON.stringify(text)}`);
      return;
    }
    const capture = Object.hasOwn(CAPTURES, part) ? CAPTURES[part]! : undefined;
    if (capture === undefined) {
      throw new Error(`expected one of {${Object.keys(CAPTURES).join('}, {')}}, got {${part}}`);
    }
    if (names.includes(part)) throw new Error(`expected {${part}} once`);
    if (index > 1 && parts[index - 1] === '')
      throw new Error(`expected something between {${names.at(-1)}} and {${part}}`);
    names.push(part);
  });
  const kinds = names.map((name) => CAPTURES[name]!);
  if (kinds.filter(({ free }) => free === true).length > MAX_FREE) {
    throw new Error(`expected at most ${MAX_FREE} of {serial}, {arch}, {name} and {path*}`);
  }
  if (text === '' || text.startsWith('/') || /\/\/|[\\\p{Cc}]/u.test(text)) {
    throw new Error(`expected a name without slashes before or doubled, got ${JSON.stringify(text)}`);
  }
  const matched = parts.map((part, index): Part => (index % 2 === 0 ? fold(part) : CAPTURES[part]!));
  const [first, last] = [fold(parts[0]!), fold(parts.at(-1)!)];
  return {
    text,
    captures: names.map((name) => name.replace('*', '')),
    match: (name) => {
      // Most routes are for other names, and this tells.
      const folded = fold(name);
      if (!folded.startsWith(first) || !folded.endsWith(last)) return undefined;
      const found = spans(matched, name, folded);
      if (found === undefined) return undefined;
      const captures: Record<string, string> = {};
      for (const [index, kind] of kinds.entries()) {
        const canonical = kind.canonical(name.slice(...found[index]!));
        if (canonical === undefined) return undefined;
        captures[names[index]!.replace('*', '')] = canonical;
      }
      const { hexip } = captures;
      if (hexip?.length === 8 && captures['ip'] === undefined) {
        captures['ip'] = hexip
          .match(/../g)!
          .map((digits) => Number.parseInt(digits, 16))
          .join('.');
      }
      return captures;
    },
  };
}

/** Puts captures into a text with `{mac}` and the like. @throws Error for one that the pattern does not have. */
export function fill(text: string, captures: Captures, encode: (text: string) => string = (plain) => plain): string {
  return text.replace(/\{([a-z]+)\*?\}/g, (_, name: string) => {
    if (!Object.hasOwn(captures, name)) throw new Error(`expected a capture of the route, got {${name}}`);
    return encode(captures[name]!);
  });
}

/** Whom a name names, the best first; one of each kind. */
export function idsOf({ mac, uuid, serial, ip }: Captures): readonly NodeId[] {
  return [
    mac === undefined ? undefined : macNode(mac),
    uuid === undefined ? undefined : uuidNode(uuid),
    serial === undefined ? undefined : serialNode(serial),
    ip === undefined ? undefined : ipNode(ip),
  ].filter((id) => id !== undefined);
}
