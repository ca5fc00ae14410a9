/** Hostile datagrams, from a seed. */
import { MAX_REQUEST_BYTES } from '../../src/protocol/request.ts';
import type { Random } from './random.ts';
import { readRequest } from './raw-client.ts';

/** Names that lead out of a root, each in its own way. `secret` lies next to the root, `outside` above it. */
export function escapes(root: string, secret: string): readonly string[] {
  const up = ['..', '../..', '../../../../../../..', 'sub/../..', './..', 'sub/./../../.'];
  return [
    ...up.map((path) => `${path}/${secret}`),
    ...up.map((path) => `${path}/etc/passwd`),
    ...up.map((path) => `/${path}/${secret}`),
    ...up.map((path) => `${path}/${secret}`.replaceAll('/', '\\')),
    `..\\../${secret}`,
    `..//${secret}`,
    `sub//..//..//${secret}`,
    `C:\\..\\${secret}`,
    `C:../${secret}`,
    `../${secret}\xff\xff`,
    `../${secret}\r\n`,
    `..\x7f/../${secret}`,
    `sub\x01/../../${secret}`,
    `....//${secret}`,
    `..%2f${secret}`,
    `%2e%2e/${secret}`,
    `..\xc0\xaf${secret}`,
    `\xc0\xae\xc0\xae/${secret}`,
    `\xef\xbb\xbf../${secret}`,
    '/etc/passwd',
    '//etc/passwd',
    '\\etc\\passwd',
    'C:\\etc\\passwd',
    'file:///etc/passwd',
    '/proc/self/environ',
    '/dev/zero',
    root,
    `${root}/../${secret}`,
    `${root}-private/secret`,
    '~/secret',
    '..',
    '../',
    '.',
    '/',
    '\\',
    '',
  ];
}

const OPTIONS = ['blksize', 'windowsize', 'tsize', 'timeout', 'utimeout', 'blksize2', 'rollover', 'multicast'];
const ODD_NAMES = ['__proto__', 'constructor', 'retries', 'bl\u00e2size', '%s%n', ' blksize', 'BLKSIZE'];
const ODD_VALUES = ['', '0', '-1', '7', '65465', '1e3', '0x10', ' 512', '0512', '99999999999999999999', 'NaN', '%s'];
const ODD_MODES = ['mail', 'OcTeT', '', 'binary', 'octet ', 'netascii2', '\xff', 'x'.repeat(300)];

function hostileRequest(random: Random, names: readonly string[]): Buffer {
  const name = random.chance(1 / 8)
    ? Buffer.from(random.bytes(random.between(0, 499))).toString('latin1')
    : random.pick(names);
  const count = random.chance(1 / 10) ? random.between(0, 119) : random.between(0, 3);
  const options = Array.from({ length: count * 2 }, (_, index) =>
    index % 2 === 0 ? random.pick(random.chance(1 / 3) ? ODD_NAMES : OPTIONS) : random.pick(ODD_VALUES),
  );
  const bytes = readRequest(name, options, random.chance(1 / 4) ? random.pick(ODD_MODES) : 'octet');
  if (random.chance(1 / 6)) bytes[1] = 2;
  return bytes;
}

/** DATA, ACK, ERROR or OACK with a body of random length. */
function hostileAnswer(random: Random): Buffer {
  const bytes = Buffer.from(random.bytes(2 + random.between(0, random.chance(1 / 200) ? 60_000 : 40)));
  bytes[0] = 0;
  bytes[1] = random.between(3, 6);
  // A transfer is most likely to accept low block numbers as its own.
  if (bytes.length >= 4 && random.chance(1 / 2)) bytes[2] = 0;
  return bytes;
}

function flipped(random: Random, bytes: Buffer): Buffer {
  for (let flips = random.between(1, 4); flips > 0 && bytes.length > 0; flips--) {
    bytes[random.between(0, bytes.length - 1)]! ^= 1 << random.between(0, 7);
  }
  return bytes;
}

/** @param names file names in requests. */
export function hostileDatagram(random: Random, names: readonly string[]): Buffer {
  const request = hostileRequest(random, names);
  switch (random.between(0, 6)) {
    case 0:
      return Buffer.from(random.bytes(random.between(0, 599)));
    case 1:
      return request.subarray(0, random.between(0, request.length - 1));
    case 2:
      return flipped(random, request);
    case 3: {
      // The request is padded with memory contents, as PA-RISC firmware does.
      return Buffer.concat([request, random.bytes(random.between(0, 599))]);
    }
    case 4:
      return hostileAnswer(random);
    case 5:
      return flipped(random, hostileAnswer(random));
    default:
      return request;
  }
}

/** True if a server may answer: the opcode is RRQ or WRQ, followed by two strings that end in NUL (RFC 1350 §5). */
export function isRequest(bytes: Buffer): boolean {
  if (
    bytes.length < 2 ||
    bytes.length > MAX_REQUEST_BYTES ||
    (bytes.readUInt16BE(0) !== 1 && bytes.readUInt16BE(0) !== 2)
  )
    return false;
  const nameEnd = bytes.indexOf(0, 2);
  return nameEnd >= 0 && bytes.indexOf(0, nameEnd + 1) >= 0;
}
