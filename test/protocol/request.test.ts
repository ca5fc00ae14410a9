import { expect, test } from 'vitest';
import { type Request, decodeOptions, decodeRequest } from '../../src/protocol/request.ts';
import { bytes, hex, oack, rrq, text, word, wrq } from '../support/bytes.ts';

function read(datagram: Uint8Array, length = datagram.length): Request {
  const request = decodeRequest(datagram, length);
  if (typeof request === 'string') throw new Error(`Expected a request, got ${request}`);
  return request;
}

/** Options of the datagram as `name=value`. */
function options(datagram: Uint8Array): string[] {
  return read(datagram).options.map(({ name, value }) => `${name}=${value}`);
}

test('an RRQ gives name, mode, and options in their order (RFC 1350 §5, RFC 2347)', () => {
  const datagram = hex('0001 612f62 00 6f63746574 00 7473697a65 00 30 00 626c6b73697a65 00 31343638 00');
  expect(decodeRequest(datagram, datagram.length)).toEqual({
    operation: 'read',
    filename: 'a/b',
    mode: 'octet',
    options: [
      { name: 'tsize', spelling: 'tsize', value: '0' },
      { name: 'blksize', spelling: 'blksize', value: '1468' },
    ],
  });
});

test('a WRQ is distinguished from an RRQ (RFC 1350 §5)', () => {
  expect(read(wrq('core', 'netascii', { tsize: '5' }))).toEqual({
    operation: 'write',
    filename: 'core',
    mode: 'netascii',
    options: [{ name: 'tsize', spelling: 'tsize', value: '5' }],
  });
});

const MALFORMED: readonly (readonly [name: string, datagram: Uint8Array, reason: string])[] = [
  ['1: an empty datagram', bytes(), 'short'],
  ['a name that fills more than an Ethernet frame', rrq('a'.repeat(1464)), 'long'],
  ['a name of 64 KiB', rrq('a'.repeat(65_000)), 'long'],
  ['1: a datagram of one byte', hex('00'), 'short'],
  ['2: opcode 0', hex('0000 61 00 6f63746574 00'), 'opcode'],
  ['2: opcode 7', hex('0007 61 00 6f63746574 00'), 'opcode'],
  ['2: opcode 257, which ends in the byte of an RRQ', hex('0101 61 00 6f63746574 00'), 'opcode'],
  ['3: DATA', hex('0003 0001 00 00'), 'opcode'],
  ['3: ACK', hex('0004 0001 00 00'), 'opcode'],
  ['3: ERROR', hex('0005 0001 00 00'), 'opcode'],
  ['3: OACK', oack({ blksize: '8' }), 'opcode'],
  ['4: an RRQ without anything', hex('0001'), 'filename'],
  ['4: a file name without its NUL', bytes(word(1), 'vmlinuz'), 'filename'],
  ['5: no mode', bytes(word(1), text('vmlinuz')), 'mode'],
  ['5: a mode without its NUL', bytes(word(1), text('vmlinuz'), 'octet'), 'mode'],
];

test.each(MALFORMED)('statement %s is not a request (RFC 1350 §5)', (_name, datagram, reason) => {
  expect(decodeRequest(datagram, datagram.length)).toBe(reason);
});

test('statements 4 and 5: a NUL after the datagram, left by an earlier one, ends no string (RFC 1350 §5)', () => {
  const buffer = rrq('vmlinuz', 'octet', { blksize: '1468' });
  expect(decodeRequest(buffer, 6)).toBe('filename');
  expect(decodeRequest(buffer, 9)).toBe('filename');
  expect(decodeRequest(buffer, 10)).toBe('mode');
  expect(decodeRequest(buffer, 15)).toBe('mode');
  expect(decodeRequest(buffer, 16)).toMatchObject({ mode: 'octet', options: [] });
  expect(decodeRequest(buffer, 28)).toMatchObject({ options: [] });
  expect(decodeRequest(buffer, 29)).toMatchObject({ options: [{ name: 'blksize', value: '1468' }] });
});

test('statement 6: a request may have an empty file name, which the sources then refuse (RFC 1350 §5)', () => {
  expect(read(rrq(''))).toMatchObject({ filename: '', mode: 'octet' });
});

test.each([
  ['7: octet', 'octet', 'octet'],
  ['7: OcTeT', 'OcTeT', 'octet'],
  ['7: NETASCII', 'NETASCII', 'netascii'],
  ['8: mail', 'mail', 'mail'],
  ['8: MaIl', 'MaIl', 'mail'],
  ['9: binary', 'binary', 'unknown'],
  ['9: an empty mode', '', 'unknown'],
  ['9: octet with a space', 'octet ', 'unknown'],
  ['9: octets', 'octets', 'unknown'],
  ['9: a mode of 1,400 letters', 'o'.repeat(1400), 'unknown'],
  ['9: a word that objects have', 'toString', 'unknown'],
])('statement %s is a mode (RFC 1350 §1, RFC 1123 §4.2.2.1)', (_name, spelled, mode) => {
  expect(read(rrq('a', spelled)).mode).toBe(mode);
});

test('statement 10: bytes that PA-RISC firmware sends after the mode are ignored (RFC 1350 §5)', () => {
  const padding = Uint8Array.from({ length: 516 }, (_, at) => 1 + ((at * 37) % 255));
  const padded = bytes(rrq('vmlinux'), padding).subarray(0, 516);
  expect(read(padded)).toEqual({ operation: 'read', filename: 'vmlinux', mode: 'octet', options: [] });
  expect(options(bytes(rrq('vmlinux', 'octet', { blksize: '1024' }), padding))).toEqual(['blksize=1024']);
});

test('statement 11: of a request of more than 512 octets the part that parses counts (RFC 2347)', () => {
  const name = 'd/'.repeat(400);
  expect(read(rrq(name, 'octet', { tsize: '0' }))).toMatchObject({ filename: name, options: [{ name: 'tsize' }] });
});

test('statement 12: an option without a value is ignored, and those before it count (RFC 2347)', () => {
  expect(options(bytes(rrq('a', 'octet', { tsize: '0' }), text('blksize')))).toEqual(['tsize=0']);
  expect(options(bytes(rrq('a', 'octet', { tsize: '0' }), text('blksize'), '1468'))).toEqual(['tsize=0']);
});

test('statement 13: an option with an empty value is ignored, and those after it count (RFC 2347)', () => {
  expect(options(rrq('a', 'octet', { multicast: '', blksize: '', tsize: '0' }))).toEqual(['tsize=0']);
  const twice = [
    ['blksize', ''],
    ['blksize', '1024'],
  ] as const;
  expect(options(rrq('a', 'octet', twice))).toEqual(['blksize=1024']);
});

test('statement 14: of a repeated option the first counts, however it is spelled (RFC 2347)', () => {
  const twice = [
    ['BLKSIZE', '1024'],
    ['tsize', '0'],
    ['blksize', '512'],
  ] as const;
  expect(options(rrq('a', 'octet', twice))).toEqual(['blksize=1024', 'tsize=0']);
});

test('statement 15: option names match in any case, and keep their spelling (RFC 2347)', () => {
  expect(read(rrq('a', 'octet', { BlkSize: '8', WINDOWSIZE: '4' })).options).toEqual([
    { name: 'blksize', spelling: 'BlkSize', value: '8' },
    { name: 'windowsize', spelling: 'WINDOWSIZE', value: '4' },
  ]);
});

test('statement 15: only the letters A to Z match in either case (RFC 2347)', () => {
  // U+212A, the Kelvin sign, in UTF-8 and truncated to one byte; a dotted I in latin1; an accented letter.
  for (const name of ['bl\xe2\x84\xaasize', 'bl*size', 'ts\xcdze', 'ts\xeeze']) {
    expect(options(rrq('a', 'octet', { [name]: '8' }))).toEqual([]);
  }
});

test('statements 16 and 47: unknown options are ignored (RFC 2347)', () => {
  const asked = { multicast: '1', msftwindow: '31416', blksize: '1456', 'x-vendor': 'y', blksize3: '9' };
  expect(options(rrq('bootmgr.exe', 'octet', asked))).toEqual(['blksize=1456']);
});

test('statement 20: names of built-in object properties are unknown options (RFC 2347)', () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length', 'retries'];
  const pairs = names.map((name) => [name, '1'] as const);
  expect(options(rrq('a', 'octet', pairs))).toEqual([]);
});

test('statements 21 to 26: the file name is passed on byte for byte (RFC 1350 §5)', () => {
  const every = String.fromCharCode(...Array.from({ length: 255 }, (_, at) => at + 1));
  for (const name of ['two words.cfg', 'caf\xc3\xa9', '\xff\xfe\x80', '\\Boot\\BCD', '//boot///x', '/../etc', every]) {
    expect(read(rrq(name)).filename).toBe(name);
  }
});

test('all seven options are read, in any case and order (RFC 2348, 2349, 7440; tftp-hpa)', () => {
  const asked = {
    rollover: '0',
    windowsize: '4',
    utimeout: '10000',
    timeout: '1',
    tsize: '0',
    blksize2: '8',
    blksize: '8',
  };
  expect(read(rrq('a', 'octet', asked)).options.map(({ name }) => name)).toEqual(Object.keys(asked));
});

test('the options of an OACK follow its opcode (RFC 2347)', () => {
  const datagram = oack({ tsize: '4096', blksize: '1468' });
  expect(decodeOptions(datagram, 2, datagram.length)).toEqual([
    { name: 'tsize', spelling: 'tsize', value: '4096' },
    { name: 'blksize', spelling: 'blksize', value: '1468' },
  ]);
  expect(decodeOptions(datagram, 2, 2)).toEqual([]);
  expect(decodeOptions(datagram, 2, datagram.length - 1).map(({ name }) => name)).toEqual(['tsize']);
});

test('options are read from the first 512 bytes after the mode (RFC 2347)', () => {
  const filler = (length: number) => ['x'.repeat(length - 3), '1'] as const;
  expect(options(rrq('a', 'octet', [filler(504), ['tsize', '0']]))).toEqual(['tsize=0']);
  expect(options(rrq('a', 'octet', [filler(505), ['tsize', '0']]))).toEqual([]);
});

test('64 KiB of empty options do not keep the thread busy for milliseconds', () => {
  const bombs = [new Uint8Array(65_000), bytes('a\x00'.repeat(32_500)), bytes('blksize\x008\x00'.repeat(6_500))];
  for (const bomb of bombs) {
    const datagram = bytes(rrq('a'), bomb);
    let bestMs = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 40; round++) {
      const from = performance.now();
      decodeRequest(datagram, datagram.length);
      bestMs = Math.min(bestMs, performance.now() - from);
    }
    // The best of many rounds counts, so that a busy machine does not matter: 0.03 ms now, 2 to 6 ms before the bound
    // existed.
    expect(bestMs).toBeLessThan(0.5);
  }
});
