/**
 * Converts tftp-hpa's map files to routes. tftpd tries all rules from the top, as routes try rewrites; each rule
 * becomes a route, or one route per form, where the result is the same. Other rules become remarks. Knows rules
 * (tftpd(8)) and route patterns; reads no files.
 */
import { parsePattern } from '../render/pattern.ts';
import type { RouteConfig } from '../render/types.ts';
import { type MapPattern, parseMapRegex, parseReplacement, type Token, Unsupported } from './map-regex.ts';

export interface MapRules {
  readonly routes: readonly RouteConfig[];
  /** One line per rule that was not carried over, or only approximately: `FILE:LINE: RULE: why`. */
  readonly remarks: readonly string[];
}

export interface MapOptions {
  /** Name of the file in messages. */
  readonly file: string;
  /** Folder that names begin with when tftpd serves absolute names, that is without changing its root. */
  readonly prefix?: string | undefined;
}

interface Rule {
  readonly line: number;
  readonly flags: string;
  readonly regex: string;
  readonly replacement: string;
}

/** Text with captures in braces. */
type Template = string;

/** A route, and the name after it; undefined for a rule that refuses. */
interface Form {
  readonly match: Template;
  readonly becomes: Template | undefined;
}

/** Cap on captures that may be empty; a rule with more is not supported. */
const MAX_CAPTURES = 2;
/** Placeholders for text that is not known here. `{client}` occurs in replacements alone. */
const CAPTURE = /\{(?:path\*|name|client)\}/;
/**
 * Rules for spellings that Reveille cleans before routes see a name: backslashes, drive letters, leading and doubled
 * slashes.
 */
const BUILT_IN: readonly (readonly [regex: RegExp, replacement: RegExp])[] = [
  [/^\\\\$/, /^\/$/],
  [/^\^(?:\[(?:a-z|A-Z|a-zA-Z|A-Za-z)\]|\.):$/, /^$/],
  [/^\/\/[+*]?$|^\/\+$/, /^\/$/],
  [/^\^\/[+*?]?$/, /^\/?$/],
  [/^\^\[\^\/\]$/, /^\/\\0$/],
  [/^\^\(\[\^\/\]\)$/, /^\/\\1$/],
];

/** Splits a line into words, which are separated by blanks; `#` ends the line. A backslash escapes both. */
function wordsOf(line: string): string[] {
  return /^(?:\\.|[^#\\]|\\$)*/s.exec(line)![0].match(/(?:\\.|[^\s\\]|\\$)+/gs) ?? [];
}

function isBuiltIn({ regex, replacement }: Rule): boolean {
  return BUILT_IN.some(([one, other]) => one.test(regex) && other.test(replacement));
}

/** Rewrites a rule for absolute names to one for names below the root. */
function belowRoot(rule: Rule, prefix: string): Rule {
  const { regex, replacement } = rule;
  const plain = regex.replace(/\\([^A-Za-z0-9])/g, '$1');
  return {
    ...rule,
    regex: plain.startsWith(`^${prefix}/`) ? `^/${regexBehind(regex, prefix.length + 2)}` : regex,
    replacement: replacement.startsWith(`${prefix}/`) ? replacement.slice(prefix.length) : replacement,
  };
}

/** Removes the part of a regex that matches the given number of leading characters. */
function regexBehind(regex: string, characters: number): string {
  let at = 0;
  for (let left = characters; left > 0; left--) {
    if (regex[at] === '\\' && at + 1 < regex.length) at++;
    if (at === regex.length) return regex;
    at++;
  }
  return regex.slice(at);
}

function checkFlags(flags: string): void {
  for (const flag of flags) {
    if (flag === 's') throw new Unsupported('s: start over with the first rule');
    if (flag === '~') throw new Unsupported('~: names that do not match the regex');
    if (flag === '4' || flag === '6') throw new Unsupported(`${flag}: requests over IPv${flag} only`);
    if (!'rgieaGP'.includes(flag)) throw new Unsupported(`${flag}: an operation that tftpd(8) does not document`);
  }
}

/** Returns every combination of the captures that may be empty, as sets of the empty ones. */
function emptyOnes(tokens: readonly Token[]): ReadonlySet<number>[] {
  const at = tokens.flatMap((token, index) => ('capture' in token && token.mayBeEmpty ? [index] : []));
  if (at.length > MAX_CAPTURES) throw new Unsupported('it has more captures than a pattern may');
  return Array.from({ length: 2 ** at.length }, (_, bits) => new Set(at.filter((__, bit) => (bits >> bit) % 2 === 1)));
}

function templateOf(tokens: readonly Token[], from: number, to: number, empty: ReadonlySet<number>): Template {
  const parts = tokens.slice(from, to).map((token, index) => {
    if ('text' in token) return token.text;
    return empty.has(from + index) ? '' : `{${token.capture}}`;
  });
  return parts.join('');
}

function withoutSlash(template: Template): Template {
  return template.replace(/^\/+/, '');
}

function checkCaptures(match: Template): void {
  if (/\}\{/.test(match) || match.split('{path*}').length > 2 || match.split('{name}').length > 2) {
    const isAnywhere = match.startsWith('{path*}') && match.endsWith('{path*}');
    throw new Unsupported(isAnywhere ? 'it may match anywhere in a name' : 'it has more captures than a pattern may');
  }
  try {
    parsePattern(match);
  } catch (error) {
    throw new Unsupported((error as Error).message);
  }
}

function formsOf({ tokens, groups }: MapPattern, { flags, replacement }: Rule): Form[] {
  const becomes = flags.includes('a') ? undefined : flags.includes('r') ? parseReplacement(replacement) : [0];
  const [from, to] = groups[0]!;
  const forms = emptyOnes(tokens).map((empty): Form => {
    const whole = templateOf(tokens, 0, tokens.length, empty);
    const part = becomes?.map((one) => {
      if (typeof one === 'string') return one;
      const group = groups[one] ?? [0, 0];
      return templateOf(tokens, ...group, empty);
    });
    const before = templateOf(tokens, 0, from, empty);
    const after = templateOf(tokens, to, tokens.length, empty);
    const match = withoutSlash(whole);
    // A rule with a leading slash is not for all names, but here it would be.
    if (match === '{path*}' && whole.startsWith('/'))
      throw new Unsupported('it is only for names with a leading slash');
    const name = part === undefined ? '' : withoutSlash(before + part.join('') + after);
    // A rewritten name that is empty or names a folder is not a file, so the route refuses it.
    return { match, becomes: name === '' || name.endsWith('/') ? undefined : name };
  });
  // No name is empty or ends with a slash.
  const possible = forms.filter(({ match }) => match !== '' && !match.endsWith('/'));
  for (const { match, becomes: name } of possible) {
    checkCaptures(match);
    if (name?.split('/').includes('..') === true) throw new Unsupported('it leads out of the root by ..');
  }
  return possible;
}

function headOf(template: Template): string {
  return template.split(CAPTURE, 1)[0]!;
}

function tailOf(template: Template): string {
  return template.split(CAPTURE).at(-1)!;
}

/** Returns true when a name made by the first form may match the second, or when that is unknown. */
function mayBe(becomes: Template, match: Template): boolean {
  const name = becomes.replace(/\/{2,}/g, '/');
  if (!CAPTURE.test(name)) return parsePattern(match).match(name) !== undefined;
  const [head, tail, otherHead, otherTail] = [headOf(name), tailOf(name), headOf(match), tailOf(match)];
  if (!CAPTURE.test(match)) {
    return match.startsWith(head) && match.endsWith(tail) && match.length > head.length + tail.length;
  }
  const headsFit = head.startsWith(otherHead) || otherHead.startsWith(head);
  return headsFit && (tail.endsWith(otherTail) || otherTail.endsWith(tail));
}

/** Orders the forms so that none matches a name that another has made. @throws Unsupported when no order does. */
function ordered(forms: readonly Form[]): Form[] {
  const waiting = [...forms];
  const done: Form[] = [];
  while (waiting.length > 0) {
    const next = waiting.findIndex(({ becomes }, index) =>
      waiting.every((other, at) => at === index || becomes === undefined || !mayBe(becomes, other.match)),
    );
    if (next < 0) throw new Unsupported('its replacement would be replaced again');
    done.push(...waiting.splice(next, 1));
  }
  return done;
}

/** @param later forms of the rules after this one. @throws Unsupported when the rule can't be expressed. */
function carry(rule: Rule, pattern: MapPattern, later: readonly Form[]): Form[] {
  const { flags } = rule;
  const forms = ordered(formsOf(pattern, rule));
  const leadsTo = (others: readonly Form[], own = forms): Form | undefined =>
    others.find(({ match }) => own.some(({ becomes }) => becomes !== undefined && mayBe(becomes, match)));
  if (flags.includes('g') && flags.includes('r') && leadsTo(forms) !== undefined) {
    throw new Unsupported('g: a repeated replacement');
  }
  // tftpd shows a doubled slash to its later rules; routes see a single one.
  const changed = leadsTo(
    later,
    forms.filter(({ becomes }) => becomes?.includes('//') === true),
  );
  if (changed !== undefined) {
    throw new Unsupported(
      `later rules would see a single slash instead of the doubled slash that it makes (${changed.match})`,
    );
  }
  const next = flags.includes('e') ? leadsTo(later) : undefined;
  if (next !== undefined)
    throw new Unsupported(`e: later rules would still apply to the names that it makes (${next.match})`);
  return flags.includes('r') || flags.includes('a') ? forms : [];
}

function routeOf({ match, becomes }: Form, { line }: Rule, file: string): RouteConfig[] {
  if (becomes === undefined) return [{ match, refuse: `refused by ${file}:${line}` }];
  return match === becomes ? [] : [{ match, rewrite: becomes }];
}

/** @param text contents of the map file. */
export function readMapFile(text: string, { file, prefix }: MapOptions): MapRules {
  const rules = text.split('\n').flatMap((one, index): Rule[] => {
    const [flags, regex = '', replacement = ''] = wordsOf(one);
    if (flags === undefined) return [];
    const rule = { line: index + 1, flags, regex, replacement };
    return [prefix === undefined ? rule : belowRoot(rule, prefix)];
  });
  const routes: RouteConfig[] = [];
  const remarks: string[] = [];
  const later: Form[] = [];
  // Starts with the last rule, because the meaning of a rule that ends the others depends on the rules after it.
  for (const rule of rules.toReversed()) {
    const { flags, regex, replacement, line } = rule;
    // Skips rules for uploads, which Reveille does not accept, and rules for cleaning that is built in.
    if (flags.includes('P') || (flags.includes('r') && !/[ae]/.test(flags) && isBuiltIn(rule))) continue;
    const told = `${file}:${line}: ${[flags, regex, replacement].join(' ').trim()}`;
    try {
      checkFlags(flags);
      if (regex === '') throw new Unsupported('a rule without a regex');
      const pattern = parseMapRegex(regex, flags.includes('i'));
      const forms = carry(rule, pattern, later);
      later.unshift(...forms);
      routes.unshift(...forms.flatMap((form) => routeOf(form, rule, file)));
      if (pattern.hasLooseDots && forms.length > 0) {
        remarks.unshift(`${told}: a dot without a backslash matches only a dot, not any character`);
      }
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      remarks.unshift(`${told}: not carried over: ${error.message}`);
    }
  }
  // This route comes first, so that the others see names below the root.
  const strip = prefix === undefined ? [] : [belowPrefix(prefix)];
  return { routes: [...strip, ...routes], remarks };
}

/** Returns a route that removes the root's own path from names that begin with it. */
export function belowPrefix(prefix: string): RouteConfig {
  return { match: `${withoutSlash(prefix)}/{path*}`, rewrite: '{path*}' };
}
