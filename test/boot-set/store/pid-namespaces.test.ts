/** Two containers on one store: LMDB tells processes apart by their PID, and both may have PID 1. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { StagingFolder } from '../../../src/boot-set/store/staging-folder.ts';
import { openStore } from '../../../src/boot-set/store/store.ts';
import { filesIn, folder } from '../fixture.ts';

function builtFile(name: string): string {
  return fileURLToPath(new URL(`../../../dist/${name}`, import.meta.url));
}

const canUnshare = process.getuid?.() === 0 && spawnSync('unshare', ['--pid', '--fork', 'true']).status === 0;

/** Runs a script that has PID 1 and a store open, until it is killed. */
async function holder(path: string): Promise<ChildProcess> {
  const script = `
    const { openStore } = await import(${JSON.stringify(builtFile('boot-set/store/store.js'))});
    const store = await openStore({ path: ${JSON.stringify(path)} });
    store.channels();
    console.log('open');
    setInterval(() => store.channels(), 1000);`;
  const args = ['--pid', '--fork', '--kill-child', process.execPath, '--input-type=module', '--eval', script];
  const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

/** Publishes with PID 1. */
function publish(path: string): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const set = filesIn({ linux: 'kernel' });
  const args = [builtFile('cli/main.js'), 'publish', 'install', set, '--store', path];
  return spawnSync('unshare', ['--pid', '--fork', process.execPath, ...args], { encoding: 'utf8' });
}

describe.runIf(canUnshare)('a process with the PID of another one that has the store open', { timeout: 60_000 }, () => {
  it('says so in one line, and works once the other one is gone', async () => {
    const path = join(folder(), 'store');
    const other = await holder(path);
    const { status, stdout, stderr } = publish(path);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(
      /^reveille: \S+state\.lmdb: another process has the PID 1 as well, in another container, .*\n$/,
    );

    // This process keeps the table of readers, in which the killed one stays.
    const store = await openStore({ path });
    expect(store.channels()).toEqual([]);
    const ended = once(other, 'exit');
    other.kill('SIGKILL');
    await ended;
    expect(publish(path)).toMatchObject({ status: 0, stdout: 'install-1\n', stderr: '' });
    await store.close();
  });

  it('loses no staging folder to a collection in another PID namespace', async () => {
    const path = join(folder(), 'store');
    const store = await openStore({ path });
    const staging = new StagingFolder(store.staging);
    const args = [builtFile('cli/main.js'), 'gc', '--grace', '0', '--store', path];
    const { status } = spawnSync('unshare', ['--pid', '--fork', process.execPath, ...args]);
    expect([status, readdirSync(join(path, 'staging'))]).toEqual([0, [expect.stringMatching(`^${process.pid}-`)]]);
    await staging.remove();
    await store.close();
  });
});
