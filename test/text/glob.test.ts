/** Patterns with `*`: matches compared with a slow, plainly correct matcher, and the cost of hostile patterns. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Characters, fitsGlob, glob, nameGlobs } from '../../src/text/glob.ts';
import { BootStages } from '../../src/boot-set/boot/boot-stage.ts';
import { read, ROOT } from '../support/pages.ts';
import { Random } from '../support/random.ts';

const SEED = 20_261_130;

/** Matches by the definition: a star is nothing, or one character and a star. */
function reference(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  if (pattern.startsWith('*'))
    return reference(pattern.slice(1), text) || (text !== '' && reference(pattern, text.slice(1)));
  return pattern[0] === text[0] && reference(pattern.slice(1), text.slice(1));
}

/** A text that counts how often it is read. */
class Counted implements Characters {
  looks = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  get length(): number {
    return this.#text.length;
  }

  charCodeAt(index: number): number {
    this.looks++;
    return this.#text.charCodeAt(index);
  }
}

/** Patterns and names for which a backtracking regular expression needs minutes or years. */
const HOSTILE: readonly (readonly [pattern: string, text: string])[] = [
  ['*-*-*-*.cfg', '-'.repeat(500)],
  ['*a*a*a*a*b', 'a'.repeat(500)],
  ['*a*a*a*a*b', `${'a'.repeat(499)}c`],
  [`${'*a'.repeat(100)}*b`, 'a'.repeat(500)],
  [`${'*'.repeat(255)}b`, 'a'.repeat(500)],
  [`*${'a'.repeat(250)}b*`, 'a'.repeat(500)],
  [`*${'a'.repeat(120)}b*${'a'.repeat(120)}b*`, `${'a'.repeat(250)}b${'a'.repeat(249)}`],
];

describe('a pattern with stars', () => {
  it.each([
    ['', '', true],
    ['', 'a', false],
    ['*', '', true],
    ['*', 'anything\nat all', true],
    ['**', '', true],
    ['a*', 'a', true],
    ['*a', 'ba', true],
    ['*a', 'ab', false],
    ['a*a', 'a', false],
    ['ab*ba', 'aba', false],
    ['*ab*ab*', 'abab', true],
    ['*ab*ab*', 'abb ab', true],
    ['*ab*ab*', 'ab a b', false],
    ['a.c', 'abc', false],
    ['(a+)+$', '(a+)+$', true],
    ['[a-z]?{2}\\', '[a-z]?{2}\\', true],
    ['*', '*', true],
    ['a*', 'A', false],
  ])('%j and %j: %s', (pattern, text, fits) => {
    expect([fitsGlob(pattern, text), reference(pattern, text)]).toEqual([fits, fits]);
  });

  it('matches by its definition, whatever pattern and text are', () => {
    const random = new Random(SEED);
    let fitting = 0;
    for (let times = 0; times < 50_000; times++) {
      const draw = (letters: string, most: number): string =>
        Array.from({ length: random.between(0, most) }, () => random.pick(letters.split(''))).join('');
      const [pattern, text] = [draw('ab**', 9), draw('ab*', 12)];
      const expected = reference(pattern, text);
      if (expected) fitting++;
      expect({ SEED, pattern, text, fits: fitsGlob(pattern, text) }).toEqual({ SEED, pattern, text, fits: expected });
    }
    expect(fitting).toBeGreaterThan(5000);
  });

  it('looks at most as often as its length times that of the text, however hostile both are', () => {
    for (const [pattern, text] of HOSTILE) {
      const counted = new Counted(text);
      expect([pattern, text, fitsGlob(pattern, counted)]).toEqual([pattern, text, false]);
      expect(counted.looks).toBeLessThanOrEqual(pattern.length * text.length);
    }
  });

  it('ignores case if it is told to', () => {
    expect([glob('Rack-*', { ignoreCase: true })('rACK-7'), glob('Rack-*')('rack-7')]).toEqual([true, false]);
  });
});

describe('patterns for names', () => {
  it('match the last part, or as many parts as they have', () => {
    const fits = nameGlobs(['*.EFI', 'pxelinux.cfg/*', 'a*/b*/c']);
    const names = [
      'x.efi',
      'a/b/x.efi',
      'x.efi/y',
      'pxelinux.cfg/01-aa',
      'x/pxelinux.cfg/z',
      'pxelinux.cfg/y/z',
      'pxelinux.cfg',
    ];
    expect(names.map(fits)).toEqual([true, true, false, true, true, false, false]);
    expect(['a/b/c', 'x/ax/bx/c', 'a/x/b/c', 'b/c', '', '/'].map(fits)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
    expect(nameGlobs([])('anything')).toBe(false);
  });

  it('match the same names as their former regular expressions', () => {
    const random = new Random(SEED);
    for (let times = 0; times < 20_000; times++) {
      const draw = (letters: string, from: number, most: number): string =>
        Array.from({ length: random.between(from, most) }, () => random.pick(letters.split(''))).join('');
      // Names are clean: no part is empty.
      const [pattern, text] = [draw('aB*/', 1, 7), draw('ab/', 1, 12)].map((one) =>
        one.replace(/^\/+|\/+$|\/(?=\/)/g, ''),
      );
      const expression = new RegExp(`(?:^|/)${pattern!.split('*').join('[^/]*')}$`, 'i');
      const expected = pattern !== '' && text !== '' && expression.test(text!);
      const fits = pattern !== '' && text !== '' && nameGlobs([pattern!])(text!);
      expect({ SEED, pattern, text, fits }).toEqual({ SEED, pattern, text, fits: expected });
    }
  });

  // A regular expression for these patterns takes from seconds to longer than anyone waits.
  it('that are badly written do not block the server: stages of hostile names', () => {
    for (const [pattern, text] of HOSTILE) expect(new BootStages([pattern]).of(`x/${text}`)).toBe('later');
  }, 2000);
});

it('no source builds a regular expression from foreign text', () => {
  const made = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && /\bRegExp\s*\(/.test(read(join('src', name))))
    .map((name) => name.replaceAll('\\', '/'));
  // These files combine constants: the grammars of channels and of repositories, and the spellings of a MAC, a UUID or an
  // address.
  expect(made.toSorted()).toEqual(['boot-set/store/channel-name.ts', 'registry/reference.ts', 'render/pattern.ts']);
});
