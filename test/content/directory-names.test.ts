import { execFileSync } from 'node:child_process';
import { mkdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { BufferCache } from '../../src/content/buffer-cache.ts';
import { CHANGED, snapshot } from '../../src/content/file-snapshot.ts';
import {
  answeredOtherwise,
  ask,
  askContent,
  foundFile,
  onWire,
  put,
  read,
  serve,
  temporaryFolder,
  text,
} from './fixture.ts';

const SECRET = 'SECRET: not for anyone who asks';

/** A root `tftp` with files in it, next to secrets that no name may reach. */
function layOut(): { root: string; outside: string } {
  const outside = temporaryFolder();
  const root = join(outside, 'tftp');
  put(root, 'boot/linux', 'the kernel');
  put(root, 'readme', 'read me');
  put(outside, 'secret', SECRET);
  put(outside, 'tftp-private/secret', SECRET);
  put(outside, 'private/deep/secret', SECRET);
  return { root, outside };
}

describe('Directory', () => {
  it('serves the bytes of a file under every spelling of its name', async () => {
    const { source } = serve(layOut().root);
    const spellings = [
      'boot/linux',
      '/boot/linux',
      '//boot///linux',
      'boot\\linux',
      'C:\\boot\\linux',
      './boot/./linux',
    ];
    for (const name of [...spellings, 'boot/linux\xff', 'boot/linux\xff\xff\x01']) {
      expect({ name, bytes: await read(source, name) }).toEqual({ name, bytes: 'the kernel' });
    }
    const content = await askContent(source, '\\boot\\linux');
    expect(content.label).toBe('boot/linux');
  });

  it('says missing for a name that does not exist', async () => {
    const { source } = serve(layOut().root);
    expect(
      await answeredOtherwise(source, 'missing', [
        '',
        '/',
        'nothing',
        'boot/nothing',
        'readme/below',
        'x'.repeat(256),
        'a/'.repeat(2500),
        '\xe4',
      ]),
    ).toEqual([]);
  });

  it('says missing for folders, and for links to them and to the root', async () => {
    const { root } = layOut();
    symlinkSync('boot', join(root, 'link'));
    symlinkSync('.', join(root, 'self'));
    const { source } = serve(root);
    expect(await answeredOtherwise(source, 'missing', ['boot', 'boot/', 'link', 'self', '.'])).toEqual([]);
  });

  it('serves names with spaces and names in UTF-8, and knows no file by invalid UTF-8', async () => {
    const { root } = layOut();
    put(root, 'a file', 'spaces');
    put(root, 'büro/größe', 'umlauts');
    const { source } = serve(root);
    expect(await read(source, 'a file')).toBe('spaces');
    expect(await read(source, onWire('büro/größe'))).toBe('umlauts');
    expect((await ask(source, 'b\xfcro/gr\xf6\xdfe')).kind).toBe('missing');
  });

  it('serves an empty file', async () => {
    const { root } = layOut();
    put(root, 'empty', '');
    const { source } = serve(root);
    expect(await read(source, 'empty')).toBe('');
    expect(await read(source, 'empty', 'netascii')).toBe('');
  });

  it('says busy while the root is missing, and serves when it appears', async () => {
    const root = join(temporaryFolder(), 'later');
    const { source } = serve(root);
    expect((await ask(source, 'x')).kind).toBe('busy');
    put(root, 'x', 'here now');
    expect(await read(source, 'x')).toBe('here now');
  });

  it('serves a root that is the whole file system', async () => {
    const { source } = serve('/');
    const path = put(temporaryFolder(), 'x', 'anywhere');
    expect(await read(source, path)).toBe('anywhere');
  });

  it('converts for netascii beside the plain bytes', async () => {
    const { root } = layOut();
    put(root, 'lines', 'one\ntwo\r\n\rlast\r');
    const { source, cache } = serve(root);
    expect(await read(source, 'lines', 'netascii')).toBe('one\r\ntwo\r\0\r\n\r\0last\r\0');
    expect(await read(source, 'lines')).toBe('one\ntwo\r\n\rlast\r');
    expect(cache.stats()).toMatchObject({ loads: 2, entries: 2 });
  });

  it('sends a file that is larger than the memory limit through a small ring', async () => {
    const { root } = layOut();
    execFileSync('truncate', ['-s', '4T', join(root, 'huge')]);
    const { source, cache } = serve(root);
    const content = await askContent(source, 'huge');
    expect(content.supply).toMatchObject({ size: 4_398_046_511_104, arrived: 0, isWhole: false });
    expect(cache.stats()).toMatchObject({ heldBytes: 262_144, entries: 0 });
    content.release();
    expect(cache.stats()).toMatchObject({ heldBytes: 0, entries: 0 });
  });

  it('reads a file once however many names and links lead to it', async () => {
    const { root } = layOut();
    for (const serial of ['1', '2', '3']) {
      mkdirSync(join(root, serial));
      symlinkSync('../boot/linux', join(root, serial, 'kernel'));
    }
    const { source, cache } = serve(root);
    const names = ['1/kernel', '2/kernel', '3/kernel', 'boot/linux'];
    for (const name of names) expect(await read(source, name)).toBe('the kernel');
    expect(cache.stats()).toMatchObject({ loads: 1, entries: 1 });
  });
});

describe('Directory keeps its secrets', () => {
  it.each([
    ['../secret'],
    ['..\\secret'],
    ['/../secret'],
    ['boot/../../secret'],
    ['boot\\..\\../secret'],
    ['C:..\\secret'],
    ['../tftp-private/secret'],
    ['..\xff'],
    ['boot/linux\0/../../../secret'],
    ['boot/../../tftp/boot/linux'],
  ])('denies %j', async (name) => {
    const { source } = serve(layOut().root);
    expect((await ask(source, name)).kind).toBe('denied');
  });

  it('does not treat a name as an absolute path', async () => {
    const { root, outside } = layOut();
    const { source } = serve(root);
    expect(
      await answeredOtherwise(source, 'missing', [
        join(outside, 'secret'),
        `//${join(outside, 'secret')}`,
        `C:${join(outside, 'secret')}`,
      ]),
    ).toEqual([]);
  });

  it('decodes no percent signs', async () => {
    const { source } = serve(layOut().root);
    expect(
      await answeredOtherwise(source, 'missing', ['%2e%2e/secret', '..%2fsecret', '%2e%2e%2fsecret', '..%5csecret']),
    ).toEqual([]);
  });

  it('follows links only to where they stay inside', async () => {
    const { root, outside } = layOut();
    symlinkSync('boot/linux', join(root, 'inside'));
    symlinkSync('boot', join(root, 'bootdir'));
    symlinkSync(join(root, 'readme'), join(root, 'absolute'));
    symlinkSync('../secret', join(root, 'out'));
    symlinkSync('../private', join(root, 'outdir'));
    symlinkSync(join(outside, 'tftp-private'), join(root, 'sibling'));
    symlinkSync('chain2', join(root, 'chain1'));
    symlinkSync('boot/../out', join(root, 'chain2'));
    symlinkSync('loop2', join(root, 'loop1'));
    symlinkSync('loop1', join(root, 'loop2'));
    symlinkSync('nowhere', join(root, 'dangling'));
    symlinkSync('/dev/zero', join(root, 'zero'));
    symlinkSync('/proc/self/environ', join(root, 'environ'));
    const { source, cache } = serve(root);
    expect(await read(source, 'inside')).toBe('the kernel');
    expect(await read(source, 'bootdir/linux')).toBe('the kernel');
    expect(await read(source, 'absolute')).toBe('read me');
    const { loads } = cache.stats();
    expect(
      await answeredOtherwise(source, 'denied', [
        'out',
        'outdir/deep/secret',
        'sibling/secret',
        'chain1',
        'loop1',
        'zero',
        'environ',
      ]),
    ).toEqual([]);
    expect((await ask(source, 'dangling')).kind).toBe('missing');
    expect(cache.stats().loads).toBe(loads);
  });

  it('serves no FIFOs and sockets, and does not wait for them', async () => {
    const { root } = layOut();
    execFileSync('mkfifo', [join(root, 'fifo')]);
    symlinkSync('fifo', join(root, 'link'));
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(root, 'socket'), resolve));
    onTestFinished(() => void server.close());
    const { source } = serve(root);
    expect(await answeredOtherwise(source, 'denied', ['fifo', 'link', 'socket'])).toEqual([]);
  });

  it.runIf(process.platform === 'linux')('denies a file whose open descriptor lies outside the root', async () => {
    const { root, outside } = layOut();
    // The effect is the same as if `boot` had been replaced by a link between the lookup and the open.
    rmSync(join(root, 'boot'), { recursive: true });
    symlinkSync('../private/deep', join(root, 'boot'));
    const path = join(root, 'boot/secret');
    const swapped = foundFile(join(outside, 'private/deep/secret'), { root, path });
    const answer = await snapshot(swapped, 'octet');
    expect(answer).toMatchObject({ kind: 'denied' });
    expect(answer).not.toHaveProperty('buffer');
    // Where the system can't tell where a descriptor leads, the path is resolved once more.
    expect(await snapshot(swapped, 'octet', { platform: 'darwin' })).toBe(CHANGED);
  });

  it('gives no byte from outside the root, whatever the name', async () => {
    const { root, outside } = layOut();
    symlinkSync('../secret', join(root, 'out'));
    symlinkSync('..', join(root, 'up'));
    symlinkSync('/', join(root, 'slash'));
    symlinkSync('boot', join(root, 'in'));
    const inside = new Set(['the kernel', 'read me']);
    const pieces = [
      '..',
      '.',
      '/',
      '\\',
      'C:',
      '%2e',
      '\0',
      '\xff',
      '\xef\xbb\xbf',
      'out',
      'up',
      'in',
      'slash',
      'boot',
    ];
    pieces.push('linux', 'readme', 'secret', 'private', 'tftp', 'tftp-private', '-private', 'deep', outside, root);
    const piece = fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(...pieces) },
      { weight: 3, arbitrary: fc.constant('/') },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes).toString('latin1')) },
    );
    const names = fc.array(piece, { maxLength: 12 }).map((parts) => parts.join(''));
    let served = 0;
    const property = (caseInsensitive: boolean) =>
      fc.asyncProperty(names, async (name) => {
        const { source } = serve(root, { caseInsensitive, cache: new BufferCache({ maxBytes: 0 }) });
        const answer = await ask(source, name);
        if (answer.kind !== 'content') return;
        served++;
        expect(inside).toContain(text(answer));
        expect(realpathSync(join(root, answer.label)).startsWith(`${root}/`)).toBe(true);
      });
    const known = { examples: [['boot/linux'], ['in\\linux'], ['up/secret'], ['out']] as [string][] };
    await fc.assert(property(false), { numRuns: 1000, ...known });
    await fc.assert(property(true), { numRuns: 500, ...known });
    expect(served).toBeGreaterThan(3);
  });
});

describe('Directory without regard to case', () => {
  it('finds a file part by part, and only when asked to', async () => {
    const { root } = layOut();
    put(root, 'Boot2/Fonts/WGL4_Boot.ttf', 'font');
    const name = '\\boot2\\fonts\\wgl4_boot.TTF';
    expect(await read(serve(root, { caseInsensitive: true }).source, name)).toBe('font');
    expect((await ask(serve(root).source, name)).kind).toBe('missing');
  });

  it('prefers the exact name, then the first in code unit order, each time', async () => {
    const root = temporaryFolder();
    for (const name of ['x', 'X', 'ab', 'Ab', 'aB']) put(root, name, `file ${name}`);
    const { source } = serve(root, { caseInsensitive: true });
    expect(await read(source, 'x')).toBe('file x');
    expect(await read(source, 'X')).toBe('file X');
    expect(await read(source, 'AB')).toBe('file Ab');
  });

  it('folds only ASCII letters', async () => {
    const root = temporaryFolder();
    put(root, 'k', 'a plain k');
    put(root, 'Ä', 'an umlaut');
    const { source } = serve(root, { caseInsensitive: true });
    expect(await read(source, 'K')).toBe('a plain k');
    // U+212A is the Kelvin sign, which toLowerCase turns into `k`.
    expect((await ask(source, onWire('\u212A'))).kind).toBe('missing');
    expect((await ask(source, onWire('ä'))).kind).toBe('missing');
  });

  it('follows links no further than with regard to case', async () => {
    const { root } = layOut();
    symlinkSync('../private', join(root, 'Outdir'));
    symlinkSync('boot', join(root, 'Bootdir'));
    const { source } = serve(root, { caseInsensitive: true });
    expect((await ask(source, 'OUTDIR/DEEP/SECRET')).kind).toBe('denied');
    expect((await ask(source, 'README/below')).kind).toBe('missing');
    expect(await read(source, 'BOOTDIR/LINUX')).toBe('the kernel');
  });

  it('sees names that come and go, a second later', async () => {
    const root = temporaryFolder();
    put(root, 'other', '');
    const { source, pass } = serve(root, { caseInsensitive: true });
    expect((await ask(source, 'GRUB.CFG')).kind).toBe('missing');
    put(root, 'grub.cfg', 'new');
    expect((await ask(source, 'GRUB.CFG')).kind).toBe('missing');
    pass(1000);
    expect(await read(source, 'GRUB.CFG')).toBe('new');
    rmSync(join(root, 'grub.cfg'));
    pass(1000);
    expect((await ask(source, 'GRUB.CFG')).kind).toBe('missing');
  });
});
