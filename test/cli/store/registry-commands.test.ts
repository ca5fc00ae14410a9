/** `reveille push` and `pull` as people use them, with Debian's docker-registry: output, exit codes, mistakes. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCommand as runSource } from '../../../src/cli/run.ts';
import { Interrupts } from '../../../src/daemon/interrupts.ts';
import { filesIn, folder } from '../../boot-set/fixture.ts';
import { DebianRegistry, FakeRegistry, hasRegistry, USER } from '../../registry/fixture.ts';
import { runCommand } from '../../support/command.ts';

const DIGEST = 'sha256:[0-9a-f]{64}';

/** A store with one version of `hall/install`. */
async function built(): Promise<string> {
  const store = join(folder(), 'build');
  const files = filesIn({ linux: 'kernel', initrd: randomBytes(70_000) });
  await runCommand(['publish', 'hall/install', files, '--store', store]);
  return store;
}

describe.runIf(hasRegistry)('push and pull', () => {
  it('print what they did, as text and as JSON, and what they would do', async () => {
    const { host } = await DebianRegistry.start();
    const [store, other] = [await built(), join(folder(), 'other')];
    const name = `oci+http://${host}/boot/install:stable`;
    const push = (...flags: string[]) => runCommand(['push', 'hall/install', name, '--store', store, ...flags]);
    const pull = (...flags: string[]) => runCommand(['pull', name, 'hall/install', '--store', other, ...flags]);
    expect(await push('--dry-run')).toEqual({ code: 0, stdout: 'would upload 3 blobs, 70.0 kB\n', stderr: '' });
    expect((await push()).stdout).toMatch(new RegExp(`^\\S+/boot/install:stable@${DIGEST}\\n$`));
    expect(JSON.parse((await push('--json')).stdout)).toMatchObject({ version: 'hall/install-1', blobs: 0, bytes: 0 });
    await runCommand(['publish', 'other', filesIn({ linux: 'another kernel' }), '--store', other]);
    expect(await pull('--dry-run')).toEqual({ code: 0, stdout: 'would download 2 blobs, 70.0 kB\n', stderr: '' });
    expect(await pull()).toEqual({ code: 0, stdout: 'hall/install-1\n', stderr: '' });
    expect(JSON.parse((await pull('--json')).stdout)).toMatchObject({ new: false, blobs: 0, downloaded: 0 });
  });

  it('name each mistake in one line, with exit code 2 for a wrong request and 1 for a failure', async () => {
    const { host } = await DebianRegistry.start({ isProtected: true });
    const [store, other] = [await built(), join(folder(), 'other')];
    const authFile = join(folder(), 'auth.json');
    const write = (password: string): void => {
      const auth = Buffer.from(`${USER.name}:${password}`).toString('base64');
      writeFileSync(authFile, JSON.stringify({ auths: { [host]: { auth } } }), { mode: 0o600 });
    };
    write(USER.password);
    const to = `oci+http://${host}/boot/install:1`;
    const flags = ['--registry-auth-file', authFile];
    const run = (...args: string[]) => runCommand([...args, ...flags]);
    expect(await run('push', 'hall/install', to, '--store', store)).toMatchObject({ code: 0 });
    // A container image in place of a boot set.
    const image = JSON.stringify({ schemaVersion: 2, mediaType: 'x', config: {}, layers: [] });
    const fake = await FakeRegistry.start();
    fake.add('image', image);
    const wrong: readonly [code: number, message: RegExp, ...args: string[]][] = [
      [2, /expected a repository in lower case/, 'push', 'hall/install', to.replace('boot', 'Boot'), '--store', store],
      [2, /expected a name such as oci:/, 'push', 'hall/install', `${host}/boot/install`, '--store', store],
      [2, /expected an existing version/, 'push', 'hall/instal', to, '--store', store],
      [2, /expected a tag to push to/, 'push', 'hall/install', `${to}@sha256:${'0'.repeat(64)}`, '--store', store],
      [2, /--mount-from: expected the name/, 'push', 'hall/install', to, '--store', store, '--mount-from', 'A'],
      [2, /expected --candidate, or --stage/, 'pull', to, 'hall/install', '--store', other, '--stage', '--candidate'],
      [2, /the registry has none of that name/, 'pull', to.replace(/1$/, 'none'), 'a', '--store', other],
      [2, /expected a boot set: layers/, 'pull', `oci+http://${fake.host}/boot:image`, 'a', '--store', other],
      [2, /expected a channel name such as/, 'pull', to, '../a', '--store', other],
      [2, /--store: expected/, 'pull', to, 'a'],
      [1, /registry with plain HTTP is named oci\+http:/, 'pull', `oci://${host}/boot:1`, 'a', '--store', other],
    ];
    for (const [code, message, ...args] of wrong) {
      // oxlint-disable-next-line no-await-in-loop -- one mistake after the other.
      const said = await run(...args);
      expect([said.code, said.stdout, args]).toEqual([code, '', args]);
      expect(said.stderr).toMatch(message);
      expect(said.stderr.trimEnd()).toMatch(/^reveille: [^\n]+$/);
    }
    write('wrong');
    const refused = await run('pull', to, 'a', '--store', other);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^reveille: \S+: GET \S+: answered 401 [^\n]*see --registry-auth-file\n$/);
  });

  it('end the line of the progress bar before a message', async () => {
    const fake = await FakeRegistry.start();
    const linux = randomBytes(100_000);
    fake.addSet({ linux }, 'stable');
    fake.misbehave = ({ url = '' }, response) => {
      if (!url.includes('/blobs/')) return false;
      response.end(Buffer.alloc(linux.length, 7));
      return true;
    };
    let drawn = '';
    const stderr = { isTTY: true, columns: 80, write: (text: string) => (drawn += text) };
    const args = ['pull', `oci+http://${fake.host}/boot:stable`, 'install', '--store', join(folder(), 'store')];
    const code = await runSource(args, { interrupts: new Interrupts(), version: '0', stderr });
    expect(code).toBe(1);
    expect(drawn).toMatch(
      /\rpull {2}\[=+\] {2}100% {2}100 kB of 100 kB {2}[^\n]*\nreveille: [^\n]*this digest[^\n]*\n$/,
    );
  });
});
