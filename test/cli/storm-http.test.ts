/** The built command: storms over HTTP, alone and beside TFTP. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { PlantedServer } from '../support/planted-server.ts';
import { runCommand } from '../support/command.ts';
import { folder } from '../support/reveille.ts';
import { type Misbehave, UnrulyHttp } from '../support/unruly-http.ts';
import { BOOT, FILES, INITRD, KERNEL, rightFiles, storm } from './storm-fixture.ts';

async function servers(misbehave?: Misbehave): Promise<{ tftp: PlantedServer; http: UnrulyHttp }> {
  const tftp = await PlantedServer.start(FILES);
  onTestFinished(() => tftp.close());
  const http = await UnrulyHttp.start(FILES, misbehave);
  onTestFinished(() => http.close());
  return { tftp, http };
}

const PLAN = `name: mixed
profile: ipxe-http
stages:
  - { name: loader, via: tftp, profile: u-boot, file: linux }
  - { name: kernel, via: http, file: linux }
  - { name: initrd, via: http, file: initrd.img }
`;

function planFile(): string {
  const file = join(folder(), 'plan.yaml');
  writeFileSync(file, PLAN);
  return file;
}

describe('reveille storm over HTTP', { timeout: 60_000 }, () => {
  it('boots nodes that load by TFTP and fetch the rest over HTTP', async () => {
    const { tftp, http } = await servers();
    const at = `127.0.0.1:${http.port}`;
    const args = ['--nodes', '20', '--plan', planFile(), '--http', at, '--verify', rightFiles()];
    const { code, report, stdout } = await storm(tftp.port, [...args, '--slo', 'failed=0,wrong_bytes=0,violations=0']);
    expect(report).toMatchObject({
      schema: 'reveille-storm/1',
      server: `127.0.0.1:${tftp.port}`,
      http: at,
      completed: 20,
      failed: 0,
      wrong_bytes: 0,
      violations: [],
      bytes: 20 * (2 * KERNEL.length + INITRD.length),
    });
    expect(report.stages.map(({ name, profile, via, files }) => [name, profile, via, files])).toEqual([
      ['loader', 'u-boot', 'tftp', 20],
      ['kernel', 'ipxe-http', 'http', 20],
      ['initrd', 'ipxe-http', 'http', 20],
    ]);
    expect([http.connections, http.asked.length]).toEqual([20, 40]);
    // Each node connects from its own address.
    expect(new Set(http.asked.map(({ from }) => from)).size).toBe(20);
    expect(stdout).toContain(`over HTTP against ${at}`);
    expect(code).toBe(0);
  });

  it('gives every other node to HTTP, by several profiles', async () => {
    const { tftp, http } = await servers();
    const args = ['--nodes', '20', '--profile', 'ipxe,ipxe-http', '--http', `127.0.0.1:${http.port}`];
    const { code, report } = await storm(tftp.port, [...args, ...BOOT, '--verify', rightFiles()]);
    expect(report).toMatchObject({ completed: 20, wrong_bytes: 0 });
    expect(report.stages.map(({ via }) => via)).toEqual(['mixed', 'mixed']);
    expect(http.connections).toBe(10);
    expect(code).toBe(0);
  });

  it('names a byte that is wrong over HTTP alone', async () => {
    const wrong = Buffer.from(INITRD);
    wrong[123_456]! ^= 1;
    const { tftp, http } = await servers(({ line }) => (line === 'GET /initrd.img' ? { body: wrong } : undefined));
    const args = ['--nodes', '5', '--plan', planFile(), '--http', `127.0.0.1:${http.port}`];
    const { code, report } = await storm(tftp.port, [...args, '--verify', rightFiles()]);
    expect(report).toMatchObject({ completed: 5, wrong_bytes: 5 });
    expect(report.violations[0]!.example).toMatch(/^node \d+, initrd: initrd\.img: first wrong byte at or after \d+$/);
    expect(code).toBe(1);
  });

  it('says nothing of HTTP where no node asks over it', async () => {
    const { tftp } = await servers();
    const { report, stdout } = await storm(tftp.port, ['--nodes', '2', ...BOOT]);
    expect(report.http).toBeNull();
    expect(report.stages.map(({ via }) => via)).toEqual(['tftp', 'tftp']);
    expect(stdout).not.toContain('HTTP');
    expect(stdout).not.toContain(' via ');
  });

  it.each([
    [['--file', 'x', '--http', '127.0.0.1:80'], '--http: expected a profile that asks over HTTP: ipxe-http, uefi-http'],
    [['--file', 'x', '--profile', 'curl', '--http', 'http://127.0.0.1/'], '--http: expected HOST, HOST:PORT'],
  ])('turns down %j in one line', async (args, named) => {
    const { code, stderr } = await runCommand(['storm', '127.0.0.1:9', '--nodes', '1', ...args]);
    expect(stderr.split('\n')).toHaveLength(2);
    expect(stderr).toContain(named);
    expect(code).toBe(2);
  });
});
