/**
 * Patterns in which `*` stands for anything: the one way to match them, for patterns of the config and names from the
 * wire alike. No expression is made of either, so that no pattern can be slow: a match costs at most the length of the
 * pattern times that of the text.
 */

/** A string; or, in a test, what counts how often it is looked at. */
export type Characters = Pick<string, 'length' | 'charCodeAt'>;

const STAR = 0x2a;

/** Whether all of `text` fits: `*` stands for any characters, also none; every other character for itself. */
export function fitsGlob(pattern: Characters, text: Characters): boolean {
  let end = pattern.length;
  let textEnd = text.length;
  // What follows the last star can only be the text's end: most texts are told apart by it.
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
      // The last star takes the rest, and an earlier one is never asked again: it had the shortest that would do.
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
  /** Whether `A` and `a` are the same. Default false. */
  readonly ignoreCase?: boolean;
}

/** The pattern made ready to match whole texts. */
export function glob(pattern: string, { ignoreCase = false }: GlobOptions = {}): (text: string) => boolean {
  if (!ignoreCase) return (text) => fitsGlob(pattern, text);
  const folded = pattern.toLowerCase();
  return (text) => fitsGlob(folded, text.toLowerCase());
}

/**
 * Patterns for names with `/` between their parts, made ready: `*` stands for anything but a slash, capitals do not
 * matter. A pattern without a slash is for the last part of a name, one with slashes for as many parts as it has.
 *
 * @returns whether a name fits one of them.
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

/** At most so many parts of the name, from its end. */
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
