import { expect, test } from 'vitest';
import { type Wish, acceptOack } from '../../src/protocol/negotiate.ts';
import { decodeOptions } from '../../src/protocol/request.ts';
import { type Options, oack } from '../support/bytes.ts';

function accept(wish: Wish, options: Options) {
  const datagram = oack(options);
  return acceptOack(wish, decodeOptions(datagram, 2, datagram.length));
}

const WISH: Wish = { blksize: 1468, windowsize: 4, tsize: true };

test('an option that was asked for and acknowledged applies (RFC 2347)', () => {
  expect(accept(WISH, { tsize: '33553920', blksize: '1468', windowsize: '4' })).toEqual({
    settled: { blksize: 1468, windowsize: 4, rollover: 0, timeoutMs: 0 },
    tsize: 33_553_920,
  });
});

test('an option that the server left out has its default (RFC 2347)', () => {
  expect(accept(WISH, { tsize: '0' })).toMatchObject({ settled: { blksize: 512, windowsize: 1 }, tsize: 0 });
  expect(accept(WISH, { blksize: '8' })).toMatchObject({ settled: { blksize: 8, windowsize: 1 }, tsize: undefined });
  expect(accept(WISH, {})).toMatchObject({ settled: { blksize: 512, windowsize: 1 }, tsize: undefined });
});

test('the server may grant less (RFC 2348, 7440)', () => {
  expect(accept(WISH, { blksize: '1024', windowsize: '2' })).toMatchObject({
    settled: { blksize: 1024, windowsize: 2 },
  });
});

test('option names in an OACK match in any case (RFC 2347)', () => {
  expect(accept(WISH, { BLKSIZE: '1024' })).toMatchObject({ settled: { blksize: 1024 } });
});

const VIOLATIONS: readonly (readonly [name: string, wish: Wish, options: Options, sentence: string])[] = [
  ['more blksize than asked', WISH, { blksize: '1469' }, 'blksize 1468 was asked for, 1469 acknowledged'],
  ['a blksize below 8', WISH, { blksize: '7' }, 'blksize 1468 was asked for, 7 acknowledged'],
  ['a blksize unasked', { windowsize: 4 }, { blksize: '512' }, 'blksize was acknowledged but not asked for'],
  ['more windowsize than asked', WISH, { windowsize: '5' }, 'windowsize 4 was asked for, 5 acknowledged'],
  ['a windowsize of 0', WISH, { windowsize: '0' }, 'windowsize 4 was asked for, 0 acknowledged'],
  ['a windowsize unasked', { blksize: 512 }, { windowsize: '1' }, 'windowsize was acknowledged but not asked for'],
  ['a tsize unasked', { blksize: 512 }, { tsize: '9' }, 'tsize was acknowledged but not asked for'],
  ['a tsize that is no number', WISH, { tsize: '-1' }, 'tsize is not a number of bytes'],
  ['a timeout, which is never asked for', WISH, { timeout: '5' }, 'timeout was acknowledged but not asked for'],
  ['a utimeout', WISH, { utimeout: '10000' }, 'utimeout was acknowledged but not asked for'],
  ['a rollover', WISH, { rollover: '1' }, 'rollover was acknowledged but not asked for'],
  ['a blksize2', WISH, { blksize2: '512' }, 'blksize2 was acknowledged but not asked for'],
];

test.each(VIOLATIONS)('a server that acknowledges %s breaks RFC 2347', (_name, wish, options, sentence) => {
  expect(accept(wish, options)).toBe(sentence);
});

test('a message about a server contains no text from that server', () => {
  expect(accept(WISH, { blksize: '\x1b[31m' })).toBe('blksize 1468 was asked for, no such number acknowledged');
});
