import { expect, test } from 'vitest';
import { createPacket, decode, errorMessage } from '../../src/protocol/packet.ts';
import { type Part, ack, bytes, data, error, hex, oack, rrq, text, word, wrq } from '../support/bytes.ts';

function read(datagram: Uint8Array, length = datagram.length) {
  const packet = createPacket();
  const reason = decode(datagram, length, packet);
  if (reason !== undefined) return reason;
  const { opcode, block, code, start, end } = packet;
  return { opcode, block, code, rest: Array.from(datagram.subarray(start, end)) };
}

function letters(some: string): number[] {
  return Array.from(bytes(some));
}

const PACKETS: readonly (readonly [name: string, datagram: Uint8Array, expected: object])[] = [
  ['DATA 1 with three bytes', hex('0003 0001 61 62 63'), { opcode: 3, block: 1, code: 0, rest: [0x61, 0x62, 0x63] }],
  ['DATA without a payload, the end of a file', hex('0003 0102'), { opcode: 3, block: 258, code: 0, rest: [] }],
  ['DATA 65535', data(65535, 'x'), { opcode: 3, block: 65535, code: 0, rest: [0x78] }],
  ['ACK 0', hex('0004 0000'), { opcode: 4, block: 0, code: 0, rest: [] }],
  ['ACK 65535', ack(65535), { opcode: 4, block: 65535, code: 0, rest: [] }],
  ['ERROR 1 with a message', error(1, 'no'), { opcode: 5, block: 0, code: 1, rest: [0x6e, 0x6f, 0] }],
  ['ERROR with a message that lacks its NUL', hex('0005 0008 6e'), { opcode: 5, block: 0, code: 8, rest: [0x6e] }],
  ['ERROR with code 65535', hex('0005 ffff 00'), { opcode: 5, block: 0, code: 65535, rest: [0] }],
  ['ERROR of two bytes', hex('0005'), { opcode: 5, block: 0, code: 0, rest: [] }],
  ['ERROR of three bytes', hex('0005 01'), { opcode: 5, block: 0, code: 0, rest: [] }],
  ['ERROR of four bytes', hex('0005 0002'), { opcode: 5, block: 0, code: 2, rest: [] }],
  ['an OACK with an option', oack({ tsize: '7' }), { opcode: 6, block: 0, code: 0, rest: letters('tsize\x007\x00') }],
  ['an OACK without options', hex('0006'), { opcode: 6, block: 0, code: 0, rest: [] }],
  ['an RRQ', rrq('a'), { opcode: 1, block: 0, code: 0, rest: letters('a\x00octet\x00') }],
  ['a WRQ', wrq('a'), { opcode: 2, block: 0, code: 0, rest: letters('a\x00octet\x00') }],
];

test.each(PACKETS)('%s is read (RFC 1350 §5, RFC 2347)', (_name, datagram, expected) => {
  expect(read(datagram)).toEqual(expected);
});

const MALFORMED: readonly (readonly [name: string, datagram: Uint8Array, reason: string])[] = [
  ['an empty datagram', bytes(), 'short'],
  ['a datagram of one byte', hex('00'), 'short'],
  ['opcode 0', hex('0000 0001'), 'opcode'],
  ['opcode 7', hex('0007 0001'), 'opcode'],
  ['opcode 255', hex('00ff 0001'), 'opcode'],
  ['opcode 256', hex('0100 0001'), 'opcode'],
  ['opcode 1027, which ends in the byte of DATA', hex('0403 0001'), 'opcode'],
  ['opcode 65535', hex('ffff 0001'), 'opcode'],
  ['DATA of two bytes', hex('0003'), 'truncated'],
  ['DATA of three bytes', hex('0003 00'), 'truncated'],
  ['ACK of two bytes', hex('0004'), 'truncated'],
  ['ACK of three bytes', hex('0004 00'), 'truncated'],
];

test.each(MALFORMED)('%s is not a packet (RFC 1350 §5)', (_name, datagram, reason) => {
  expect(read(datagram)).toBe(reason);
});

test('every opcode from 7 to 65535 is refused (RFC 1350 §5)', () => {
  const accepted: number[] = [];
  for (let opcode = 0; opcode <= 0xffff; opcode++) {
    if (typeof read(bytes(word(opcode), [0, 1, 0, 0])) !== 'string') accepted.push(opcode);
  }
  expect(accepted).toEqual([1, 2, 3, 4, 5, 6]);
});

test('bytes after the block number of an ACK are ignored (msftwindow puts one there)', () => {
  expect(read(bytes(ack(7), [9]))).toMatchObject({ opcode: 4, block: 7 });
  expect(read(bytes(ack(7), new Uint8Array(65_000).fill(0xff)))).toMatchObject({ opcode: 4, block: 7 });
});

test('bytes after the given length are not read', () => {
  const buffer = bytes(hex('0003 0001'), 'payload');
  expect(read(buffer, 1)).toBe('short');
  expect(read(buffer, 3)).toBe('truncated');
  expect(read(buffer, 5)).toEqual({ opcode: 3, block: 1, code: 0, rest: [0x70] });
  expect(read(hex('0005 0002 6162'), 3)).toEqual({ opcode: 5, block: 0, code: 0, rest: [] });
});

test('a packet record keeps nothing of the previous packet', () => {
  const packet = createPacket();
  expect(decode(error(5, 'stranger'), 13, packet)).toBeUndefined();
  expect(decode(ack(9), 4, packet)).toBeUndefined();
  expect(packet).toMatchObject({ opcode: 4, block: 9, code: 0 });
  expect(decode(error(3), 5, packet)).toBeUndefined();
  expect(packet).toMatchObject({ opcode: 5, block: 0, code: 3 });
});

function message(...parts: Part[]): string {
  const datagram = bytes(hex('0005 0000'), ...parts);
  const packet = createPacket();
  decode(datagram, datagram.length, packet);
  return errorMessage(packet);
}

test('the message of an ERROR ends at its NUL or at the end of the datagram', () => {
  expect(message(text('User aborted the transfer'), 'behind it')).toBe('User aborted the transfer');
  expect(message('no NUL')).toBe('no NUL');
  expect(message()).toBe('');
  const short = createPacket();
  decode(hex('0005 01'), 3, short);
  expect(errorMessage(short)).toBe('');
});

test('the message of an ERROR can neither colour a terminal nor forge a line of a log', () => {
  expect(message(text('\x1b[31mred\r\nfake line\x7f\x9b'))).toBe('?[31mred??fake line??');
});

test('the message of an ERROR of 64 KiB is cut at 128 characters', () => {
  expect(message(new Uint8Array(65_000).fill(0x41))).toBe('A'.repeat(128));
});
