import { assert as check, property, string, uint8Array } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeDeep, escapeText, printableText, showValue } from '../../src/text/escape.ts';

describe('foreign text', () => {
  it.each([
    ['boot/linux', 'boot/linux'],
    ['a b~', 'a b~'],
    ['a\r\nb', 'a\\x0d\\x0ab'],
    ['\x1b[2J', '\\x1b[2J'],
    ['\x00\x7f\x9b\xff', '\\x00\\x7f\\x9b\\xff'],
    ['\\x41', '\\x5cx41'],
    ['\u202egnp', '\\xe2\\x80\\xaegnp'],
    ['😀', '\\xf0\\x9f\\x98\\x80'],
    ['', ''],
  ])('%j is shown as %s', (text, shown) => {
    expect(escapeText(text)).toBe(shown);
  });

  it('is printable ASCII once escaped, whatever it was', () => {
    check(
      property(string({ unit: 'binary' }), (text) => {
        expect(escapeText(text)).toMatch(/^[\x20-\x7e]*$/);
      }),
    );
  });

  it('tells two byte strings apart', () => {
    const bytes = uint8Array({ maxLength: 6 }).map((raw) => Buffer.from(raw).toString('latin1'));
    check(
      property(bytes, bytes, (a, b) => {
        expect(escapeText(a) === escapeText(b)).toBe(a === b);
      }),
    );
  });

  it('is cut when it is long, and gives the number of omitted characters', () => {
    expect(escapeText('x'.repeat(65_000), 10)).toBe('xxxxxxxxxx...(+64990)');
    expect(escapeText('\x00'.repeat(65_000)).length).toBeLessThan(2100);
  });

  it('is escaped inside of objects, lists and errors', () => {
    expect(escapeDeep({ 'k\n': ['\n', new Error('\n')], n: 1, none: null, big: 1n })).toEqual({
      'k\\x0a': ['\\x0a', '\\x0a'],
      n: 1,
      none: null,
      big: '1',
    });
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    expect(JSON.stringify(escapeDeep(loop))).toBe('{"self":{"self":{"self":{"self":"..."}}}}');
  });
});

describe('text that an operator wrote', () => {
  it.each([
    ['r ^(.*)\\.cfg$ bü/\\1', 'r ^(.*)\\.cfg$ bü/\\1'],
    ['http://HOST/…', 'http://HOST/…'],
    ['\x1b[2J\x9b\r\n\t', '\\x1b[2J\\x9b\\x0d\\x0a\\x09'],
    ['a\u202eb\u2028\ufeff\ud800', 'a\\xe2\\x80\\xaeb\\xe2\\x80\\xa8\\xef\\xbb\\xbf\\xef\\xbf\\xbd'],
  ])('%j is shown as %s', (text, shown) => {
    expect(printableText(text)).toBe(shown);
  });

  it('moves no cursor and ends no line, whatever it is', () => {
    check(
      property(string({ unit: 'binary' }), (text) => {
        expect(printableText(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
      }),
    );
    expect(printableText('x'.repeat(600))).toBe(`${'x'.repeat(512)}...(+88)`);
  });
});

describe('a value as a user wrote it', () => {
  it.each([
    ['a\n', '"a\\x0a"'],
    [3, '3'],
    [null, 'nothing'],
    [[], 'an empty list'],
    [['a', 1, [2], {}], '["a", 1, a list, a map]'],
    [Array.from({ length: 1000 }), 'a list of 1000'],
    [{ a: 1 }, 'a map'],
  ])('%j is shown as %s', (value, shown) => {
    expect(showValue(value)).toBe(shown);
  });
});
