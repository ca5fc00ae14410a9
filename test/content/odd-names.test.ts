/** Names as they occur in the field: full paths, `..`, stray memory after a name, names that are not UTF-8. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { answeredOtherwise, ask, askContent, put, read, serve, temporaryFolder } from './fixture.ts';

/** A root `tftp` with files in it, next to secrets. */
function layOut(): { root: string; outside: string } {
  const outside = temporaryFolder();
  const root = join(outside, 'tftp');
  put(root, 'boot/linux', 'the kernel');
  put(root, 'readme', 'read me');
  put(outside, 'secret', 'SECRET');
  put(outside, 'tftp-private/secret', 'SECRET');
  return { root, outside };
}

describe('Directory and odd names', () => {
  it('serves a file by its full path on the server if no file has that name', async () => {
    const { root, outside } = layOut();
    put(root, 'tftpboot/readme', 'in a folder of that name');
    symlinkSync('tftp', join(outside, 'current'));
    const { source } = serve(join(outside, 'current'));
    for (const front of [join(outside, 'current'), root, '/tftpboot', '/srv/tftp', '/var/lib/tftpboot', '\\tftpboot']) {
      const name = `${front}/boot/linux`;
      expect({ name, bytes: await read(source, name) }).toEqual({ name, bytes: 'the kernel' });
    }
    expect((await askContent(source, '/srv/tftp/boot//linux\xff')).label).toBe('boot/linux');
    expect(await read(source, '/tftpboot/readme')).toBe('in a folder of that name');
    expect(
      await answeredOtherwise(source, 'missing', [
        root,
        `${root}/`,
        `${root}-private/secret`,
        `${root}/../secret`,
        '/srv/tftp',
      ]),
    ).toEqual([]);
    expect((await ask(source, `${'/..'.repeat(3)}${root}/boot/linux`)).kind).toBe('denied');
  });

  it('serves a name with a `..` in it that stays inside', async () => {
    const { root } = layOut();
    put(root, 'images/node7/kernel', 'kernel of node 7');
    const { source, cache } = serve(root);
    for (const name of [
      'arm/../images/node7/kernel',
      'boot/../images/../images/node7/kernel',
      '\\arm\\..\\images\\node7\\kernel',
    ]) {
      expect(await read(source, name)).toBe('kernel of node 7');
    }
    expect(cache.stats().loads).toBe(1);
  });

  it('serves a file whose name is followed by memory of the firmware, with control bytes or bytes over 127', async () => {
    const { root } = layOut();
    put(root, 'loader.bin', 'loader');
    const { source } = serve(root);
    for (const garbage of [
      'y\n;o\x1e',
      '\xff',
      '\xff\xff\x01',
      '\x06\x04abc',
      '+\x1f/x',
      '\x80\x93abc',
      '\xe9',
      '\xc3',
    ]) {
      const name = `loader.bin${garbage}`;
      expect({ name, bytes: await read(source, name) }).toEqual({ name, bytes: 'loader' });
    }
  });

  it('serves a file by the very bytes of its name before any other', async () => {
    const { root } = layOut();
    const latin1 = (name: string): Buffer => Buffer.from(join(root, name), 'latin1');
    put(root, 'menu', 'cleaned');
    for (const name of ['gr\xf6\xdfe', 'menu\xff', 'menu\x01', 'Boot\\BCD']) {
      writeFileSync(latin1(name), Buffer.from(`exact ${name}`, 'latin1'));
    }
    mkdirSync(latin1('b\xfcro'));
    writeFileSync(latin1('b\xfcro/x'), 'in a folder');
    const { source } = serve(root);
    for (const name of ['gr\xf6\xdfe', 'menu\xff', 'menu\x01', 'Boot\\BCD']) {
      expect({ name, bytes: await read(source, name) }).toEqual({ name, bytes: `exact ${name}` });
    }
    expect(await read(source, '/b\xfcro//x')).toBe('in a folder');
    expect(await read(source, 'menu\xfe')).toBe('cleaned');
    expect((await askContent(source, 'gr\xf6\xdfe')).label).toBe('größe');
    expect(await read(serve(root, { caseInsensitive: true }).source, 'B\xfcRO/X')).toBe('in a folder');
  });
});
