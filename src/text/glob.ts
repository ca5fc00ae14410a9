/**
 * Patterns in which `*` stands for any characters: the one way to match them, for patterns of the config and names from
 * the wire alike. No regular expression is built from either, so no pattern can be slow: a match costs at most the
 * length of the pattern times that of the text.
 */

/** A string; in tests, an object that counts how often it is read. */
export type Characters = Pick<string, 'length' | 'charCodeAt'>;

const STAR = 0x2a;

/**
 * Returns whether all of `text` matches: `*` stands for any characters, also none; every other character for itself.
 */
export function fitsGlob(pattern: Characters, text: Characters): boolean {
  let end = pattern.length;
  let textEnd = text.length;
  // The part after the last star can only match the text's end, and rules out most texts.
  for (; end > 0 && pattern.charCodeAt(end - 1) !== STAR; end--, textEnd--) {
    if (textEnd === 0 || pattern.charCodeAt(end - 1) !== text.charCodeAt(textEnd - 1)) return false;
  }
  if (end === 0) return textEnd === 0;
  let at = 0;
  let from = 0;
  let star = -1;
  let resume = 0;
  while (at < textEnd) {
    const wanted = pattern.charCodeAt(from);
    if (wanted === STAR) {
      // The last star takes the rest. An earlier star is never retried, because it took the shortest match.
      if (from === end - 1) return true;
      star = from++;
      resume = at;
    } else if (wanted === text.charCodeAt(at)) {
      from++;
      at++;
    } else if (star >= 0) {
      from = star + 1;
      at = ++resume;
    } else {
      return false;
    }
  }
  while (from < end && pattern.charCodeAt(from) === STAR) from++;
  return from === end;
}

export interface GlobOptions {
  /** True if `A` and `a` are equal. Default false. */
  readonly ignoreCase?: boolean;
}

/** Prepares a pattern for matching whole texts. */
export function glob(pattern: string, { ignoreCase = false }: GlobOptions = {}): (text: string) => boolean {
  if (!ignoreCase) return (text) => fitsGlob(pattern, text);
  const folded = pattern.toLowerCase();
  return (text) => fitsGlob(folded, text.toLowerCase());
}

/**
 * Prepares patterns for names with `/` between their parts: `*` stands for any characters but a slash, and case does
 * not matter. A pattern without a slash matches the last part of a name, one with slashes as many parts as it has.
 *
 * @returns a function that tells whether a name matches one of them.
 */
export function nameGlobs(patterns: readonly string[]): (name: string) => boolean {
  const all = patterns.map((pattern) => pattern.toLowerCase().split('/'));
  const longest = Math.max(0, ...all.map(({ length }) => length));
  return (name) => {
    const parts = lastParts(name.toLowerCase(), longest);
    return all.some((wanted) => {
      const skipped = parts.length - wanted.length;
      return skipped >= 0 && wanted.every((part, index) => fitsGlob(part, parts[skipped + index]!));
    });
  };
}

/** Returns at most `most` parts of the name, from its end. */
function lastParts(name: string, most: number): readonly string[] {
  const parts: string[] = [];
  let end = name.length;
  while (parts.length < most) {
    const slash = end === 0 ? -1 : name.lastIndexOf('/', end - 1);
    parts.unshift(name.slice(slash + 1, end));
    if (slash < 0) break;
    end = slash;
  }
  return parts;
}
