import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress } from '../../src/text/address-text.ts';
import { closestWord } from '../../src/text/closest-word.ts';
import { readNetwork } from '../../src/boot-set/node/network-list.ts';
import { repeatedFlag } from '../../src/config/flag.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { addresses, parseDuration, parseSize, portRange } from '../../src/config/value-kind.ts';

describe('sizes', () => {
  it.each([
    ['0', 0],
    ['512', 512],
    ['512B', 512],
    ['64KiB', 65_536],
    ['64 KiB', 65_536],
    ['1.5MiB', 1_572_864],
    ['2GiB', 2_147_483_648],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each(['', '-1', '1e9', '0x10', '2GB', '2gib', '1 000', '0.1B', '9999999999999999GiB', 'GiB', '1KiB ', '１'])(
    '%j is not a size',
    (text) => {
      expect(parseSize(text)).toBeUndefined();
    },
  );
});

describe('durations', () => {
  it.each([
    ['0', 0],
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5m', 90_000],
    ['2 m', 120_000],
    ['4h', 14_400_000],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '30', '-1s', '1d', '1e3ms', 's', '1m30s'])('%j is not a duration', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});

describe('addresses', () => {
  it.each(['127.0.0.1:69', '0.0.0.0:0', '[::]:69', '[::1]:65535', '[fe80::1%eth0]:69'])(
    '%s reads and writes back the same',
    (text) => {
      const address = parseAddress(text);
      expect(address).toBeDefined();
      expect(formatAddress(address!)).toBe(text);
    },
  );

  it.each([
    '',
    '127.0.0.1',
    ':69',
    '69',
    '::1:69',
    '[::1]',
    '[127.0.0.1]:69',
    '1.2.3:69',
    '256.1.1.1:1',
    '1.2.3.4:65536',
    'localhost:69',
  ])('%j is not an address to listen on', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  it('an empty list is not a list of addresses', () => {
    expect(addresses.read([])).toBeUndefined();
  });
});

describe('settings', () => {
  it('numbers are read the same from a flag and from YAML, and bounded', () => {
    expect(SETTINGS.workers.kind.read('4')).toBe(4);
    expect(SETTINGS.workers.kind.read(4)).toBe(4);
    expect(SETTINGS.workers.kind.read(0)).toBeUndefined();
    expect(SETTINGS.workers.kind.read(1.5)).toBeUndefined();
    expect(SETTINGS.workers.kind.read(Number.NaN)).toBeUndefined();
    expect(SETTINGS.maxWindowsize.kind.read(32_768)).toBeUndefined();
  });
});

describe('blksizes for clients', () => {
  it.each<[unknown, [string | undefined, number][]]>([
    [1428, [[undefined, 1428]]],
    ['65464', [[undefined, 65_464]]],
    ['192.0.2.0/24=8', [['192.0.2.0/24', 8]]],
    [
      [1428, '2001:db8::/32=1228', '2001:db8::7=512'],
      [
        [undefined, 1428],
        ['2001:db8::/32', 1228],
        ['2001:db8::7', 512],
      ],
    ],
    [[], []],
  ])('are read from %j', (value, rules) => {
    expect(SETTINGS.maxBlksize.kind.read(value)).toEqual(rules.map(([network, blksize]) => ({ network, blksize })));
  });

  it.each<[string, unknown]>([
    ['too small', 7],
    ['too large', 65_465],
    ['too large for a network', '192.0.2.0/24=65465'],
    ['no number', '192.0.2.0/24='],
    ['no network', '192.0.2.0/33=1228'],
    ['an empty network', '=1228'],
    ['two numbers', '192.0.2.0/24=1228=1228'],
    ['two for all clients', [1428, 1228]],
    ['two for a network', ['192.0.2.0/24=1428', '192.0.2.0/24=1228']],
    ['a map', { '192.0.2.0/24': 1228 }],
    ['one too many', Array.from({ length: 65 }, (_, index) => `10.0.${index}.0/24=1228`)],
  ])('are not: %s', (_what, value) => {
    expect(SETTINGS.maxBlksize.kind.read(value)).toBeUndefined();
  });
});

describe('networks', () => {
  it.each([
    ['192.0.2.0/24', '192.0.2.0/24', false],
    ['192.0.2.129/25', '192.0.2.128/25', true],
    ['192.0.2.7', '192.0.2.7/32', false],
    ['0.0.0.0/0', '0.0.0.0/0', false],
    ['2001:DB8::/32', '2001:db8::/32', false],
    ['2001:db8:0:ffff::1/49', '2001:db8:0:8000::/49', true],
    ['::ffff:192.0.2.1/120', '::ffff:192.0.2.0/120', true],
    ['::1', '::1/128', false],
  ])('are read from %s', (text, network, hasHostBits) => {
    expect(readNetwork(text)).toEqual({ network, hasHostBits });
  });

  it.each(['', 'foo', '192.0.2.0/33', '192.0.2.0/', '::/129', 'fe80::1%lo', '192.0.2.0/24/24'])(
    'are not %j',
    (text) => {
      expect(readNetwork(text)).toBeUndefined();
    },
  );

  it('are one list, however often the flag is given', () => {
    const parse = repeatedFlag('--max-blksize', SETTINGS.maxBlksize.kind);
    parse('1468');
    expect(parse('192.0.2.0/24=512')).toHaveLength(2);
    expect(() => parse('192.0.2.0/24=600')).toThrow(
      '--max-blksize: expected each network once, got one again: "192.0.2.0/24=600"',
    );
  });
});

describe('a range of ports', () => {
  it.each([
    ['1-65535', { from: 1, to: 65_535 }],
    ['49152-49152', { from: 49_152, to: 49_152 }],
    ['0-10', undefined],
    ['10-9', undefined],
    ['1-65536', undefined],
    ['1', undefined],
    ['1 - 2', undefined],
    [69, undefined],
  ])('is read from %j', (text, range) => {
    expect(portRange.read(text)).toEqual(range);
  });
});

describe('the closest word', () => {
  const words = ['cacheBytes', 'workers', 'listen', 'drain'];
  it.each([
    ['cache-bytes', 'cacheBytes'],
    ['worker', 'workers'],
    ['lisen', 'listen'],
    ['drian', 'drain'],
    ['nadir', undefined],
    ['tftp', undefined],
    ['x'.repeat(100_000), undefined],
  ])('%.20s is meant as %s', (word, meant) => {
    expect(closestWord(word, words)).toBe(meant);
  });
});
