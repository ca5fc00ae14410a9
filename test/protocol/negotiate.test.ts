import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeOack } from '../../src/protocol/encode.ts';
import { type NegotiationLimits, UNNEGOTIATED, negotiate } from '../../src/protocol/negotiate.ts';
import { type AskedOption, decodeRequest } from '../../src/protocol/request.ts';
import { type Options, rrq } from '../support/bytes.ts';

const ROOMY: NegotiationLimits = { maxBlksize: 65_464, maxWindowsize: 64, acknowledgeTimeout: true };

interface Circumstances {
  readonly limits?: NegotiationLimits;
  readonly size?: number;
  readonly mode?: 'octet' | 'netascii';
}

/** Options that a request with these options is granted, as `name=value`, and the settled values. */
function ask(options: Options, more: Circumstances = {}) {
  const { limits = ROOMY, size = 1_000_000, mode = 'octet' } = more;
  const datagram = rrq('vmlinuz', mode, options);
  const request = decodeRequest(datagram, datagram.length);
  if (typeof request === 'string') throw new Error(request);
  const { settled, oack, refused } = negotiate(request.options, limits, size, mode);
  return { settled, oack: oack.map(({ spelling, value }) => `${spelling}=${value}`), refused };
}

const granted = (options: Options, more: Circumstances = {}) => ask(options, more).oack;

test('without options there is no OACK, and RFC 1350 applies', () => {
  expect(ask({})).toEqual({
    settled: { blksize: 512, windowsize: 1, rollover: 0, timeoutMs: 0 },
    oack: [],
    refused: [],
  });
});

test('statement 17: if all options are unknown, the transfer starts with DATA 1 (RFC 2347)', () => {
  expect(ask({ multicast: '1', msftwindow: '31416' })).toEqual({ settled: UNNEGOTIATED, oack: [], refused: [] });
});

test('the options of EDK2 are acknowledged in their order and spelling (RFC 2347)', () => {
  expect(ask({ tsize: '0', blksize: '1468', windowsize: '4' })).toEqual({
    settled: { blksize: 1468, windowsize: 4, rollover: 0, timeoutMs: 0 },
    oack: ['tsize=1000000', 'blksize=1468', 'windowsize=4'],
    refused: [],
  });
  expect(granted({ WindowSize: '4', BLKSIZE: '1468', tSIZE: '0' })).toEqual([
    'WindowSize=4',
    'BLKSIZE=1468',
    'tSIZE=1000000',
  ]);
});

test('statement 18: the second request of EDK2 has no tsize, so its OACK has none (RFC 2347)', () => {
  expect(granted({ blksize: '1468', windowsize: '4' })).toEqual(['blksize=1468', 'windowsize=4']);
});

const NO_NUMBERS = ['', ' 8', '8 ', '+8', '-8', '0x10', '1e3', '8.0', '1_000', '٨', 'eight', '8\n', 'NaN', 'Infinity'];

test.each(['blksize', 'blksize2', 'tsize', 'timeout', 'utimeout', 'windowsize', 'rollover'])(
  'statement 19: a %s that is no decimal number is left out (RFC 2347)',
  (name) => {
    for (const value of NO_NUMBERS) {
      const options: AskedOption[] = [{ name: name as AskedOption['name'], spelling: name, value }];
      const { settled, oack, refused } = negotiate(options, ROOMY, 1, 'octet');
      expect({ value, settled, oack, refused }).toEqual({ value, settled: UNNEGOTIATED, oack: [], refused: [name] });
    }
  },
);

test('statement 19: a number may have leading zeros, and the answer has none (GRUB would read them as octal)', () => {
  expect(granted({ blksize: '0512', windowsize: '0004', timeout: '005', tsize: '00' })).toEqual([
    'blksize=512',
    'windowsize=4',
    'timeout=5',
    'tsize=1000000',
  ]);
});

test('statement 19: a value of more than ten digits is not granted (RFC 2347)', () => {
  expect(granted({ blksize: '00000001468' })).toEqual([]);
  expect(granted({ blksize: '0000001468' })).toEqual(['blksize=1468']);
});

test.each([
  ['30', '7', []],
  ['30', '8', ['blksize=8']],
  ['30', '65464', ['blksize=65464']],
  ['30', '65465', []],
  ['30', '65536', []],
  ['30', '0', []],
])('statement %s: blksize %s gives %j (RFC 2348: 8 to 65464 octets)', (_statement, value, expected) => {
  expect(granted({ blksize: value })).toEqual(expected);
});

test('statements 31 to 34: blksize is lowered to what fits one packet, and never raised (RFC 2348)', () => {
  const limits = { ...ROOMY, maxBlksize: 1468 };
  expect(ask({ blksize: '65464' }, { limits })).toMatchObject({ oack: ['blksize=1468'], settled: { blksize: 1468 } });
  expect(ask({ blksize: '1469' }, { limits })).toMatchObject({ oack: ['blksize=1468'], settled: { blksize: 1468 } });
  expect(ask({ blksize: '1468' }, { limits })).toMatchObject({ oack: ['blksize=1468'], settled: { blksize: 1468 } });
  expect(ask({ blksize: '1432' }, { limits })).toMatchObject({ oack: ['blksize=1432'], settled: { blksize: 1432 } });
});

test('statement 35: an OACK may be longer than the blksize it grants (CVE-2021-41054)', () => {
  const oack = encodeOack(new Uint8Array(512), [
    { spelling: 'blksize', value: '8' },
    { spelling: 'tsize', value: '9007199254740991' },
  ]);
  expect(granted({ blksize: '8', tsize: '0' })).toEqual(['blksize=8', 'tsize=1000000']);
  expect(oack).toBeGreaterThan(8 + 4);
});

test('statement 36: forty options, each asked twice, give an OACK of at most 512 bytes (RFC 2347)', () => {
  const names = ['blksize', 'blksize2', 'tsize', 'timeout', 'utimeout', 'windowsize', 'rollover'];
  const asked = Array.from({ length: 40 }, (_, at) => [names[at % names.length]!, '1'] as const);
  const { oack } = negotiate(read(asked), ROOMY, Number.MAX_SAFE_INTEGER, 'octet');
  expect(encodeOack(new Uint8Array(512), oack)).toBeLessThanOrEqual(512);
  expect(oack.map(({ spelling }) => spelling)).toEqual(['tsize', 'timeout', 'windowsize', 'rollover']);
});

function read(options: Options): readonly AskedOption[] {
  const datagram = rrq('f', 'octet', options);
  const request = decodeRequest(datagram, datagram.length);
  if (typeof request === 'string') throw new Error(request);
  return request.options;
}

test.each(['0', '1', '4096', '18446744073709551615'])(
  'statement 37: tsize %s is answered with the exact size (RFC 2349)',
  (value) => {
    expect(granted({ tsize: value }, { size: 33_553_920 })).toEqual(['tsize=33553920']);
  },
);

test.each([0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1])(
  'statement 38: a tsize of %i is written out in full (RFC 2349)',
  (size) => {
    expect(granted({ tsize: '0' }, { size })).toEqual([`tsize=${BigInt(size)}`]);
  },
);

test('statement 39: tsize is left out for netascii, the other options are not (RFC 2349)', () => {
  expect(ask({ tsize: '0', blksize: '1024' }, { mode: 'netascii' })).toMatchObject({
    oack: ['blksize=1024'],
    refused: ['tsize'],
  });
});

test.each([
  ['1', ['timeout=1'], 1000],
  ['5', ['timeout=5'], 5000],
  ['255', ['timeout=255'], 255_000],
  ['0', [], 0],
  ['256', [], 0],
  ['-1', [], 0],
])(
  'statements 41 and 42: timeout %s gives %j (RFC 2349: 1 to 255 seconds, echoed as asked)',
  (value, oack, timeoutMs) => {
    expect(ask({ timeout: value })).toMatchObject({ oack, settled: { timeoutMs } });
  },
);

test.each([
  ['9999', [], 0],
  ['10000', ['utimeout=10000'], 10],
  ['10001', ['utimeout=10001'], 11],
  ['255000000', ['utimeout=255000000'], 255_000],
  ['255000001', [], 0],
])('utimeout %s gives %j (tftp-hpa: 10 ms to 255 s in microseconds)', (value, oack, timeoutMs) => {
  expect(ask({ utimeout: value })).toMatchObject({ oack, settled: { timeoutMs } });
});

test('statement 43: timeout and utimeout are left out unless the operator wants them (RFC 2349)', () => {
  const limits = { ...ROOMY, acknowledgeTimeout: false };
  expect(ask({ timeout: '5', utimeout: '500000', blksize: '1468' }, { limits })).toEqual({
    oack: ['blksize=1468'],
    refused: ['timeout', 'utimeout'],
    settled: { ...UNNEGOTIATED, blksize: 1468 },
  });
});

test.each([
  ['0', [], 1],
  ['1', ['windowsize=1'], 1],
  ['4', ['windowsize=4'], 4],
  ['64', ['windowsize=64'], 64],
  ['65', ['windowsize=64'], 64],
  ['65535', ['windowsize=64'], 64],
  ['65536', [], 1],
])(
  'statement 44: windowsize %s gives %j (RFC 7440 §3: 1 to 65535, the answer not above it)',
  (value, oack, windowsize) => {
    expect(ask({ windowsize: value })).toMatchObject({ oack, settled: { windowsize } });
  },
);

test('statement 46: a window is granted for netascii as well (RFC 7440)', () => {
  expect(granted({ windowsize: '8' }, { mode: 'netascii' })).toEqual(['windowsize=8']);
});

test.each([
  ['7', [], 512],
  ['8', ['blksize2=8'], 8],
  ['1023', ['blksize2=512'], 512],
  ['1024', ['blksize2=1024'], 1024],
  ['65464', ['blksize2=32768'], 32_768],
  ['65536', ['blksize2=32768'], 32_768],
  ['65537', [], 512],
])('blksize2 %s gives %j: a power of two (tftp-hpa)', (value, oack, blksize) => {
  expect(ask({ blksize2: value })).toMatchObject({ oack, settled: { blksize } });
});

test('blksize2 is a power of two below the limit, not the limit', () => {
  expect(granted({ blksize2: '8192' }, { limits: { ...ROOMY, maxBlksize: 1468 } })).toEqual(['blksize2=1024']);
});

test('blksize2 65536 gives blocks that a datagram can carry, however large the MTU (RFC 2348)', () => {
  expect(granted({ blksize2: '65536' }, { limits: { ...ROOMY, maxBlksize: 99_968 } })).toEqual(['blksize2=32768']);
});

test.each([
  ['0', ['rollover=0'], 0],
  ['1', ['rollover=1'], 1],
  ['2', [], 0],
])('rollover %s gives %j (tftp-hpa)', (value, oack, rollover) => {
  expect(ask({ rollover: value })).toMatchObject({ oack, settled: { rollover } });
});

test('of two names for one option the first that can be granted counts, and the other is left out', () => {
  expect(ask({ blksize: '1468', blksize2: '1024' })).toMatchObject({ oack: ['blksize=1468'], refused: ['blksize2'] });
  expect(ask({ blksize2: '1024', blksize: '1468' })).toMatchObject({
    oack: ['blksize2=1024'],
    settled: { blksize: 1024 },
  });
  expect(ask({ blksize: '7', blksize2: '1024' })).toMatchObject({ oack: ['blksize2=1024'], refused: ['blksize'] });
  expect(ask({ utimeout: '500000', timeout: '5' })).toMatchObject({
    oack: ['utimeout=500000'],
    settled: { timeoutMs: 500 },
  });
});

const NAMES = ['blksize', 'blksize2', 'tsize', 'timeout', 'utimeout', 'windowsize', 'rollover'] as const;

test('whatever is asked, nothing is granted unasked or above what was asked, and the OACK fits (RFC 2347)', () => {
  const value = fc.oneof(fc.nat({ max: 70_000 }).map(String), fc.nat().map(String), fc.string({ maxLength: 12 }));
  const asked = fc.uniqueArray(fc.record({ name: fc.constantFrom(...NAMES), value }), {
    selector: ({ name }) => name,
    maxLength: NAMES.length,
  });
  const limits = fc.record({
    maxBlksize: fc.integer({ min: 8, max: 100_000 }),
    maxWindowsize: fc.integer({ min: 1, max: 32_767 }),
    acknowledgeTimeout: fc.boolean(),
  });
  const size = fc.maxSafeNat();
  fc.assert(
    fc.property(asked, limits, size, fc.constantFrom('octet', 'netascii'), (pairs, bounds, bytes, mode) => {
      const options = pairs.map(({ name, value: wanted }) => ({ name, spelling: name.toUpperCase(), value: wanted }));
      const { settled, oack, refused } = negotiate(options, bounds, bytes, mode);
      expect(encodeOack(new Uint8Array(512), oack)).toBeLessThanOrEqual(512);
      // Every requested option is either granted or refused, in the order of the request.
      const answered = oack.map(({ spelling }) => spelling);
      expect(answered).toEqual(options.map(({ spelling }) => spelling).filter((name) => answered.includes(name)));
      expect(answered.length + refused.length).toBe(options.length);
      const tooMuch = oack.filter(({ spelling, value: given }) => {
        const wanted = Number(options.find((option) => option.spelling === spelling)!.value);
        if (spelling === 'TSIZE') return given !== String(bytes);
        return spelling.includes('TIMEOUT') ? Number(given) !== wanted : Number(given) > wanted;
      });
      expect(tooMuch).toEqual([]);
      expect(settled.blksize).toBeLessThanOrEqual(Math.min(65_464, Math.max(512, bounds.maxBlksize)));
      expect(settled.windowsize).toBeLessThanOrEqual(bounds.maxWindowsize);
      expect(settled.timeoutMs === 0 || bounds.acknowledgeTimeout).toBe(true);
    }),
    { numRuns: 1000 },
  );
});
