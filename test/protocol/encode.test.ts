import { expect, test } from 'vitest';
import {
  encodeAck,
  encodeDataHeader,
  encodeError,
  encodeOack,
  encodeReadRequest,
  wishedOptions,
} from '../../src/protocol/encode.ts';
import type { ErrorCode } from '../../src/protocol/opcode.ts';
import { ack, bytes, data, error, hex, oack, rrq, toHex } from '../support/bytes.ts';

/** Bytes that an encoder writes into a buffer filled with other bytes. */
function written(encode: (into: Uint8Array) => number): Uint8Array {
  const into = new Uint8Array(600).fill(0xee);
  const length = encode(into);
  expect(Array.from(into.subarray(length)).every((byte) => byte === 0xee)).toBe(true);
  return into.subarray(0, length);
}

test.each([0, 1, 255, 256, 32_767, 32_768, 65_534, 65_535])(
  'DATA and ACK of block %i have the bytes of RFC 1350 §5',
  (block) => {
    expect(written((into) => encodeDataHeader(into, block))).toEqual(data(block));
    expect(written((into) => encodeAck(into, block))).toEqual(ack(block));
  },
);

test('headers have the bytes of the figures in RFC 1350 §5', () => {
  expect(toHex(written((into) => encodeDataHeader(into, 0x0102)))).toBe('00030102');
  expect(toHex(written((into) => encodeAck(into, 0xfffe)))).toBe('0004fffe');
  expect(toHex(written((into) => encodeError(into, 8, 'no')))).toBe('000500086e6f00');
});

test('statement 29: an ERROR has a code, a message and a NUL (RFC 1350 §5)', () => {
  for (const code of [0, 1, 2, 3, 4, 5, 6, 7, 8] satisfies ErrorCode[]) {
    expect(written((into) => encodeError(into, code, 'File not found'))).toEqual(error(code, 'File not found'));
  }
  expect(written((into) => encodeError(into, 0, ''))).toEqual(hex('0005 0000 00'));
});

test('statement 29: an ERROR is at most 512 bytes and still ends with a NUL', () => {
  expect(written((into) => encodeError(into, 0, 'x'.repeat(507)))).toEqual(error(0, 'x'.repeat(507)));
  expect(written((into) => encodeError(into, 0, 'x'.repeat(508)))).toEqual(error(0, 'x'.repeat(507)));
  expect(written((into) => encodeError(into, 0, 'x'.repeat(70_000)))).toEqual(error(0, 'x'.repeat(507)));
});

test('an OACK holds the options in the order and the spelling given (RFC 2347)', () => {
  const options = [
    { spelling: 'TSize', value: '4294967296' },
    { spelling: 'blksize', value: '1468' },
  ];
  expect(written((into) => encodeOack(into, options))).toEqual(oack({ TSize: '4294967296', blksize: '1468' }));
  expect(written((into) => encodeOack(into, []))).toEqual(hex('0006'));
});

test('a read request without options is the one of RFC 1350', () => {
  expect(written((into) => encodeReadRequest(into, 'a', 'octet', wishedOptions({})))).toEqual(
    hex('0001 61 00 6f63746574 00'),
  );
  expect(written((into) => encodeReadRequest(into, '', 'netascii', wishedOptions({})))).toEqual(rrq('', 'netascii'));
  expect(
    written((into) => encodeReadRequest(into, 'a', 'octet', wishedOptions({ tsize: false, blksize: undefined }))),
  ).toEqual(rrq('a'));
});

test('a read request has the wished options (RFC 2347, 2348, 2349, 7440)', () => {
  const wish = { blksize: 1468, windowsize: 4, tsize: true };
  expect(written((into) => encodeReadRequest(into, 'x y/\xff', 'octet', wishedOptions(wish)))).toEqual(
    rrq('x y/\xff', 'octet', { tsize: '0', blksize: '1468', windowsize: '4' }),
  );
  expect(written((into) => encodeReadRequest(into, 'a', 'octet', wishedOptions({ windowsize: 65_535 })))).toEqual(
    rrq('a', 'octet', { windowsize: '65535' }),
  );
});

test('a read request is at most 512 bytes (RFC 2347)', () => {
  const into = new Uint8Array(512);
  const longest = 'n'.repeat(512 - 2 - 1 - 'octet'.length - 1);
  expect(encodeReadRequest(into, longest, 'octet', wishedOptions({}))).toBe(512);
  expect(() => encodeReadRequest(into, `${longest}n`, 'octet', wishedOptions({}))).toThrow(RangeError);
  expect(() => encodeReadRequest(into, longest, 'octet', wishedOptions({ tsize: true }))).toThrow(RangeError);
});

test('a read request for a name that cannot be sent is refused, and the name is not altered', () => {
  const into = new Uint8Array(512);
  for (const name of ['a\0b', '\u{1F680}', 'K\u212a']) {
    expect(() => encodeReadRequest(into, name, 'octet', wishedOptions({}))).toThrow(RangeError);
  }
  expect(into).toEqual(bytes(new Uint8Array(512)));
});
