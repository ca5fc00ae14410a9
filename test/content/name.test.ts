import * as fc from 'fast-check';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cleanName } from '../../src/content/name.ts';
import { onWire } from './fixture.ts';

function kindOf(filename: string): string {
  const result = cleanName(filename);
  return typeof result === 'string' ? `path ${result}` : result.kind;
}

describe('cleanName', () => {
  it.each([
    ['boot/x', 'boot/x'],
    ['/boot/x', 'boot/x'],
    ['//boot///x', 'boot/x'],
    ['boot\\x', 'boot/x'],
    ['\\Boot\\BCD', 'Boot/BCD'],
    ['/boot\\fonts/wgl4_boot.ttf', 'boot/fonts/wgl4_boot.ttf'],
    ['C:\\boot\\x', 'boot/x'],
    ['c:/boot/x', 'boot/x'],
    ['c:boot', 'boot'],
    ['./boot/./x', 'boot/x'],
    ['boot/x/', 'boot/x'],
    ['pxelinux.0\xff', 'pxelinux.0'],
    ['pxelinux.0\xff\xff\x00\x7f\n\xff', 'pxelinux.0'],
    ['a file with spaces', 'a file with spaces'],
    ['grub/grub.cfg-52:54:00:12:34:56', 'grub/grub.cfg-52:54:00:12:34:56'],
    ['...', '...'],
    ['..x/x..', '..x/x..'],
    ['%2e%2e/x', '%2e%2e/x'],
  ])('reads %j as %j', (filename, path) => {
    expect(cleanName(filename)).toBe(path);
  });

  it.each([
    ['..'],
    ['../secret'],
    ['..\\secret'],
    ['boot/../../secret'],
    ['boot\\..\\..\\secret'],
    ['boot/..\\../secret'],
    ['/../secret'],
    ['C:..\\secret'],
    ['C:/../secret'],
    ['boot/..'],
    ['boot/..\xff'],
    ['boot/..\x00'],
    ['boot\0/x'],
    ['boot\n/x'],
    ['boot\x1b[0m/x'],
    ['boot\x7f/x'],
  ])('denies %j', (filename) => {
    expect(kindOf(filename)).toBe('denied');
  });

  it.each([
    ['nothing', ''],
    ['slashes alone', '///'],
    ['a dot', './.'],
    ['a drive alone', 'C:\\'],
    ['garbage alone', '\xff\xff\x01'],
    ['invalid UTF-8', 'boot/\xe4'],
    ['a cut UTF-8 sequence', 'boot/\xc3'],
    ['an overlong slash', '..\xc0\xaf..\xc0\xafsecret'],
    ['a surrogate in UTF-8', '\xed\xa0\x80'],
    ['a part of 256 bytes', 'x'.repeat(256)],
    ['a part of 128 two-byte letters', onWire('ä'.repeat(128))],
  ])('knows that no file is called %s', (_, filename) => {
    expect(kindOf(filename)).toBe('missing');
  });

  it('reads the bytes of a name as UTF-8', () => {
    expect(cleanName(onWire('büro/größe-日本'))).toBe('büro/größe-日本');
    expect(cleanName(onWire('ä'.repeat(127)))).toBe('ä'.repeat(127));
  });

  it('keeps a byte order mark, which would uncover a `..`', () => {
    expect(cleanName(onWire('\uFEFF..'))).toBe('\uFEFF..');
    expect(cleanName(onWire('\uFEFF../x'))).toBe('\uFEFF../x');
  });

  it('gives only paths that stay below what they are joined to, whatever the bytes', () => {
    const piece = fc.oneof(
      fc.constantFrom('..', '.', '/', '\\', 'C:', 'boot', '%2e', '\0', '\xff', '\xc3\xa4', '\xef\xbb\xbf', ' '),
      fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    );
    const name = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(name, (filename) => {
        const path = cleanName(filename);
        if (typeof path !== 'string') return;
        expect(posix.normalize(path)).toBe(path);
        expect(posix.join('/srv/tftp', path)).toBe(`/srv/tftp/${path}`);
        expect(path).not.toMatch(/^\/|\/$|\\|\/\/|(^|\/)\.{1,2}(\/|$)/);
        expect(Buffer.from(path).every((byte) => byte >= 0x20 && byte !== 0x7f)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });
});
