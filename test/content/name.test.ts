import { posix } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cleanName, exactPath, filledPath, readingsOf, textPath } from '../../src/content/name.ts';
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
    ['..\xff'],
    // This name leaves the root and returns to it; names outside the root have no meaning here.
    ['../tftp/secret'],
    ['..\xc0\xaf..\xc0\xafsecret'],
  ])('denies %j, which leads out', (filename) => {
    expect(kindOf(filename)).toBe('denied');
  });

  it.each([
    ['arm/../images/node7/kernel', 'images/node7/kernel'],
    ['arm\\..\\images\\node7\\kernel', 'images/node7/kernel'],
    ['a/b/../../c', 'c'],
    ['/a/../b/./../c', 'c'],
    ['a/..b/../c', 'a/c'],
    ['boot/linux/..', 'boot'],
  ])('resolves %j within the root', (filename, path) => {
    expect(cleanName(filename)).toBe(path);
  });

  it.each([
    ['boot\n/x', 'boot'],
    ['boot\x1b[0m/x', 'boot'],
    ['boot\x7f/x', 'boot'],
    ['boot\0/x', 'boot'],
    ['loader.biny\n;o\x1e', 'loader.biny'],
    ['pxelinux.0\xff\x42abc', 'pxelinux.0'],
    ['pxelinux.0\xef\xbf', 'pxelinux.0'],
    ['boot/\xe4', 'boot'],
    ['boot/\xed\xa0\x80', 'boot'],
    [`${onWire('menü')}\xc3`, 'menü'],
    [onWire('\uFFFD.cfg'), '\uFFFD.cfg'],
  ])('drops the bytes after the name: %j', (filename, path) => {
    expect(cleanName(filename)).toBe(path);
  });

  it.each([
    ['nothing', ''],
    ['slashes alone', '///'],
    ['a dot', './.'],
    ['a drive alone', 'C:\\'],
    ['garbage alone', '\xff\xff\x01'],
    ['the root', 'boot/..'],
    ['the root with garbage behind it', 'boot/..\xff'],
    ['a part of 256 bytes', 'x'.repeat(256)],
    ['a part of 128 two-byte letters', onWire('ä'.repeat(128))],
  ])('knows that no file can be named %s', (_, filename) => {
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

describe('readingsOf', () => {
  it.each([
    ['boot/x', ['boot/x']],
    ['/boot//./x', ['boot/x']],
    [onWire('büro'), [onWire('büro')]],
    ['\\Boot\\BCD', ['\\Boot\\BCD', 'Boot/BCD']],
    ['C:/boot/x', ['C:/boot/x', 'boot/x']],
    ['pxelinux.0\xff', ['pxelinux.0\xff', 'pxelinux.0']],
    ['b\xfcro/x', ['b\xfcro/x', 'b']],
    // The name runs on into the next option of a DHCP reply, option 121 and its length: code 121 is the letter `y`.
    ['loader.biny\n;o\x1e', ['loader.biny\n;o\x1e', 'loader.biny', 'loader.bin']],
    ['boot/x\xff\n', ['boot/x\xff\n', 'boot/x']],
    ['...\n', ['...\n', '...']],
    ['\xff\xff', ['\xff\xff']],
  ])('of %j are %j', (filename, readings) => {
    expect(readingsOf(filename)).toEqual(readings);
  });

  it.each([['../x'], ['x\xff/../../y'], ['..\xff'], ['a\\..\\..\\b'], ['C:..\\b'], ['linux\0/../../../secret']])(
    'of %j are denied, all of them',
    (filename) => {
      expect(readingsOf(filename)).toMatchObject({ kind: 'denied' });
    },
  );

  it('are paths that stay below what they are joined to, whatever the bytes', () => {
    const piece = fc.oneof(
      fc.constantFrom('..', '.', '/', '\\', 'C:', 'boot', '\n', '\xff', '\xc3\xa4', '\xef\xbb\xbf', ' '),
      fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    );
    const name = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(name, (filename) => {
        const readings = readingsOf(filename);
        for (const path of 'kind' in readings ? [] : readings) {
          expect(posix.join('/srv/tftp', path)).toBe(`/srv/tftp/${path}`);
          expect(path).not.toMatch(/^\/|\/$|\/\/|(^|\/)\.{1,2}(\/|$)|\0/);
          // Reading a name that is already a reading gives the same path.
          expect(exactPath(path)).toBe(path);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe('textPath', () => {
  it('accepts only clean names', () => {
    expect(textPath(onWire('/büro//x'))).toBe('büro/x');
    for (const name of ['b\xfcro', 'a\\b', 'C:/x', 'x\n', 'x\xff', '']) {
      expect({ name, ...(textPath(name) as object) }).toEqual({ name, kind: 'missing' });
    }
    expect(textPath('../x')).toMatchObject({ kind: 'denied' });
  });
});

describe('filledPath', () => {
  it('denies a `..` wherever it leads, under either slash', () => {
    expect(filledPath('nodes//x')).toBe('nodes/x');
    for (const name of ['nodes/../x', 'nodes/a\\..\\b', 'x/..']) {
      expect(filledPath(name)).toMatchObject({ kind: 'denied' });
    }
  });
});
