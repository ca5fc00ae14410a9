/** Modes of published files under any umask: the server reads them as another user. */
import { chmodSync, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../../../src/boot-set/store/manifest.ts';
import { Reveille } from '../../support/reveille.ts';
import { runCommand } from '../../support/command.ts';
import { filesIn, folder } from '../fixture.ts';

/** Publishes like a shell with that umask. */
async function publishWith(umask: number, store: string, files: Readonly<Record<string, string>>): Promise<void> {
  const preload = `data:text/javascript,${encodeURIComponent(`process.umask(${umask})`)}`;
  const args = ['publish', 'a', filesIn(files), '--store', store];
  const { code, stderr } = await new Reveille(args, { nodeArgs: ['--import', preload] }).ended;
  expect([code, stderr]).toEqual([0, '']);
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

describe('publishing with a umask of 077', () => {
  it('makes a store that others can read', async () => {
    const path = join(folder(), 'store');
    await publishWith(0o077, path, { linux: 'one', initrd: 'shared' });
    const modes = (names: readonly string[]): string[] => names.map((name) => `${name} ${modeOf(join(path, name))}`);
    expect(modes(['.', 'blobs', 'blobs/sha256', 'staging', 'oci-layout', 'index.json'])).toEqual([
      '. 755',
      'blobs 755',
      'blobs/sha256 755',
      'staging 755',
      'oci-layout 644',
      'index.json 644',
    ]);
    const blobs = readdirSync(join(path, 'blobs/sha256'));
    expect(blobs).toHaveLength(4);
    expect(new Set(blobs.map((name) => modeOf(join(path, 'blobs/sha256', name))))).toEqual(new Set(['444']));
  });

  it('leaves the blobs of old versions as the files that they are', async () => {
    const path = join(folder(), 'store');
    await publishWith(0o022, path, { linux: 'one', initrd: 'shared' });
    const shared = join(path, 'blobs/sha256', sha256('shared'));
    const before = statSync(shared, { bigint: true });
    await publishWith(0o077, path, { linux: 'two', initrd: 'shared' });
    const after = statSync(shared, { bigint: true });
    expect([after.ino, after.mode, after.ctimeNs]).toEqual([before.ino, before.mode, before.ctimeNs]);
    expect(modeOf(join(path, 'blobs/sha256', sha256('two')))).toBe('444');
    expect(modeOf(join(path, 'index.json'))).toBe('644');
  });
});

describe('a blob that not every server can read', () => {
  it.each([0o400, 0o440, 0o000])('of mode %o is named by verify, and put right by publishing again', async (mode) => {
    const path = join(folder(), 'store');
    await publishWith(0o022, path, { linux: 'one', initrd: 'shared' });
    const blob = join(path, 'blobs/sha256', sha256('shared'));
    chmodSync(blob, mode);
    const { code, stdout } = await runCommand(['verify', '--store', path]);
    expect([code, stdout]).toEqual([1, expect.stringContaining(sha256('shared'))]);
    const shown = mode.toString(8).padStart(4, '0');
    // A user other than root can't read a file that its owner may not read.
    const problem = `expected mode 0444, which every server can read, got ${shown}`;
    expect(stdout).toMatch(process.getuid?.() === 0 ? problem : /cannot be read|its mode is/);
    await publishWith(0o077, path, { linux: 'one', initrd: 'shared' });
    expect([existsSync(blob), modeOf(blob)]).toEqual([true, '444']);
    expect(await runCommand(['verify', '--store', path])).toMatchObject({ code: 0 });
  });
});
