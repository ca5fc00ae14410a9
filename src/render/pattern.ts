/**
 * Name patterns with typed captures: `pxelinux.cfg/01-{mac}`. Works on text alone. A capture accepts any spelling that
 * firmware uses and yields one canonical form. Patterns are not compiled to one regular expression: with several
 * captures it would try every way to split a name, which takes seconds for a hostile name. Here each part visits each
 * position of a name at most once.
 */
import { foldCase } from '../content/name.ts';
import { anyMacNode, ipNode, macNode, type NodeId, serialNode, uuidNode } from '../boot-set/node/node-identity.ts';

export type Captures = Readonly<Record<string, string>>;

interface Capture {
  /** Returns the possible ends of a capture that begins at `at`, in the order to try them. */
  readonly ends: (name: string, at: number) => readonly number[];
  /** @returns the canonical form; undefined when the text is not valid after all. */
  readonly canonical: (text: string) => string | undefined;
  /**
   * True for a capture that overlaps with others. A pattern may have two of them at most, so that people can predict
   * its matches.
   */
  readonly free?: boolean;
}

const HEX = '[0-9A-Fa-f]';

/** Matches one of several spellings. @param spellings expressions, each of which can match in only one way. */
function oneOf(...spellings: readonly string[]): Capture['ends'] {
  const expressions = spellings.map((source) => new RegExp(source, 'y'));
  return (name, at) =>
    expressions.flatMap((expression) => {
      expression.lastIndex = at;
      return expression.test(name) ? [expression.lastIndex] : [];
    });
}

/** Matches one or more characters of a set, as many as possible first. */
function run(character: RegExp, most = Number.POSITIVE_INFINITY): Capture['ends'] {
  return (name, at) => {
    let end = at;
    while (end < name.length && end - at < most && character.test(name[end]!)) end++;
    return Array.from({ length: end - at }, (_, less) => end - less);
  };
}

const OCTET = '(?:0|[1-9][0-9]{0,2})';

const IPV4 = oneOf(`(?:${OCTET}\\.){3}${OCTET}`);

/** Matches an IPv4 address; the last number may end early, longest first. */
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
  /** Names of the captures, without the `*`. */
  readonly captures: readonly string[];
  /** @param name cleaned name. */
  match(name: string): Captures | undefined;
}

/** Part of a pattern: literal text or a capture. */
type Part = string | Capture;

/**
 * Finds where each capture begins and ends, with earlier captures as long as possible; undefined when the name does not
 * match.
 *
 * A part that failed at a position is not tried there again: whether the rest fits does not depend on the way to it.
 *
 * @param folded the name in the form that is compared with literal text.
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
 * @param ignoreCase true to match ASCII letters outside braces in either case. Default false.
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
      // A quick check that rules out most routes.
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

/**
 * Fills captures into a text with placeholders such as `{mac}`.
 *
 * @throws Error for a placeholder that is not a capture.
 */
export function fill(text: string, captures: Captures, encode: (text: string) => string = (plain) => plain): string {
  return text.replace(/\{([a-z]+)\*?\}/g, (_, name: string) => {
    if (!Object.hasOwn(captures, name)) throw new Error(`expected a capture of the route, got {${name}}`);
    return encode(captures[name]!);
  });
}

/** Returns the ids in the captures, the best first, one of each kind. */
export function idsOf({ mac, uuid, serial, ip }: Captures): readonly NodeId[] {
  return [
    mac === undefined ? undefined : macNode(mac),
    uuid === undefined ? undefined : uuidNode(uuid),
    serial === undefined ? undefined : serialNode(serial),
    ip === undefined ? undefined : ipNode(ip),
  ].filter((id) => id !== undefined);
}
