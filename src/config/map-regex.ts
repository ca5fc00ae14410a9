/**
 * Parses the regular expressions and replacements of tftp-hpa's map files, as far as a route's pattern can express
 * them: text, `.*` and `[^/]*`, groups, and both anchors. Knows the syntax (POSIX extended, tftpd(8)); not what a rule
 * does.
 */

/** A character, or a capture of a route. `.*` also matches nothing, which a capture never does. */
export type Token = { readonly text: string } | { readonly capture: 'path*' | 'name'; readonly mayBeEmpty: boolean };

export interface MapPattern {
  /** Tokens for the whole name: an unanchored side begins or ends with a capture. */
  readonly tokens: readonly Token[];
  /** The replaced part, followed by each group in it: positions in `tokens`, end excluded. */
  readonly groups: readonly (readonly [from: number, to: number])[];
  /** True when a dot without a backslash was read as a literal dot. */
  readonly hasLooseDots: boolean;
}

/** A rule that no pattern can express; the message completes "not carried over: …". */
export class Unsupported extends Error {}

const REPEATS = '*+?{';

function textToken(character: string, next: string | undefined, ignoreCase: boolean): Token {
  if (next !== undefined && REPEATS.includes(next)) throw new Unsupported(`${character}${next}: a repetition`);
  if (ignoreCase && /[A-Za-z]/.test(character))
    throw new Unsupported('i: letters in upper and lower case (see caseInsensitive)');
  if ('{}'.includes(character)) throw new Unsupported('a brace');
  return { text: character };
}

/** @throws Unsupported when no pattern can express the regex. */
export function parseMapRegex(regex: string, ignoreCase: boolean): MapPattern {
  const tokens: Token[] = [];
  const groups: [number, number][] = [[0, 0]];
  const open: number[] = [];
  const anywhere: Token = { capture: 'path*', mayBeEmpty: true };
  let hasLooseDots = false;
  let isEnd = false;
  const isStart = regex.startsWith('^');
  if (!isStart) tokens.push(anywhere);
  groups[0]![0] = tokens.length;
  // An optional slash is skipped: names in routes have no leading slash.
  let at = isStart ? (/^\^(?:\/[?*])?/.exec(regex)?.[0].length ?? 0) : 0;
  while (at < regex.length) {
    const rest = regex.slice(at);
    const character = rest[0]!;
    const capture = /^(\.|\[\^\/\])([*+])/.exec(rest);
    const single = /^\[([^\]^\\])\]/.exec(rest) ?? /^\\([^A-Za-z0-9])/.exec(rest);
    if (capture !== null) {
      tokens.push({ capture: capture[1] === '.' ? 'path*' : 'name', mayBeEmpty: capture[2] === '*' });
      at += capture[0].length;
      if (REPEATS.includes(regex[at] ?? ' ')) throw new Unsupported('a repetition of a repetition');
    } else if (single !== null) {
      at += single[0].length;
      tokens.push(textToken(single[1]!, regex[at], ignoreCase));
    } else if (character === '(') {
      open.push(groups.length);
      groups.push([tokens.length, tokens.length]);
      at++;
    } else if (character === ')') {
      const group = open.pop();
      if (group === undefined) throw new Unsupported('a ) without a (');
      groups[group]![1] = tokens.length;
      at++;
      if (REPEATS.includes(regex[at] ?? ' ')) throw new Unsupported('an optional or repeated group');
    } else if (character === '$' && at === regex.length - 1) {
      isEnd = true;
      at++;
    } else {
      if (character === '|') throw new Unsupported('alternatives (write a rule for each)');
      if (character === '[') throw new Unsupported('a set of characters');
      if ('\\^$*+?{'.includes(character)) throw new Unsupported(rest.slice(0, 2));
      hasLooseDots ||= character === '.';
      at++;
      tokens.push(textToken(character, regex[at], ignoreCase));
    }
  }
  if (open.length > 0) throw new Unsupported('a ( without a )');
  groups[0]![1] = tokens.length;
  if (!isEnd) tokens.push(anywhere);
  return { tokens, groups, hasLooseDots };
}

/** Parses a replacement into texts, which may hold `{client}`, and group numbers. @throws Unsupported when no rewrite can express it. */
export function parseReplacement(replacement: string): readonly (string | number)[] {
  const parts: (string | number)[] = [];
  let change = (text: string): string => text;
  for (const [whole] of replacement.matchAll(/\\?./gsu)) {
    const escaped = whole.length > 1 ? whole.slice(1) : undefined;
    if ('{}'.includes(escaped ?? whole)) throw new Unsupported('a brace');
    if (escaped === undefined) parts.push(change(whole));
    else if (/[0-9]/.test(escaped)) parts.push(Number(escaped));
    else if (escaped === 'i') parts.push('{client}');
    else if (escaped === 'x') throw new Unsupported(`${whole}: the client address in hexadecimal digits`);
    else if (escaped === 'L') change = (text) => text.toLowerCase();
    else if (escaped === 'U') change = (text) => text.toUpperCase();
    else if (escaped === 'E') change = (text) => text;
    else parts.push(change(escaped));
  }
  if (/\\[LU][^E]*\\[0-9]/.test(replacement)) throw new Unsupported('\\L or \\U of matched text');
  return parts;
}
