/** Names with typed captures: spellings of firmware, and limits on patterns. */
import { describe, expect, it } from 'vitest';
import { fill, idsOf, parsePattern } from '../../src/render/pattern.ts';
import { Random } from '../support/random.ts';

function match(pattern: string, name: string): unknown {
  return parsePattern(pattern).match(name);
}

describe('a pattern without regard to case', () => {
  const ignoring = (pattern: string, name: string): unknown => parsePattern(pattern, true).match(name);

  it('takes ASCII letters of either case, and captures what is there', () => {
    expect(ignoring('EFI/{name}/bootx64.efi', 'efi/Debian/BOOTX64.EFI')).toEqual({ name: 'Debian' });
    expect(ignoring('a/{name}/b{path*}/C', 'A/x/B1/2/c')).toEqual({ name: 'x', path: '1/2' });
    expect(match('EFI/{name}/bootx64.efi', 'efi/Debian/BOOTX64.EFI')).toBeUndefined();
  });

  it('folds no other letters', () => {
    // toLowerCase turns the Kelvin sign into a `k` and the dotted I into two characters.
    expect(ignoring('k/{name}', '\u212A/x')).toBeUndefined();
    expect(ignoring('ä/{name}', 'Ä/x')).toBeUndefined();
    expect(ignoring('\u0130/{name}', '\u0130/X')).toEqual({ name: 'X' });
  });
});

describe('a capture', () => {
  it.each(['52-54-00-AB-cd-01', '52:54:00:ab:cd:01', '525400abcd01', '5254.00AB.CD01'])('takes a MAC as %s', (mac) => {
    expect(match('{mac}.ipxe', `${mac}.ipxe`)).toEqual({ mac: '52:54:00:ab:cd:01' });
  });

  it.each(['ff-ff-ff-ff-ff-ff', '00-00-00-00-00-00', '01-00-5e-00-00-01', '52-54-00-ab-cd', '52-54:00-ab-cd-01'])(
    'takes no %s for the MAC of a machine',
    (mac) => expect(match('pxelinux.cfg/01-{mac}', `pxelinux.cfg/01-${mac}`)).toBeUndefined(),
  );

  it('takes a UUID with and without dashes, in any case', () => {
    const uuid = '4c4c4544-0051-3010-8052-b4c04f4a4d31';
    expect(match('grub/grub.cfg-{uuid}', `grub/grub.cfg-${uuid.toUpperCase()}`)).toEqual({ uuid });
    expect(match('{uuid}', uuid.replaceAll('-', ''))).toEqual({ uuid });
  });

  it('takes an address in hex, whole with the address that it means, shortened without', () => {
    expect(match('pxelinux.cfg/{hexip}', 'pxelinux.cfg/c0A80A05')).toEqual({ hexip: 'C0A80A05', ip: '192.168.10.5' });
    expect(match('pxelinux.cfg/{hexip}', 'pxelinux.cfg/C0A8')).toEqual({ hexip: 'C0A8' });
    expect(match('pxelinux.cfg/{hexip}', 'pxelinux.cfg/default')).toBeUndefined();
  });

  it('takes addresses, serials, architectures, components and paths', () => {
    expect(match('{ip}.cfg', '10.0.0.255.cfg')).toEqual({ ip: '10.0.0.255' });
    expect(match('{ip}.cfg', '10.0.0.256.cfg')).toBeUndefined();
    expect(match('{serial}/config.txt', '9FFEFDEF/config.txt')).toEqual({ serial: '9ffefdef' });
    expect(match('default-{arch}', 'default-ARM64')).toEqual({ arch: 'arm64' });
    expect(match('a/{name}', 'a/b')).toEqual({ name: 'b' });
    expect(match('a/{name}', 'a/b/c')).toBeUndefined();
    expect(match('a/{path*}', 'a/b/c')).toEqual({ path: 'b/c' });
  });

  it('treats regular expression syntax as plain text', () => {
    expect(match('a.b', 'axb')).toBeUndefined();
    expect(match('(a+)+$', '(a+)+$')).toEqual({});
  });
});

describe('a pattern', () => {
  it.each([
    ['{mcA}', 'expected one of {mac}'],
    ['{__proto__}', 'expected one of {mac}'],
    ['{mac', 'expected captures in braces'],
    ['{mac}{name}', 'expected something between {mac} and {name}'],
    ['{mac}-{mac}', 'expected {mac} once'],
    ['{name}-{serial}-{arch}', 'expected at most 2'],
    ['/a', 'expected a name without slashes before'],
    ['', 'expected a name'],
  ])('%s is refused', (pattern, message) => expect(() => parsePattern(pattern)).toThrow(message));

  it.each(['20-00-02-c9-03-00-0b-8c-a1', '20-00:02:C9:03:00:0B:8C:A1', '20-0002c903000b8ca1'])(
    'takes the GUID of an InfiniBand port for a MAC: %s',
    (text) => {
      expect(match('pxelinux.cfg/20-{mac}', `pxelinux.cfg/${text}`)).toEqual({ mac: '00:02:c9:03:00:0b:8c:a1' });
    },
  );

  it('decides about the longest names quickly', () => {
    // Processor time: the machine may run other tests meanwhile.
    const before = process.cpuUsage();
    match('{name}-{serial}/x', `${'-a'.repeat(127)}/${'y'.repeat(255)}`);
    match('{path*}-{name}/x', `${'-a/'.repeat(160)}y`);
    // These texts can be split in millions of ways; a regular expression tries them all, which takes 0.6 to 0.9 s each.
    for (const free of ['name', 'serial', 'arch']) {
      const hostile = `{path*}1{${free}}1{hexip}1{mac}1{uuid}1{ip}x`;
      expect(match(hostile, `${'1'.repeat(250)}/${'1'.repeat(250)}x`)).toBeUndefined();
    }
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(100);
  });

  it('matches the same names as a regular expression', () => {
    const HEX = '[0-9A-Fa-f]';
    const sources: Readonly<Record<string, string>> = {
      hexip: `${HEX}{1,8}`,
      ip: '(?:(?:0|[1-9][0-9]{0,2})\\.){3}(?:0|[1-9][0-9]{0,2})',
      serial: '[0-9A-Za-z._-]{1,64}',
      name: '[^/]{1,255}',
      'path*': '.+',
    };
    const kinds = Object.keys(sources);
    const seed = 20_261_130;
    const random = new Random(seed);
    let fitting = 0;
    for (let times = 0; times < 30_000; times++) {
      const captures = [random.pick(kinds), random.pick(kinds)].filter((kind, at, all) => all.indexOf(kind) === at);
      const texts = [random.pick(['', 'a', '1']), random.pick(['1', 'a', '.', '/a']), random.pick(['', '1', 'A/b'])];
      const pattern = captures.map((kind, at) => `${texts[at]}{${kind}}`).join('') + texts[2];
      const source = captures.map((kind, at) => `${texts[at]!.replace('.', '\\.')}(${sources[kind]})`).join('');
      const pieces = ['1', 'a', '.', '/', '10.0.0.1', 'C0A80A05'];
      const name = Array.from({ length: random.between(1, 8) }, () => random.pick(pieces)).join('');
      const found = new RegExp(`^${source}${texts[2]}$`, 's').exec(name);
      const expected = found === null ? undefined : found.slice(1).map((text) => text.toLowerCase());
      const got = match(pattern, name) as Record<string, string> | undefined;
      const given = got && captures.map((kind) => got[kind.replace('*', '')]!.toLowerCase());
      // An address is checked again after it has been found: 10.0.0.111 is valid, 10.0.0.1111 is not.
      if (given === undefined && captures.includes('ip')) continue;
      if (given !== undefined) fitting++;
      expect({ seed, pattern, name, given }).toEqual({ seed, pattern, name, given: expected });
    }
    expect(fitting).toBeGreaterThan(1000);
  });
});

it('captures name a node, the best name first', () => {
  expect(idsOf({ ip: '10.0.0.1', serial: 'ABC', mac: '52:54:00:00:00:01' })).toEqual([
    'mac:52:54:00:00:00:01',
    'serial:abc',
    'ip:10.0.0.1',
  ]);
  // These boards have the manufacturer's default UUID.
  expect(idsOf({ uuid: '03000200-0400-0500-0006-000700080009' })).toEqual([]);
});

it('captures are filled in once, and encoded where that is asked for', () => {
  expect(fill('new/{name}/{path*}', { name: '{path}', path: 'a/b' })).toBe('new/{path}/a/b');
  expect(fill('/x?m={name}', { name: 'a&b=\r\nc' }, encodeURIComponent)).toBe('/x?m=a%26b%3D%0D%0Ac');
  expect(() => fill('{mac}', {})).toThrow('expected a capture of the route');
});
