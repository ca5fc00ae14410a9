/**
 * Names with typed captures: `pxelinux.cfg/01-{mac}`. Text alone. A capture takes any spelling that firmware uses and
 * gives one canonical form; no expression of the user's is ever run, and none of ours can take long.
 */
import { ipNode, macNode, type NodeId, serialNode, uuidNode } from '../boot-set/node/node-identity.ts';

export type Captures = Readonly<Record<string, string>>;

interface Capture {
  readonly source: string;
  /** @returns undefined when it is none after all. */
  readonly canonical: (text: string) => string | undefined;
  /** Takes what other captures could take as well: two of them at most in a pattern, or a match could take long. */
  readonly free?: boolean;
}

const HEX = '[0-9A-Fa-f]';

function value(id: NodeId | undefined): string | undefined {
  return id?.slice(id.indexOf(':') + 1);
}

function macOf(text: string): string | undefined {
  const digits = text.replace(/[^0-9A-Fa-f]/g, '');
  return value(macNode(digits.replace(/..(?!$)/g, '$&:')));
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
    source: `(?:${HEX}{2}-){5}${HEX}{2}|(?:${HEX}{2}:){5}${HEX}{2}|(?:${HEX}{4}\\.){2}${HEX}{4}|${HEX}{12}`,
    canonical: macOf,
  },
  uuid: { source: `${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}|${HEX}{32}`, canonical: uuidOf },
  hexip: { source: `${HEX}{1,8}`, canonical: (text) => text.toUpperCase() },
  ip: { source: '(?:(?:0|[1-9][0-9]{0,2})\\.){3}(?:0|[1-9][0-9]{0,2})', canonical: ipv4Of },
  serial: { source: '[0-9A-Za-z._-]{1,64}', canonical: (text) => text.toLowerCase(), free: true },
  arch: { source: '[0-9A-Za-z_]{1,32}', canonical: (text) => text.toLowerCase(), free: true },
  name: { source: '[^/]{1,255}', canonical: (text) => text, free: true },
  'path*': { source: '.+', canonical: (text) => text, free: true },
};
const MAX_FREE = 2;

export interface Pattern {
  readonly text: string;
  /** Without the `*`. */
  readonly captures: readonly string[];
  /** @param name cleaned. */
  match(name: string): Captures | undefined;
}

function quote(text: string): string {
  return text.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&');
}

/** @throws Error that says what was expected. */
export function parsePattern(text: string): Pattern {
  const parts = text.split(/\{([^{}]*)\}/);
  const names: string[] = [];
  let source = '';
  parts.forEach((part, index) => {
    if (index % 2 === 0) {
      if (/[{}]/.test(part)) throw new Error(`expected captures in braces, got ${JSON.stringify(text)}`);
      source += quote(part);
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
    source += `(${capture.source})`;
  });
  const kinds = names.map((name) => CAPTURES[name]!);
  if (kinds.filter(({ free }) => free === true).length > MAX_FREE) {
    throw new Error(`expected at most ${MAX_FREE} of {serial}, {arch}, {name} and {path*}`);
  }
  if (text === '' || text.startsWith('/') || /\/\/|[\\\p{Cc}]/u.test(text)) {
    throw new Error(`expected a name without slashes before or doubled, got ${JSON.stringify(text)}`);
  }
  const expression = new RegExp(`^${source}$`, 's');
  return {
    text,
    captures: names.map((name) => name.replace('*', '')),
    match: (name) => {
      const found = expression.exec(name);
      if (found === null) return undefined;
      const captures: Record<string, string> = {};
      for (const [index, kind] of kinds.entries()) {
        const canonical = kind.canonical(found[index + 1]!);
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
