/**
 * The systemd unit in deploy: its exposure level by systemd's rating, and that the server works under its restrictions.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { packagedUnit } from '../packaging/deb/unit.ts';
import { read, ROOT } from './support/pages.ts';
import { runCommand } from './support/command.ts';
import { serverOf } from './support/keeper.ts';
import { folder, Reveille } from './support/reveille.ts';
import { UnixDatagrams } from './support/unix-datagrams.ts';

const UNIT = join(ROOT, 'deploy/reveille.service');
const SANDBOX = fileURLToPath(new URL('support/sandbox.mjs', import.meta.url));
const HEADER = ['/usr/include/x86_64-linux-gnu/asm/unistd_64.h', '/usr/include/asm/unistd_64.h'].find(existsSync);
/** Mounts /proc as ProcSubset=pid and ProtectProc=invisible do. */
const PROC = 'mount -t proc -o subset=pid,hidepid=invisible proc /proc && exec "$@"';
const TOKEN = '0123456789abcdef';

function settings(name: string): string[] {
  return [...read('deploy/reveille.service').matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value!);
}

function works(command: string, ...args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

const hasSystemd = works('systemd-analyze', 'syscall-filter', '@system-service');
const canConfine =
  hasSystemd &&
  HEADER !== undefined &&
  process.arch === 'x64' &&
  works('unshare', '--mount', 'sh', '-c', PROC, 'sh', 'true');

/** System calls of a set, including those of nested sets. */
function callsOf(set: string): string[] {
  const said = execFileSync('systemd-analyze', ['--no-pager', 'syscall-filter', set], { encoding: 'utf8' });
  const names = [...said.matchAll(/^ +([@\w-]+)$/gm)].map(([, name]) => name!);
  return names.flatMap((name) => (name.startsWith('@') ? callsOf(name) : [name]));
}

/** Numbers of the system calls that the unit allows. */
function allowedCalls(): string {
  const numbers = new Map(
    [...readFileSync(HEADER!, 'utf8').matchAll(/^#define __NR_(\w+) (\d+)$/gm)].map(([, name, number]) => [
      name!,
      number!,
    ]),
  );
  const allowed = new Set<string>(callsOf('@default'));
  for (const line of settings('SystemCallFilter')) {
    const forbids = line.startsWith('~');
    for (const set of line.replace('~', '').split(' ')) {
      for (const name of set.startsWith('@') ? callsOf(set) : [set]) {
        if (forbids) allowed.delete(name);
        else allowed.add(name);
      }
    }
  }
  return [...allowed].flatMap((name) => numbers.get(name) ?? []).join(',');
}

/** Command prefix that applies the unit's restrictions. */
function confined(): string[] {
  return ['unshare', '--mount', 'sh', '-c', PROC, 'sh', process.execPath, SANDBOX, allowedCalls()];
}

/** Counts the io_uring instances of a process. */
function rings(pid: number): number {
  const targets = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      // It has been closed meanwhile.
      return '';
    }
  });
  return targets.filter((target) => target.includes('io_uring')).length;
}

describe.skipIf(!hasSystemd)('the unit', () => {
  const place = mkdtempSync(join(tmpdir(), 'reveille-unit-'));
  afterAll(() => rmSync(place, { recursive: true, force: true }));

  it.each([
    ['of deploy', (text: string) => text],
    ['of the Debian package', packagedUnit],
  ])('%s is exposed by no more than 1.6', (_, made) => {
    const exposure = (text: string): number => {
      const file = join(place, 'reveille.service');
      writeFileSync(file, text);
      const { stdout } = spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', file], {
        encoding: 'utf8',
      });
      return Number(/exposure level for reveille\.service: ([0-9.]+)/.exec(stdout)![1]);
    };
    const text = made(readFileSync(UNIT, 'utf8'));
    expect(exposure(text)).toBeLessThanOrEqual(1.6);
    expect(text).toContain('#IPAddressDeny=');
    expect(exposure(text.replaceAll('#IPAddress', 'IPAddress'))).toBeLessThanOrEqual(1.6);
  });

  it('has only settings that systemd knows', () => {
    // The program may be in another place here. RestartSteps and RestartMaxDelaySec need systemd 254; older versions
    // ignore them.
    const text = readFileSync(UNIT, 'utf8')
      .replace(/^ExecStart=.*$/m, 'ExecStart=/bin/true')
      .replace(/^RequiresMountsFor=.*$/m, '');
    const file = join(place, 'known.service');
    writeFileSync(file, text);
    const { stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
    const complaints = stderr.split('\n').filter((line) => line.includes('known.service:'));
    expect(complaints.filter((line) => !/Restart(?:Steps|MaxDelaySec)/.test(line))).toEqual([]);
  });
});

it('the unit waits until the server is ready, and restarts it without a limit', () => {
  const one = (name: string): string | undefined => settings(name)[0];
  expect([one('Type'), one('StartLimitIntervalSec'), one('Restart')]).toEqual(['notify', '0', 'on-failure']);
  expect(Number(one('WatchdogSec'))).toBeGreaterThanOrEqual(10);
  expect(Number(one('RestartSteps'))).toBeGreaterThan(1);
  for (const name of ['MemoryMax', 'TasksMax', 'OOMScoreAdjust'])
    expect([name, settings(name).length]).toEqual([name, 1]);
  expect(read('deploy/reveille.service')).toContain('#RequiresMountsFor=');
});

describe.skipIf(!canConfine)('under the restrictions of the unit', () => {
  const run = (...args: string[]): ReturnType<typeof spawnSync> => {
    const [program, ...rest] = [...confined(), process.execPath, ...args];
    return spawnSync(program!, rest, { cwd: ROOT, encoding: 'utf8' });
  };

  it('a thread may not choose its priority, and /proc has processes alone', () => {
    const look = `const { setPriority } = require('node:os'); const { existsSync } = require('node:fs');
      try { setPriority(5); } catch (error) { console.log(error.info.code, existsSync('/proc/sys'), existsSync('/proc/self/fd')); }`;
    expect(run('--eval', look).stdout).toBe('EPERM false true\n');
  });

  it('neighbours are read', () => {
    const look = `const { Neighbours } = await import('${join(ROOT, 'dist/boot-set/node/neighbours.js')}'); console.log((await new Neighbours().read()) instanceof Map);`;
    expect(run('--input-type=module', '--eval', look)).toMatchObject({ stdout: 'true\n', stderr: '' });
  });

  it('the server serves files, boot sets and configs by the Linux engine and io_uring, publishes, reloads and stops', async () => {
    const place = folder();
    const here = folder();
    cpSync(join(ROOT, 'examples/pxelinux'), place, { recursive: true });
    const config = `root: files\ninventory: nodes.yaml\nstore: store\napiToken: ${TOKEN}\nadmin: "127.0.0.1:0"\nlisten: "127.0.0.1:0"\nengine: linux\nworkers: 2
caseInsensitive: true\nroutes:\n  - {match: "pxelinux.cfg/01-{mac}", template: pxelinux.liquid}\n`;
    writeFileSync(join(place, 'unit.yaml'), config, { mode: 0o600 });
    const publish = ['publish', 'rack', join(place, 'files'), '--store', join(place, 'store')];
    expect(await runCommand(publish)).toMatchObject({ code: 0, stderr: '' });

    const notify = join(place, 'notify');
    const manager = new UnixDatagrams(notify);
    const server = new Reveille(['keeper', '--', 'serve', '--config', join(place, 'unit.yaml')], {
      prefix: confined(),
      env: { NOTIFY_SOCKET: notify, WATCHDOG_USEC: '200000' },
    });
    await manager.until('READY=1');
    await manager.until('WATCHDOG=1');
    const [line] = await server.saying(/^.*"msg":"listening".*$/m);
    const { addresses, admin, engine } = JSON.parse(line) as { addresses: string[]; admin: string; engine: string };
    expect(engine).toBe('linux');
    const pid = serverOf(server)!;
    const outside = new Reveille(['serve', '--config', join(place, 'unit.yaml'), '--store', join(folder(), '.')]);
    await outside.saying(/"msg":"listening"/);
    // The spare thread opens its own when it warms up.
    await expect.poll(() => rings(pid) - rings(outside.process.pid!), { timeout: 20_000 }).toBe(0);

    for (const name of ['boot/linux', 'BOOT/LINUX', 'rack/boot/linux', 'pxelinux.cfg/01-52-54-00-00-00-01']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      const { code, stderr } = await runCommand([
        'get',
        `tftp://${addresses[0]}/${name}`,
        '--output',
        join(here, 'got'),
      ]);
      expect([name, code, stderr]).toEqual([name, 0, '']);
    }
    const post = async (verb: string, body: object): Promise<number> => {
      const headers = { authorization: `Bearer ${TOKEN}` };
      return (await fetch(`http://${admin}/api/v1/${verb}`, { method: 'POST', headers, body: JSON.stringify(body) }))
        .status;
    };
    expect(await post('publish', { arguments: ['other', join(place, 'files')] })).toBe(200);
    expect(await post('gc', {})).toBe(200);
    expect(await post('reload', {})).toBe(200);
    const metrics = await (await fetch(`http://${admin}/metrics`)).text();
    for (const name of [
      'process_resident_memory_bytes',
      'process_open_fds',
      'process_cpu_seconds_total',
      'reveille_worker_cpu_seconds_total',
    ]) {
      expect(metrics).toMatch(new RegExp(`^${name}(?:\\{.*\\})? [0-9.]`, 'm'));
    }
    server.process.kill('SIGTERM');
    const { code, stdout } = await server.ended;
    expect(code).toBe(0);
    const complaints = stdout.split('\n').filter((one) => /"level":"(?:warn|error|fatal)"/.test(one));
    // rmem_max belongs to the machine, even for root in a namespace.
    expect(complaints.filter((one) => !/receive buffer|fewer ports/.test(one))).toEqual([]);
  });
});
