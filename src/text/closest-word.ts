/** Suggests the known word closest to an unknown one, also as part of a message about an unknown key. */

/**
 * Returns the number of edits (insert, delete, replace, swap two neighbors) that turn `a` into `b`, changing no place
 * twice. Costs O(a·b): for words, not for texts.
 */
function distance(a: string, b: string): number {
  let above: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? above[j - 2]! + 1 : Number.POSITIVE_INFINITY;
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1, swapped));
    }
    above = row;
    row = next;
  }
  return row[b.length]!;
}

/** Reduces a word to its letters in lower case: `cache-bytes`, `cache_bytes` and `cacheBytes` are one word. */
function bare(word: string): string {
  return word.toLowerCase().replace(/[-_ ]/g, '');
}

/** Returns the closest known word; undefined when none is within a third of its length. */
export function closestWord(word: string, words: readonly string[]): string | undefined {
  if (word.length > 40) return undefined;
  const ranked = words
    .map((known) => ({ known, edits: distance(bare(word), bare(known)) }))
    .toSorted((a, b) => a.edits - b.edits);
  const best = ranked[0];
  return best !== undefined && best.edits <= Math.floor(best.known.length / 3) ? best.known : undefined;
}

/** @returns what was expected instead of an unknown key: the known key that was meant, or the list of known keys. */
export function expectedKey(key: string, known: readonly string[]): string {
  const meant = closestWord(key, known);
  return meant === undefined ? `a key of ${known.join(', ')}` : `a known key (did you mean ${meant}?)`;
}
