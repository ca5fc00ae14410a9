import { describe, expect, it } from 'vitest';
import { localName, parseTftpUri } from '../../src/cli/tftp-uri.ts';
import { UsageError } from '../../src/config/usage-error.ts';

describe('a TFTP URI', () => {
  it.each([
    ['tftp://h/boot/linux', { host: 'h', port: 69, filename: 'boot/linux', mode: 'octet' }],
    ['TFTP://rack-1.example.net:6969/x', { host: 'rack-1.example.net', port: 6969, filename: 'x', mode: 'octet' }],
    ['tftp://192.0.2.1//etc/x', { host: '192.0.2.1', port: 69, filename: '/etc/x', mode: 'octet' }],
    ['tftp://[2001:db8::1]:70/x', { host: '2001:db8::1', port: 70, filename: 'x', mode: 'octet' }],
    ['tftp://[fe80::1%25eth0]/x', { host: 'fe80::1%eth0', port: 69, filename: 'x', mode: 'octet' }],
    ['tftp://h/a/../b/./c', { host: 'h', port: 69, filename: 'a/../b/./c', mode: 'octet' }],
    ['tftp://h/a%20b%2Fc%ff', { host: 'h', port: 69, filename: 'a b/c\xff', mode: 'octet' }],
    ['tftp://h/ä😀', { host: 'h', port: 69, filename: '\xc3\xa4\xf0\x9f\x98\x80', mode: 'octet' }],
    ['tftp://h/x;mode=netascii', { host: 'h', port: 69, filename: 'x', mode: 'netascii' }],
    ['tftp://h/x;y;mode=OCTET', { host: 'h', port: 69, filename: 'x;y', mode: 'octet' }],
    ['tftp://h/x%3Bmode=netascii', { host: 'h', port: 69, filename: 'x;mode=netascii', mode: 'octet' }],
  ])('%s is understood', (text, parts) => {
    expect(parseTftpUri(text)).toEqual(parts);
  });

  it.each([
    ['', 'tftp://HOST[:PORT]/NAME'],
    ['http://h/x', 'tftp://HOST[:PORT]/NAME'],
    ['tftp://h', 'tftp://HOST[:PORT]/NAME'],
    ['tftp:///x', 'HOST or HOST:PORT'],
    ['tftp://user@h/x', 'HOST or HOST:PORT'],
    ['tftp://::1/x', 'HOST or HOST:PORT'],
    ['tftp://h:/x', 'HOST or HOST:PORT'],
    ['tftp://h:0/x', 'a port from 1 to 65535'],
    ['tftp://h:65536/x', 'a port from 1 to 65535'],
    ['tftp://[1.2.3.4]/x', 'an IPv6 address between the brackets'],
    ['tftp://h/', 'a name after the host'],
    ['tftp://h/;mode=octet', 'a name after the host'],
    ['tftp://h/x;mode=mail', '";mode=octet" or ";mode=netascii"'],
    ['tftp://h/x;mode=', '";mode=octet" or ";mode=netascii"'],
    ['tftp://h/x%', 'two hexadecimal digits after every %'],
    ['tftp://h/x%g0', 'two hexadecimal digits after every %'],
    ['tftp://h/x%00', 'a name without NUL'],
    ['tftp://h/x?y', 'no query or fragment'],
    ['tftp://h/x#y', 'no query or fragment'],
  ])('%j is turned down: expected %s', (text, expected) => {
    expect(() => parseTftpUri(text)).toThrow(UsageError);
    expect(() => parseTftpUri(text)).toThrow(`get: expected ${expected}`);
  });
});

describe('the local name of a download', () => {
  it.each([
    ['boot/linux', 'linux'],
    ['linux', 'linux'],
    ['a/\xc3\xa4', 'ä'],
    ['boot/', undefined],
    ['..', undefined],
    ['a/.', undefined],
    ['a/\xff', undefined],
  ])('of %j is %j', (filename, name) => {
    expect(localName(filename)).toBe(name);
  });
});
