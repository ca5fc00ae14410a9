/** Links from the root into trusted folders, and hostile links next to them. */
import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BufferCache } from '../../src/content/buffer-cache.ts';
import { CHANGED, snapshot } from '../../src/content/file-snapshot.ts';
import { TrustedRoots } from '../../src/content/trusted-roots.ts';
import { answeredOtherwise, ask, foundFile, put, read, serve, temporaryFolder, text } from './fixture.ts';

const SECRET = 'SECRET: not for anyone who asks';

interface Layout {
  readonly base: string;
  readonly root: string;
  readonly mirror: string;
}

/** A root, a mirror that the root may link into, and secrets next to both. */
function layOut(): Layout {
  const base = temporaryFolder();
  const [root, mirror] = [join(base, 'tftp'), join(base, 'mirror')];
  put(root, 'readme', 'read me');
  put(mirror, 'debian/linux', 'the kernel');
  for (const name of ['secret', 'mirror-private/secret', 'private/debian/linux']) put(base, name, SECRET);
  return { base, root, mirror };
}

describe('Directory with trusted folders', () => {
  it('serves what a link leads to in one of them, and once however many lead there', async () => {
    const { root, mirror } = layOut();
    symlinkSync(mirror, join(root, 'mirror'));
    symlinkSync('../mirror/debian/linux', join(root, 'linux'));
    symlinkSync('linux', join(root, 'vmlinuz'));
    const { source, cache } = serve(root, { trustedRoots: new TrustedRoots({ folders: [mirror] }) });
    for (const name of ['mirror/debian/linux', 'linux', 'vmlinuz']) expect(await read(source, name)).toBe('the kernel');
    expect(cache.stats().loads).toBe(1);
    expect(await answeredOtherwise(serve(root).source, 'denied', ['mirror/debian/linux', 'linux', 'vmlinuz'])).toEqual(
      [],
    );
  });

  it('finds files in them without regard to case, if that is wanted', async () => {
    const { root, mirror } = layOut();
    symlinkSync(mirror, join(root, 'mirror'));
    const { source } = serve(root, { trustedRoots: new TrustedRoots({ folders: [mirror] }), caseInsensitive: true });
    expect(await read(source, 'MIRROR/Debian/LINUX')).toBe('the kernel');
  });

  it('serves nothing in them except through a link', async () => {
    const { root, mirror } = layOut();
    const { source } = serve(root, { trustedRoots: new TrustedRoots({ folders: [mirror] }) });
    expect(await answeredOtherwise(source, 'missing', [`${mirror}/debian/linux`, 'debian/linux'])).toEqual([]);
    expect((await ask(source, '../mirror/debian/linux')).kind).toBe('denied');
  });

  it('follows no link out of them, or to a folder whose name only begins like theirs', async () => {
    const { base, root, mirror } = layOut();
    symlinkSync('../secret', join(mirror, 'out'));
    symlinkSync('..', join(mirror, 'up'));
    symlinkSync('/proc/self/environ', join(mirror, 'environ'));
    symlinkSync(mirror, join(root, 'mirror'));
    symlinkSync(`${mirror}-private`, join(root, 'sibling'));
    symlinkSync(join(base, 'mirror/../secret'), join(root, 'dotted'));
    symlinkSync(base, join(root, 'above'));
    const { source, cache } = serve(root, { trustedRoots: new TrustedRoots({ folders: [mirror] }) });
    expect(
      await answeredOtherwise(source, 'denied', [
        'mirror/out',
        'mirror/up/secret',
        'mirror/environ',
        'sibling/secret',
        'dotted',
        'above/secret',
      ]),
    ).toEqual([]);
    expect(cache.stats().loads).toBe(0);
  });

  it('trusts the folder that was there at the start, and none that takes its place as a link', async () => {
    const { root, mirror } = layOut();
    symlinkSync('../mirror/debian/linux', join(root, 'linux'));
    const { source, pass } = serve(root, { trustedRoots: new TrustedRoots({ folders: [mirror] }) });
    expect(await read(source, 'linux')).toBe('the kernel');
    renameSync(mirror, `${mirror}-before`);
    symlinkSync('private', mirror);
    pass(1000);
    expect((await ask(source, 'linux')).kind).toBe('denied');
  });

  it('gives no answer below a link into a missing trusted folder, and serves it when it appears', async () => {
    const { base, root, mirror } = layOut();
    const given = join(base, 'given');
    symlinkSync('mirror', given);
    symlinkSync('../mirror', join(root, 'mirror'));
    symlinkSync('../private', join(root, 'private'));
    renameSync(mirror, `${mirror}-unmounted`);
    const warnings: unknown[] = [];
    const trustedRoots = new TrustedRoots({
      folders: [given],
      onWarning: (message, detail) => warnings.push([message, detail]),
    });
    const { source, pass } = serve(root, { trustedRoots, caseInsensitive: true });
    expect(warnings).toEqual([
      ['a folder of trustedRoots cannot be reached: waiting for it', { folder: given, code: 'ENOENT' }],
    ]);
    expect(await answeredOtherwise(source, 'busy', ['mirror/debian/linux', 'MIRROR/x', 'mirror'])).toEqual([]);
    expect(await answeredOtherwise(source, 'missing', ['other', 'readme/x'])).toEqual([]);
    expect((await ask(source, 'private/debian/linux')).kind).toBe('denied');
    expect(await read(source, 'readme')).toBe('read me');
    renameSync(`${mirror}-unmounted`, mirror);
    pass(1000);
    expect(await read(source, 'mirror/debian/linux')).toBe('the kernel');
    expect((await ask(source, 'mirror/x')).kind).toBe('missing');
    // It has been resolved once: what takes its place is not trusted.
    rmSync(given);
    symlinkSync('private', given);
    pass(1000);
    expect((await ask(source, 'private/debian/linux')).kind).toBe('denied');
    expect(warnings).toHaveLength(1);
  });

  it('trusts no file that takes the place of a missing folder', async () => {
    const { base, root } = layOut();
    const trustedRoots = new TrustedRoots({ folders: [join(base, 'later')] });
    symlinkSync('../later', join(root, 'link'));
    put(base, 'later', SECRET);
    const { source, pass } = serve(root, { trustedRoots });
    expect((await ask(source, 'link')).kind).toBe('denied');
    rmSync(join(base, 'later'));
    mkdirSync(join(base, 'later'));
    put(base, 'later/x', 'mirrored');
    pass(1000);
    expect(await read(source, 'link/x')).toBe('mirrored');
  });

  it.runIf(process.platform === 'linux')('denies a file whose open descriptor lies outside the root', async () => {
    const { base, mirror } = layOut();
    // The effect is the same as if `debian` had been replaced by a link between the lookup and the open.
    rmSync(join(mirror, 'debian'), { recursive: true });
    symlinkSync('../private/debian', join(mirror, 'debian'));
    const place = { root: mirror, path: join(mirror, 'debian/linux') };
    const swapped = foundFile(join(base, 'private/debian/linux'), place);
    expect(await snapshot(swapped, 'octet')).toMatchObject({ kind: 'denied' });
    expect(await snapshot(swapped, 'octet', { platform: 'darwin' })).toBe(CHANGED);
  });

  it('gives no byte from elsewhere, whatever links there are and whatever the name', async () => {
    const targets = [
      'secret',
      'mirror',
      'mirror-private',
      'mirror/debian',
      'mirror/debian/linux',
      'private',
      '.',
      'tftp',
    ];
    const link = fc.record({
      in: fc.constantFrom('tftp', 'mirror', 'mirror/debian'),
      name: fc.constantFrom('a', 'b', 'c'),
      to: fc.constantFrom(...targets, 'tftp/a', 'mirror/b', 'mirror/debian/c'),
    });
    const part = fc.constantFrom('a', 'b', 'c', 'secret', 'debian', 'linux', 'mirror', 'readme', '..');
    const property = fc.asyncProperty(
      fc.array(link, { maxLength: 6 }),
      fc.array(fc.array(part, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 8 }),
      async (links, names) => {
        const { base, root, mirror } = layOut();
        for (const { in: folder, name, to } of links) {
          rmSync(join(base, folder, name), { force: true });
          symlinkSync(join(base, to), join(base, folder, name));
        }
        const { source } = serve(root, {
          trustedRoots: new TrustedRoots({ folders: [mirror] }),
          cache: new BufferCache({ maxBytes: 0 }),
        });
        for (const name of names) {
          const answer = await ask(source, name.join('/'));
          if (answer.kind === 'content') served.add(text(answer));
        }
      },
    );
    const served = new Set<string>();
    await fc.assert(property, {
      numRuns: 150,
      examples: [
        [
          [
            { in: 'tftp', name: 'a', to: 'mirror' },
            { in: 'mirror', name: 'b', to: '.' },
          ],
          [['a', 'b', 'secret'], ['a', 'debian', 'linux'], ['readme']],
        ],
      ],
    });
    expect([...served].toSorted()).toEqual(['read me', 'the kernel']);
  });
});
