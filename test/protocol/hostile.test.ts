/** Invalid bytes: nothing throws, no byte beyond the datagram is read, nothing grows. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeOack } from '../../src/protocol/encode.ts';
import { type NegotiationLimits, negotiate } from '../../src/protocol/negotiate.ts';
import { createPacket, decode, errorMessage } from '../../src/protocol/packet.ts';
import { OPTION_NAMES, decodeOptions, decodeRequest } from '../../src/protocol/request.ts';
import { bytes, toHex } from '../support/bytes.ts';
import { CAMPAIGN, SEED } from '../support/content.ts';
import { type Hostile, hostileDatagrams } from './hostile-datagrams.ts';

const DATAGRAMS = CAMPAIGN ? 100_000 : 20_000;
const LIMITS: NegotiationLimits = { maxBlksize: 65_464, maxWindowsize: 64, acknowledgeTimeout: true };
const OACK = new Uint8Array(512);

/** Everything that the protocol layer derives from a datagram, as one text. */
function everything(buffer: Uint8Array, length: number): string {
  const packet = createPacket();
  const reason = decode(buffer, length, packet);
  const { opcode, block, code, start, end } = packet;
  const words = [reason === undefined ? `${opcode} ${block} ${code} ${start} ${end}` : reason];
  if (reason === undefined) {
    if (start < 2 || start > end || end !== length) throw new Error(`[${start}, ${end}) of ${length} bytes`);
    words.push(errorMessage(packet));
    const loose = decodeOptions(buffer, start, end);
    if (loose.length > OPTION_NAMES.length) throw new Error(`${loose.length} options`);
  }
  const request = decodeRequest(buffer, length);
  if (typeof request === 'string') return `${words.join('|')}|${request}`;
  const { operation, filename, mode, options } = request;
  if (options.length > OPTION_NAMES.length) throw new Error(`${options.length} options`);
  if (filename.length > length) throw new Error(`a name of ${filename.length} characters`);
  const { settled, oack, refused } = negotiate(options, LIMITS, Number.MAX_SAFE_INTEGER, 'octet');
  if (encodeOack(OACK, oack) > 512) throw new Error('an OACK of more than 512 bytes');
  if (oack.length + refused.length !== options.length) throw new Error('an option unanswered');
  if (settled.blksize < 8 || settled.blksize > 65_464) throw new Error(`a blksize of ${settled.blksize}`);
  if (settled.windowsize < 1 || settled.windowsize > 64) throw new Error(`a windowsize of ${settled.windowsize}`);
  const pairs = options.map(({ name, spelling, value }) => `${name} ${spelling}=${value}`);
  return [...words, operation, filename, mode, ...pairs].join('|');
}

/** Places the datagram in a large buffer, as in a packet loop, followed by bytes of an older datagram. */
function place(buffer: Uint8Array, { datagram }: Hostile, older: Uint8Array): void {
  buffer.set(datagram);
  buffer.set(older.subarray(0, buffer.length - datagram.length), datagram.length);
}

test(`${DATAGRAMS} hostile datagrams, seed ${SEED}: no exception, and no byte read past their end`, () => {
  const zeros = new Uint8Array(700);
  const older = bytes('older', [0], 'octet', [0], 'tsize', [0], '0', [0], 'blksize', [0], '8', [0]);
  const buffers = [new Uint8Array(66_500), new Uint8Array(66_500)] as const;
  const kinds = new Map<string, number>();
  for (const hostile of hostileDatagrams(SEED, DATAGRAMS)) {
    kinds.set(hostile.kind, (kinds.get(hostile.kind) ?? 0) + 1);
    const { length } = hostile.datagram;
    try {
      place(buffers[0], hostile, zeros);
      place(buffers[1], hostile, older);
      const seen = everything(buffers[0], length);
      if (seen !== everything(buffers[1], length)) throw new Error('What lies behind the datagram made a difference');
    } catch (cause) {
      const start = toHex(hostile.datagram.subarray(0, 600));
      throw new Error(`seed ${SEED}, ${hostile.kind}, ${length} bytes: ${start}`, { cause });
    }
  }
  // Every kind occurred, so no kind goes untested unnoticed.
  expect(kinds.size).toBe(9);
  expect(Math.min(...kinds.values())).toBeGreaterThan(DATAGRAMS / 50);
});

test('decode and decodeRequest are total: any bytes give a packet or a reason', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.nat({ max: 7 }), (raw, opcode) => {
      if (raw.length > 1 && opcode > 0) raw.set([0, opcode]);
      expect(everything(raw, raw.length)).not.toBe('');
    }),
    { numRuns: 5000 },
  );
});

test('any part of a datagram can be decoded, down to an empty one', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat({ max: 7 }), fc.nat(), (raw, opcode, cut) => {
      if (raw.length > 1) raw.set([0, opcode]);
      const length = cut % (raw.length + 1);
      expect(everything(raw, length)).toBe(everything(raw.slice(0, length), length));
    }),
    { numRuns: 5000 },
  );
});
