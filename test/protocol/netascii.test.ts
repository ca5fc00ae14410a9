import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { NetasciiDecoder, NetasciiEncoder, netasciiLength } from '../../src/protocol/netascii.ts';
import { bytes, toHex } from '../support/bytes.ts';

/** The rule by itself: LF becomes CR LF, CR becomes CR NUL (RFC 764). */
function byRule(text: Uint8Array): Uint8Array {
  return bytes(...Array.from(text, (byte) => (byte === 10 ? [13, 10] : byte === 13 ? [13, 0] : [byte])));
}

/** Encodes in pieces: input lengths cycle through `inputs` and output lengths through `outputs`, in bytes. */
function encodeInPieces(text: Uint8Array, inputs: readonly number[], outputs: readonly number[]): Uint8Array {
  const encoder = new NetasciiEncoder();
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (let turn = 0; turn < 10_000; turn++) {
    const input = text.subarray(from, from + inputs[turn % inputs.length]!);
    const output = new Uint8Array(outputs[turn % outputs.length]!).fill(0xee);
    const written = encoder.encode(input, output);
    from += encoder.read;
    pieces.push(output.subarray(0, written));
    if (written === 0 && from === text.length) return bytes(...pieces);
  }
  throw new Error('The encoder does not come to an end');
}

function decodeInPieces(text: Uint8Array, cuts: readonly number[]): Uint8Array {
  const decoder = new NetasciiDecoder();
  const pieces: Uint8Array[] = [];
  for (let from = 0, turn = 0; from < text.length; turn++) {
    const to = from + cuts[turn % cuts.length]!;
    pieces.push(decoder.decode(text.subarray(from, to)));
    from = to;
  }
  return bytes(...pieces, decoder.end());
}

/** Texts in which CR and LF, the two special bytes, are frequent. */
const texts = fc
  .uint8Array({ maxLength: 200 })
  .map((raw) => raw.map((byte) => (byte < 100 ? [10, 13, 0, 65][byte % 4]! : byte)));
const cuts = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });

test.each([
  ['LF', '\n', '\r\n'],
  ['CR', '\r', '\r\0'],
  ['CR LF', '\r\n', '\r\0\r\n'],
  ['NUL', '\0', '\0'],
  ['two lines', 'a\nb\n', 'a\r\nb\r\n'],
  ['nothing', '', ''],
  ['a byte above 127', '\xff', '\xff'],
])('statement 84: %s is sent as RFC 764 has it', (_name, local, wire) => {
  expect(encodeInPieces(bytes(local), [100], [100])).toEqual(bytes(wire));
  expect(decodeInPieces(bytes(wire), [100])).toEqual(bytes(local));
});

test('statement 85: CR as the last byte of a block has its NUL as the first of the next (RFC 1350 §1)', () => {
  const encoder = new NetasciiEncoder();
  const block = new Uint8Array(4);
  expect([encoder.encode(bytes('abc\rd'), block), encoder.read]).toEqual([4, 4]);
  expect(block).toEqual(bytes('abc\r'));
  expect([encoder.encode(bytes('d'), block), encoder.read]).toEqual([2, 1]);
  expect(block.subarray(0, 2)).toEqual(bytes('\0d'));
});

test('statement 86: CR LF is split across blocks, and its second byte is sent although the input has ended', () => {
  const encoder = new NetasciiEncoder();
  const block = new Uint8Array(2);
  expect([encoder.encode(bytes('a\n'), block), encoder.read]).toEqual([2, 2]);
  expect(block).toEqual(bytes('a\r'));
  expect(encoder.encode(bytes(), block)).toBe(1);
  expect(block.subarray(0, 1)).toEqual(bytes('\n'));
  expect(encoder.encode(bytes(), block)).toBe(0);
});

test('statement 86: a block that the conversion fills exactly leaves no byte for the next', () => {
  const encoder = new NetasciiEncoder();
  expect(encoder.encode(bytes('a\nb'), new Uint8Array(4))).toBe(4);
  expect(encoder.encode(bytes(), new Uint8Array(4))).toBe(0);
});

test('a full output buffer consumes no input', () => {
  const encoder = new NetasciiEncoder();
  expect([encoder.encode(bytes('\n'), new Uint8Array(0)), encoder.read]).toEqual([0, 0]);
  encoder.encode(bytes('\n'), new Uint8Array(1));
  expect([encoder.encode(bytes('x'), new Uint8Array(0)), encoder.read]).toEqual([0, 0]);
  expect(encoder.encode(bytes('x'), new Uint8Array(9))).toBe(2);
});

test('statements 86 and 87: wherever input and output are cut, the bytes are the same, and their number is known', () => {
  fc.assert(
    fc.property(texts, cuts, cuts, (text, inputs, outputs) => {
      const encoded = encodeInPieces(text, inputs, outputs);
      expect(toHex(encoded)).toBe(toHex(byRule(text)));
      expect(netasciiLength(text)).toBe(encoded.length);
    }),
    { numRuns: 1000 },
  );
});

test('encoding and decoding gives the original text, wherever it is cut', () => {
  fc.assert(
    fc.property(texts, cuts, (text, pieces) => {
      expect(toHex(decodeInPieces(byRule(text), pieces))).toBe(toHex(text));
    }),
    { numRuns: 1000 },
  );
});

test('any bytes decode to the same text, wherever they are cut', () => {
  fc.assert(
    fc.property(texts, cuts, (wire, pieces) => {
      expect(toHex(decodeInPieces(wire, pieces))).toBe(toHex(decodeInPieces(wire, [1000])));
    }),
    { numRuns: 1000 },
  );
});

test('a CR that is followed by neither LF nor NUL is kept', () => {
  expect(decodeInPieces(bytes('a\rb'), [9])).toEqual(bytes('a\rb'));
  expect(decodeInPieces(bytes('\r\r\n'), [1])).toEqual(bytes('\r\n'));
  expect(decodeInPieces(bytes('end\r'), [9])).toEqual(bytes('end\r'));
});

test('an ended decoder starts over', () => {
  const decoder = new NetasciiDecoder();
  decoder.decode(bytes('\r'));
  expect(decoder.end()).toEqual(bytes('\r'));
  expect(decoder.decode(bytes('\n'))).toEqual(bytes('\n'));
  expect(decoder.end()).toEqual(bytes());
});
