/** The built command with a store: publish, serve, boot and restart over real sockets, and the HTTP API. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fetchFile } from '../../src/client/fetch.ts';
import { openStore } from '../../src/boot-set/store/store.ts';
import { runCommand } from '../support/command.ts';
import { ServedStoreProcess } from '../support/served-store.ts';
import { folder, Reveille } from '../support/reveille.ts';

const TOKEN = '0123456789abcdef';

class Rack {
  readonly folder = folder();
  readonly store = join(this.folder, 'store');
  readonly root = join(this.folder, 'root');
  readonly server: ServedStoreProcess;

  constructor(args: readonly string[] = []) {
    for (const name of [this.store, this.root]) mkdirSync(name);
    writeFileSync(join(this.root, 'plain'), 'a plain file');
    this.server = new ServedStoreProcess([this.root, '--store', this.store, '--workers', '1', ...args]);
    onTestFinished(() => this.server.end('SIGKILL'));
  }

  files(version: string): string {
    const path = join(this.folder, `set-${version}`);
    mkdirSync(path);
    for (const name of ['pxelinux.0', 'linux', 'initrd.img']) {
      writeFileSync(join(path, name), `${name} of version ${version}${'.'.repeat(5000)}`);
    }
    writeFileSync(join(path, 'empty.lst'), '');
    return path;
  }

  async publish(version: string): Promise<void> {
    const { code, stderr } = await runCommand(['publish', 'rack', this.files(version), '--store', this.store]);
    if (code !== 0) throw new Error(stderr);
  }

  /** @returns the first words of a file, or the outcome of a transfer that did not complete. */
  async get(filename: string, local = '127.0.0.1'): Promise<string> {
    const parts: Buffer[] = [];
    const { outcome, errorCode } = await fetchFile({
      server: this.server.address,
      filename,
      mode: 'octet',
      wish: { blksize: 1408, windowsize: 4, tsize: true },
      local,
      lingerMs: 0,
      sink: { write: (bytes) => void parts.push(Buffer.from(bytes)) },
    });
    if (outcome !== 'complete') return `${outcome} ${errorCode}`;
    return /^[^.]*(?:\.[^.]+)?/.exec(Buffer.concat(parts).toString())![0];
  }
}

const canMount = process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0;

describe.runIf(canMount)('a store on a read-only disk', () => {
  it('explains why an empty folder there does not become a store', async () => {
    const path = folder();
    const script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"';
    const args = ['serve', '--store', path, '--listen', '127.0.0.1:0', '--no-admin', '--workers', '1'];
    const server = new Reveille(args, { prefix: ['unshare', '--mount', 'sh', '-c', script, path] });
    const { code, stdout, stderr } = await server.ended;
    expect(code).toBe(1);
    expect(stdout).toContain('the store is on a read-only disk');
    expect(stderr).toContain('expected a store, got an empty folder');
  });

  it('is served with pins in memory, which is logged once', async () => {
    const rack = new Rack();
    await rack.publish('1');
    // The mount is read-only only for the server; another machine may write to the disk that it exports.
    const script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"';
    const args = ['serve', '--store', rack.store, '--listen', '127.0.0.1:0', '--no-admin', '--workers', '1'];
    const server = new Reveille(args, { prefix: ['unshare', '--mount', 'sh', '-c', script, rack.store] });
    const [, port] = await server.saying(/"addresses":\["127.0.0.1:([0-9]+)"\]/);
    rack.server.address = { address: '127.0.0.1', port: Number(port) };
    expect(await rack.get('rack/pxelinux.0')).toBe('pxelinux.0 of version 1');
    await rack.publish('2');
    expect(await rack.get('rack-2/linux')).toBe('linux of version 2');
    expect(await rack.get('rack/linux')).toBe('linux of version 1');
    expect(await rack.get('rack/pxelinux.0', '127.0.0.2')).toBe('pxelinux.0 of version 2');
    server.process.kill('SIGTERM');
    const { code, stdout } = await server.ended;
    expect(code).toBe(0);
    const complaints = stdout.split('\n').filter((line) => /"level":"(?:warn|error|fatal)"/.test(line));
    expect(complaints).toEqual([expect.stringContaining('the store is on a read-only disk: pins are kept in memory')]);
    const store = await openStore({ path: rack.store });
    expect(store.pins()).toEqual([]);
    await store.close();
  });
});

describe('reveille serve --store', () => {
  it('notices a publication, keeps a version for a boot, and falls back to the root', async () => {
    const rack = new Rack();
    await rack.server.start();
    expect(await rack.get('rack/linux')).toBe('refused 1');
    expect(await rack.get('plain')).toBe('a plain file');
    await rack.publish('one');
    expect(await rack.get('rack/pxelinux.0')).toBe('pxelinux.0 of version one');
    await rack.publish('two');
    expect(await rack.get('rack/linux')).toBe('linux of version one');
    expect(await rack.get('rack/initrd.img')).toBe('initrd.img of version one');
    expect(await rack.get('rack/empty.lst')).toBe('');
    expect(await rack.get('rack-2/linux')).toBe('linux of version two');
    expect(await rack.get('rack-3/linux')).toBe('refused 1');
    expect(await rack.get('rack/pxelinux.0', '127.0.0.9')).toBe('pxelinux.0 of version two');
    expect(await rack.server.metric('reveille_channel_version')).toBe(2);
    expect(await rack.server.metric('reveille_channel_pins')).toBe(2);
    expect(rack.server.complaints).toEqual([]);
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)('a boot goes on with its version after a restart by %s', async (signal) => {
    const rack = new Rack();
    await rack.publish('one');
    await rack.server.start();
    expect(await rack.get('rack/pxelinux.0')).toBe('pxelinux.0 of version one');
    await rack.publish('two');
    await rack.server.end(signal);
    await rack.server.start();
    expect(await rack.get('rack/linux')).toBe('linux of version one');
    expect(await rack.get('rack/initrd.img')).toBe('initrd.img of version one');
    // A loader requested while a transfer is open starts no new boot, and the last ACK reaches the server a little
    // later.
    await expect.poll(() => rack.server.metric('reveille_transfers_active{protocol="tftp"}')).toBe(0);
    expect(await rack.get('rack/pxelinux.0')).toBe('pxelinux.0 of version two');
  });

  it('collects unneeded versions in a separate process', async () => {
    const rack = new Rack(['--gc-every', '200ms', '--gc-grace', '0', '--keep-versions', '0']);
    for (const version of ['one', 'two', 'three']) await rack.publish(version);
    await rack.server.start();
    await expect.poll(() => rack.server.metric('reveille_gc_versions_total'), { timeout: 20_000 }).toBe(2);
    expect(await rack.get('rack-1/linux')).toBe('refused 1');
    expect(await rack.get('rack/linux')).toBe('linux of version three');
    expect(await rack.server.metric('reveille_gc_failures_total')).toBe(0);
  });

  it('has an API with the commands on the store, for who has the token', async () => {
    const token = join(folder(), 'token');
    writeFileSync(token, `${TOKEN}\n`);
    const rack = new Rack(['--api-token-file', token]);
    await rack.server.start();
    const ask = async (verb: string, body: object): Promise<{ status: number; body: unknown }> => {
      const response = await fetch(`${rack.server.admin}/api/v1/${verb}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${TOKEN}` },
        body: JSON.stringify(body),
      });
      return { status: response.status, body: await response.json() };
    };
    const published = await ask('publish', {
      arguments: ['rack', rack.files('one')],
      label: { build: '7' },
      keep: true,
    });
    expect(published).toMatchObject({ status: 200 });
    expect(await rack.get('rack/linux')).toBe('linux of version one');
    expect(await ask('pins', {})).toMatchObject({ status: 200 });
    expect(await ask('rollback', { arguments: ['nothing'] })).toMatchObject({ status: 400 });
    expect(await ask('gc', { dryRun: true })).toMatchObject({ status: 200 });
    const store = await openStore({ path: rack.store, readOnly: true });
    expect(store.versions()).toMatchObject([{ number: 1, keep: true, labels: { build: '7' } }]);
    await store.close();
  });

  it('ends with one line if the path is not a store', async () => {
    const path = folder();
    writeFileSync(join(path, 'something'), 'else');
    const { code, stderr } = await new Reveille(['serve', '--store', path, '--listen', '127.0.0.1:0', '--no-admin'])
      .ended;
    expect(code).toBe(1);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain('cannot open the store');
  });
});
