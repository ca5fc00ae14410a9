/**
 * Resources that are still missing when a machine starts: addresses, roots, a store. The built command in network
 * namespaces of its own.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { storeArrives } from '../../src/daemon/store-arrival.ts';
import { resolveEngine } from '../../src/engine/create.ts';
import { runCommand } from '../support/command.ts';
import { folder, Reveille } from '../support/reveille.ts';

const ENGINES = [...new Set([(await resolveEngine('auto')).kind, 'portable'] as const)];
const hasNetworks = process.getuid?.() === 0 && spawnSync('unshare', ['--net', 'ip', 'link']).status === 0;
const OWN_NETWORK = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];

describe.skipIf(!hasNetworks).concurrent.each(ENGINES)('the server with the %s engine', (engine) => {
  it('serves the addresses that exist, and another one when it appears', async ({ onTestFinished }) => {
    const root = folder(onTestFinished);
    writeFileSync(join(root, 'x'), 'bytes');
    const listen = [
      '--listen',
      '192.0.2.77:69',
      '--listen',
      '127.0.0.1:69',
      '--admin',
      '192.0.2.77:6970',
      '--http',
      '192.0.2.77:80',
    ];
    const args = ['serve', root, ...listen, '--workers', '1', '--engine', engine];
    const server = new Reveille(args, { prefix: OWN_NETWORK, onFinished: onTestFinished });
    const [first] = await server.saying(/^.*"msg":"listening".*$/m);
    expect(JSON.parse(first)).toMatchObject({ addresses: ['127.0.0.1:69'], admin: false });
    const inside = ['nsenter', '--net', '--target', String(server.process.pid)];
    const get = async (address: string): Promise<string> =>
      (
        await new Reveille(['get', `tftp://${address}/x`, '-o', '-'], { prefix: inside, onFinished: onTestFinished })
          .ended
      ).stdout;
    expect(await get('127.0.0.1')).toBe('bytes');
    execFileSync(inside[0]!, [...inside.slice(1), 'ip', 'address', 'add', '192.0.2.77/32', 'dev', 'lo']);
    await server.saying(/"addresses":\["127.0.0.1:69","192.0.2.77:69"\]/);
    await server.saying(/"admin":"192.0.2.77:6970"/);
    expect(await get('192.0.2.77')).toBe('bytes');
    const curl = [...inside.slice(1), 'curl', '--silent', '--retry', '20', '--retry-connrefused', '--retry-delay', '1'];
    expect(execFileSync(inside[0]!, [...curl, 'http://192.0.2.77/x'], { encoding: 'utf8' })).toBe('bytes');
    server.process.kill('SIGTERM');
    const { code, stdout } = await server.ended;
    expect(code).toBe(0);
    expect(stdout.match(/waiting for an address that this machine does not have yet/g)).toHaveLength(3);
  });
});

async function readiness(admin: string): Promise<string> {
  const response = await fetch(`http://${admin}/readyz`);
  return `${response.status} ${await response.text()}`;
}

describe.concurrent('a root that is not there yet', () => {
  it('makes the server not ready (503, with the reason) until it appears', async ({ onTestFinished }) => {
    const top = folder(onTestFinished);
    const onFinished = onTestFinished;
    const root = join(top, 'later');
    const ports = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--workers', '1'];
    const server = new Reveille(['serve', root, ...ports], { onFinished });
    const [, admin] = await server.saying(/"admin":"([^"]+)"/);
    await server.saying(/the root cannot be read: waiting for it/);
    expect(await readiness(admin!)).toBe('503 not ready: the root cannot be read (ENOENT)\n');
    expect((await fetch(`http://${admin}/healthz`)).status).toBe(200);
    mkdirSync(root);
    await server.saying(/"level":"info".*"msg":"the root can be read now"/);
    expect(await readiness(admin!)).toBe('200 ready\n');
    // Boot sets are served all the same.
    const both = new Reveille(['serve', join(top, 'never'), '--store', join(top, 'store'), ...ports], { onFinished });
    const [, other] = await both.saying(/"admin":"([^"]+)"/);
    await both.saying(/the root cannot be read: waiting for it/);
    expect(await readiness(other!)).toBe('200 ready\n');
  });
});

describe('a store whose disk is not there yet', () => {
  it('is waited for, reported once, and opened when it appears', async () => {
    const parent = join(folder(), 'disk');
    const warnings: unknown[] = [];
    const store = join(parent, 'store');
    const { signal } = new AbortController();
    const told = new Promise<void>((resolve) => {
      const arrived = storeArrives(store, signal, (...line) => resolve(void warnings.push(line)), 1);
      void arrived.then((isThere) => warnings.push(isThere));
    });
    await told;
    expect(warnings).toEqual([
      ['the folder of the store cannot be reached: waiting for it', { store, code: 'ENOENT' }],
    ]);
    mkdirSync(`${parent}-made`);
    renameSync(`${parent}-made`, parent);
    await expect.poll(() => warnings.at(-1)).toBe(true);
    expect(warnings).toHaveLength(2);
  });

  it('does not keep the server from stopping with exit code 0', async () => {
    const store = join(folder(), 'disk/store');
    const server = new Reveille(['serve', '--store', store, '--listen', '127.0.0.1:0', '--no-admin']);
    await server.saying(/the folder of the store cannot be reached/);
    server.process.kill('SIGTERM');
    expect((await server.ended).code).toBe(0);
  });
});

describe('a store that nothing was published into yet', () => {
  it('is created by the server, which serves the versions published later', async () => {
    const top = folder();
    const store = join(top, 'store');
    const server = new Reveille(['serve', '--store', store, '--listen', '127.0.0.1:0', '--no-admin', '--workers', '1']);
    const [, port] = await server.saying(/"addresses":\["127.0.0.1:([0-9]+)"\]/);
    mkdirSync(join(top, 'set'));
    writeFileSync(join(top, 'set/linux'), 'the kernel');
    const published = await runCommand(['publish', 'rack', join(top, 'set'), '--store', store]);
    expect(published).toMatchObject({ code: 0, stderr: '' });
    const got = join(top, 'got');
    const get = await runCommand(['get', `tftp://127.0.0.1:${port}/rack-1/linux`, '-o', got]);
    expect([get.code, readFileSync(got, 'utf8')]).toEqual([0, 'the kernel']);
  });
});
