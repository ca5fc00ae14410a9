/** The command with a low limit on descriptors: it starts with all its features and serves. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { runCommand } from '../support/command.ts';
import { folder, Reveille } from '../support/reveille.ts';

const EXAMPLE = fileURLToPath(new URL('../../examples/pxelinux', import.meta.url));
/** Config of a node in the inventory. */
const NODE = 'pxelinux.cfg/01-52-54-00-00-00-01';

// Files are opened on demand. Regression: modules were once loaded a hundred at a time.
it.each(['linux', 'portable'])('starts and serves with 64 descriptors (%s)', async (engine) => {
  const place = folder();
  const here = folder();
  cpSync(EXAMPLE, place, { recursive: true });
  writeFileSync(
    join(place, 'small.yaml'),
    `root: files\ninventory: nodes.yaml\nstore: store\nroutes:
  - {match: "pxelinux.cfg/01-{mac}", template: pxelinux.liquid, unknown: true}\n`,
  );
  const publish = ['publish', 'rack', join(place, 'files'), '--store', join(place, 'store')];
  expect(await runCommand(publish)).toMatchObject({ code: 0, stderr: '' });

  const args = ['--config', join(place, 'small.yaml'), '--engine', engine, '--workers', '2'];
  const at = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
  const server = new Reveille(['serve', ...args, ...at], { descriptors: 64 });
  const [line] = await server.saying(/^.*"msg":"listening".*$/m);
  const { addresses, admin } = JSON.parse(line) as { addresses: string[]; admin: string };
  expect((await fetch(`http://${admin}/readyz`)).status).toBe(200);
  for (const name of ['boot/linux', 'rack/boot/linux', NODE]) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other.
    const { code } = await runCommand(['get', `tftp://${addresses[0]}/${name}`, '--output', join(here, 'got')]);
    expect([name, code]).toEqual([name, 0]);
  }
  server.process.kill('SIGTERM');
  expect((await server.ended).code).toBe(0);
});

it('leaves descriptors for TFTP and files, however many clients connect over HTTP', async () => {
  const here = folder();
  writeFileSync(join(here, 'linux'), 'kernel');
  const any = '127.0.0.1:0';
  const args = ['serve', here, '--listen', any, '--http', any, '--admin', any];
  const server = new Reveille(args, { descriptors: 1024 });
  const [line] = await server.saying(/^.*"msg":"listening".*$/m);
  const { addresses, http, admin } = JSON.parse(line) as { addresses: string[]; http: string[]; admin: string };
  expect(await (await fetch(`http://${admin}/metrics`)).text()).toContain('\nreveille_http_connections_limit 512\n');
  const { hostname: host, port } = new URL(http[0]!);
  const clients = Array.from({ length: 1100 }, (_, index) =>
    connect({ host, port: Number(port), localAddress: `127.0.0.${2 + Math.floor(index / 200)}` }),
  );
  onTestFinished(() => {
    for (const client of clients) client.destroy();
  });
  let ended = 0;
  for (const client of clients) {
    client.on('close', () => ended++);
    client.on('error', () => {});
    client.resume();
  }
  // Those above the limit are closed at once.
  await expect.poll(() => ended, { timeout: 10_000 }).toBe(1100 - 512);
  const got = join(folder(), 'got');
  expect(await runCommand(['get', `tftp://${addresses[0]}/linux`, '--output', got])).toMatchObject({ code: 0 });
  expect(readFileSync(got, 'utf8')).toBe('kernel');
  server.process.kill('SIGTERM');
  const { code, stdout } = await server.ended;
  expect(code).toBe(0);
  expect(stdout).toContain('10000 connections may be open at once, but there are descriptors for 512 only');
  expect(stdout).toContain(
    '10000 transfers may run at once, but there are descriptors for 256 only: the process may open 1024, and keeps 512 for HTTP connections',
  );
});
