/** `reveille init`, `validate`, `render` and `explain`, and the same over HTTP: what a node would get, and why. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openStore } from '../../src/boot-set/store/store.ts';
import { writeStarter } from '../../src/cli/init.ts';
import { publishFiles } from '../boot-set/fixture.ts';
import { ExampleServer } from '../examples/fixture.ts';
import { runBuilt, type Said } from '../support/command.ts';
import { folder } from '../support/reveille.ts';

const NODE = '52-54-00-12-34-56';
const TOKEN = '0123456789abcdef';

/** Runs a command in a folder. Commands that run at the same time need the same folder. */
function reveille(root: string, ...args: string[]): Promise<Said> {
  process.chdir(root);
  onTestFinished(() => process.chdir(import.meta.dirname));
  return runBuilt(args);
}

/**
 * A folder with the files that `reveille init` writes, with its config changed by `change`, and one thread for configs
 * instead of two: each takes 0.2 s of processor time to start.
 */
function starter(change: (config: string) => string = (config) => config): string {
  const root = folder();
  writeStarter(root);
  const file = join(root, 'reveille.yaml');
  writeFileSync(file, `${change(readFileSync(file, 'utf8'))}\nrenderThreads: 1\n`);
  return root;
}

/** A starter whose nodes boot from a channel of a store with two published versions. */
async function withStore(): Promise<string> {
  const root = starter((config) =>
    config
      .replace('# store: store', 'store: store')
      .replaceAll('template: templates/pxelinux.liquid', 'template: templates/pxelinux.liquid, channel: rack/install'),
  );
  writeFileSync(join(root, 'templates/pxelinux.liquid'), 'KERNEL ::{{ bootset.kernel }}\nAPPEND {{ args }}\n');
  const store = await openStore({ path: join(root, 'store') });
  for (const version of [1, 2]) {
    // oxlint-disable-next-line no-await-in-loop -- the second version comes after the first.
    await publishFiles(store, 'rack/install', { linux: `linux ${version}`, 'initrd.img': `initrd ${version}` });
  }
  await store.close();
  return root;
}

describe('reveille init', () => {
  it('writes a config that is valid and serves, and overwrites nothing', async () => {
    const root = folder();
    const made = await reveille(root, 'init', 'here/there');
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const files = made.stdout.split('\n').filter((line) => line.startsWith('here/'));
    expect(files).toContain('here/there/templates/pxelinux.liquid');
    expect(files.every((file) => existsSync(join(root, file)))).toBe(true);
    const config = join(root, 'here/there/reveille.yaml');
    expect(await reveille(root, 'validate', '--config', config)).toMatchObject({ code: 0, stderr: '' });
    writeFileSync(config, 'mine\n');
    const again = await reveille(root, 'init', 'here/there');
    expect(again).toMatchObject({ code: 2, stdout: '' });
    expect(again.stderr).toMatch(
      /^reveille: init: here\/there\/\S+: expected no file of that name, and existing files are never overwritten\n$/,
    );
    expect(readFileSync(config, 'utf8')).toBe('mine\n');
  });

  it('writes a config that serves', async () => {
    const root = starter();
    const server = await ExampleServer.start(join(root, 'reveille.yaml'));
    expect(await server.ask(`pxelinux.cfg/01-${NODE}`)).toContain('APPEND hostname=node-1 disk=/dev/sda console=ttyS0');
    expect(await server.ask(`/grub/grub.cfg-01-${NODE}`)).toContain("menuentry 'Linux for node-1'");
    expect(await server.ask(`${NODE}.ipxe`)).toContain('#!ipxe');
    expect(await server.ask('pxelinux.cfg/01-52-54-00-00-00-99')).toBe('error 1');
    expect(await server.ask('pxelinux.cfg/default')).toContain('LOCALBOOT');
  });
});

describe('reveille validate', () => {
  it('tries each route with a node that it matches', async () => {
    const root = starter();
    const { code, stdout } = await reveille(root, 'validate', '--json');
    const report = JSON.parse(stdout) as { valid: boolean; nodes: number; routes: Record<string, unknown>[] };
    expect([code, report.valid, report.nodes, report.routes.length]).toEqual([0, true, 1, 8]);
    expect(report.routes[1]).toMatchObject({ route: 2, result: 'ok', name: `pxelinux.cfg/01-${NODE}`, node: 'node-1' });
    expect(report.routes[2]).toMatchObject({ route: 3, result: 'ok', name: 'pxelinux.cfg/C0000265' });
  });

  it('tries a template with every node', async () => {
    const root = starter();
    writeFileSync(
      join(root, 'nodes.yaml'),
      'nodes:\n  - { name: whole, mac: "52:54:00:00:00:01", vars: { disk: sda } }\n  - { name: bare, mac: "52:54:00:00:00:02" }\n',
    );
    writeFileSync(join(root, 'templates/ipxe.liquid'), '#!ipxe\n{{ vars.disk }}\n');
    writeFileSync(join(root, 'templates/pxelinux.liquid'), 'DEFAULT {{ node.name }}\n');
    const { code, stdout } = await reveille(root, 'validate');
    expect(code).toBe(1);
    expect(stdout).toMatch(/^route 8 {5}failed {3}\{mac\}\.ipxe \(template\): \S+ for bare: .*undefined variable/m);
    expect(stdout).toMatch(/^route 2 {5}ok .* bytes; 2 nodes tried$/m);
  });

  it('counts the nodes of the inventory, and tells unknown nodes apart', async () => {
    const root = starter();
    writeFileSync(
      join(root, 'reveille.yaml'),
      'inventory: nodes.yaml\nroutes:\n  - {match: "a/{mac}", template: t.liquid, unknown: true}\n',
    );
    writeFileSync(join(root, 't.liquid'), 'x');
    const { stdout } = await reveille(root, 'validate');
    expect(stdout).toMatch(/^config {6}reveille\.yaml: 1 route, 1 node$/m);
    expect(stdout).toMatch(/: 1 byte; 1 node and an unknown node tried$/m);
  });

  it('finds a template that fails for a node', async () => {
    const root = starter();
    writeFileSync(join(root, 'templates/ipxe.liquid'), '#!ipxe\n{{ vars.nowhere }}\n');
    const { code, stdout } = await reveille(root, 'validate');
    expect(code).toBe(1);
    expect(stdout).toMatch(/^route 8 {5}failed {3}\{mac\}\.ipxe \(template\): \S+ for node-1: .*undefined variable/m);
    expect(stdout).toMatch(/\nnot valid\n$/);
  });

  it.each<[string, (root: string) => void, RegExp]>([
    ['an unknown key', (root) => writeFileSync(join(root, 'reveille.yaml'), 'rout: .\n'), /reveille\.yaml:1: rout: /],
    [
      'a template that is none',
      (root) => writeFileSync(join(root, 'templates/grub.liquid'), '{% if %}'),
      /templates\/grub\.liquid: /,
    ],
    [
      'an inventory that is none',
      (root) => writeFileSync(join(root, 'nodes.yaml'), 'nodes:\n  - {mac: x}\n'),
      /nodes\.yaml:2: /,
    ],
    [
      'an upstream that is none',
      (root) => writeFileSync(join(root, 'reveille.yaml'), 'routes:\n  - {match: a, upstream: "ftp://x/\\\\y"}\n'),
      /^reveille: route 1 \(a\): upstream: expected http:\/\/HOST\/PATH without [^\n]*, got "ftp:\/\/x\/\\\\y"\n$/,
    ],
    [
      'a pattern that is none',
      (root) => writeFileSync(join(root, 'reveille.yaml'), 'routes:\n  - {match: "{macs}", empty: true}\n'),
      /reveille\.yaml:2: routes\[1\]\.match: expected one of \{mac\}/,
    ],
  ])('reports %s in one line, with its place', async (_, spoil, line) => {
    const root = starter();
    spoil(root);
    const { code, stdout, stderr } = await reveille(root, 'validate');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^reveille: [^\n]*\n$/);
    expect(stderr).toMatch(line);
  });
});

describe('reveille render', () => {
  it('prints the bytes and nothing else', async () => {
    const root = starter();
    const ended = await reveille(root, 'render', `\\pxelinux.cfg\\01-${NODE}`, '--ip', '192.0.2.101');
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(ended.stdout).toMatch(/^# Made for node-1\.\nDEFAULT linux\n(?:.|\n)*hostname=node-1 disk=\/dev\/sda/);
    // The request names the full path on a server.
    const full = await reveille(root, 'render', `/tftpboot/pxelinux.cfg/01-${NODE}`, '--ip', '192.0.2.101');
    expect(full.stdout).toBe(ended.stdout);
    // The file comes from the root behind the routes; the inventory maps the MAC to an address.
    const fallback = await reveille(root, 'render', 'pxelinux.cfg/default', '--mac', '5254.0012.3456');
    expect(fallback.stdout).toContain('LOCALBOOT 0');
  });

  it('prints a refusal on stderr, with exit code 1', async () => {
    const root = starter((config) =>
      config.replace('routes:\n', 'routes:\n  - {match: "secret/{name}", refuse: for nobody}\n'),
    );
    const [missing, refused, outside, wrong] = await Promise.all([
      reveille(root, 'render', 'pxelinux.cfg/01-52-54-00-00-00-99'),
      reveille(root, 'render', 'secret/x'),
      reveille(root, 'render', '../x'),
      reveille(root, 'render', 'x', '--mac', 'zz'),
    ]);
    expect(missing).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'reveille: pxelinux.cfg/01-52-54-00-00-00-99: error 1: no such file\n',
    });
    expect(refused).toMatchObject({ code: 1, stdout: '', stderr: 'reveille: secret/x: error 2: for nobody\n' });
    expect(outside).toMatchObject({ code: 1, stdout: '' });
    expect(wrong).toMatchObject({ code: 2, stderr: 'reveille: --mac: expected the MAC of one machine, got "zz"\n' });
  });
});

describe('reveille explain', () => {
  it('shows the way through the routes to a file', async () => {
    const root = starter();
    const { code, stdout } = await reveille(root, 'explain', '\\pxelinux.cfg\\default', '--ip', '192.0.2.9');
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([
      'asked       \\x5cpxelinux.cfg\\x5cdefault, by 192.0.2.9',
      'name        pxelinux.cfg/default',
      'route 1     pxelinux.cfg/{uuid} (template): no match',
      'route 2     pxelinux.cfg/01-{mac} (template): no match',
      'route 3     pxelinux.cfg/{hexip} (template): no match',
      'route 4     grub/grub.cfg-{uuid} (template): no match',
      'route 5     grub/grub.cfg-01-{mac} (template): no match',
      'route 6     grub/grub.cfg-{hexip} (template): no match',
      'route 7     grub/{path*}.lst (empty): no match',
      'route 8     {mac}.ipxe (template): no match',
      `file        ${root}/files/pxelinux.cfg/default`,
      'answer      86 bytes, from files',
      '',
    ]);
    const unknown = await reveille(root, 'explain', 'pxelinux.cfg/C0A80', '--ip', '192.168.5.10');
    expect(unknown.stdout).toContain('route 3     pxelinux.cfg/{hexip} (template): unknown node\n');
    expect(unknown.stdout).toContain('answer      error 1: no such file\n');
  });

  it('says that the whole transfer runs at the port that was asked, with singlePort', async () => {
    const root = starter((config) => `${config}\nsinglePort: true\nclients: [192.0.2.0/24]\n`);
    const asked = ['explain', 'pxelinux.cfg/default', '--ip', '192.0.2.9'] as const;
    const [text, json] = await Promise.all([reveille(root, ...asked), reveille(root, ...asked, '--json')]);
    expect(text.stdout.split('\n').slice(-4)).toEqual([
      `file        ${root}/files/pxelinux.cfg/default`,
      'port        over TFTP the one that was asked, for the whole transfer (singlePort)',
      'answer      86 bytes, from files',
      '',
    ]);
    expect(JSON.parse(json.stdout)).toMatchObject({ single_port: true, answer: { kind: 'content', bytes: 86 } });
  });

  it('takes the URL that a node asks for over HTTP', async () => {
    const root = starter();
    const url = 'http://192.0.2.1:8080//pxelinux.cfg/%64efault?mac=1';
    const { stdout } = await reveille(root, 'explain', url, '--ip', '192.0.2.9');
    expect(stdout).toContain('\nname        pxelinux.cfg/default\n');
    expect(stdout).toContain(`\nfile        ${root}/files/pxelinux.cfg/default\n`);
    expect(stdout).toContain('\nanswer      86 bytes, from files\n');
    const missing = await reveille(root, 'explain', 'http://192.0.2.1/none');
    expect(missing.stdout).toContain('\nanswer      status 404: no such file\n');
    const outside = await reveille(root, 'explain', 'https://192.0.2.1/%2e%2e/x', '--json');
    expect(JSON.parse(outside.stdout)).toMatchObject({ answer: { kind: 'error', status: 403 } });
    expect((await reveille(root, 'render', 'http://192.0.2.1/none')).stderr).toMatch(/: status 404: no such file\n$/);
    const wrong = await reveille(root, 'explain', 'http://192.0.2.1/a%2');
    expect(wrong).toMatchObject({
      code: 2,
      stderr:
        'reveille: expected a URL with a path and two hexadecimal digits after every %, got "http://192.0.2.1/a%2"\n',
    });
  });

  it('shows the version, the pin and the reason, and leaves no pin behind', async () => {
    const root = await withStore();
    const explain = async (name: string): Promise<Record<string, unknown>> =>
      JSON.parse((await reveille(root, 'explain', name, '--json', '--mac', NODE)).stdout) as Record<string, unknown>;
    const [config, file, explicit, rendered, { stdout: text }] = await Promise.all([
      explain(`pxelinux.cfg/01-${NODE}`),
      explain('rack/install/linux'),
      explain('rack/install-1/linux'),
      reveille(root, 'render', `pxelinux.cfg/01-${NODE}`),
      reveille(root, 'explain', 'rack/install/linux', '--mac', NODE),
    ]);
    expect(config).toMatchObject({
      node: 'node-1',
      config_version: { name: 'rack/install-2', pinned: false },
      answer: { kind: 'content', from: 'routes' },
    });
    expect(file).toMatchObject({
      client: '192.0.2.101',
      boot_set: { by: 'channel', channel: 'rack/install', version: 'rack/install-2', why: 'current' },
      answer: { kind: 'content', from: 'boot sets', bytes: 7 },
    });
    expect(explicit).toMatchObject({ boot_set: { version: 'rack/install-1', why: 'explicit' } });
    expect(rendered.stdout).toMatch(/^KERNEL ::rack\/install-2\/linux\nAPPEND console=ttyS0/);
    expect(text).toMatch(/^boot sets {3}channel rack\/install, file linux$/m);
    expect(text).toMatch(/^version {5}rack\/install-2: a boot begins; it is the current version$/m);
    expect(text).toMatch(/^pin {9}mac:52:54:00:12:34:56, boot began /m);
    expect(text).toMatch(/^blob {8}\S+\/store\/blobs\/sha256\/[0-9a-f]{64}, 7 bytes$/m);
    const pins = JSON.parse((await reveille(root, 'pins', '--json', '--store', 'store')).stdout) as { pins: unknown[] };
    expect(pins.pins).toEqual([]);
  });
});

describe('the API of a running server', () => {
  it('renders and explains for clients with the token', async () => {
    const root = await withStore();
    const config = join(root, 'reveille.yaml');
    writeFileSync(config, `${readFileSync(config, 'utf8')}\napiToken: ${TOKEN}\n`);
    const server = await ExampleServer.start(config);
    const get = (path: string, token = TOKEN): Promise<Response> =>
      fetch(`${server.admin}/api/v1/${path}`, { headers: { authorization: `Bearer ${token}` } });
    const config2 = await get(`render?name=pxelinux.cfg/01-${NODE}`);
    expect([config2.status, await config2.text()]).toEqual([
      200,
      expect.stringMatching(/^KERNEL ::rack\/install-2\/linux\n/) as unknown,
    ]);
    expect(await (await get('render?name=rack/install/linux&ip=192.0.2.7')).text()).toBe('linux 2');
    expect(await (await get(`explain?name=rack/install/linux&mac=${NODE}`)).json()).toMatchObject({
      client: '192.0.2.101',
      boot_set: { version: 'rack/install-2', why: 'current', pin: { node: 'mac:52:54:00:12:34:56' } },
    });
    expect((await get('render?name=none')).status).toBe(404);
    expect((await get('render?name=../x')).status).toBe(403);
    expect((await get('render')).status).toBe(400);
    expect((await get('render?name=x&mac=zz')).status).toBe(400);
    expect((await get('render?name=x&port=1')).status).toBe(400);
    expect((await get('explain?name=x', 'fedcba9876543210')).status).toBe(401);
    const metrics = await (await fetch(`${server.admin}/metrics`)).text();
    expect(metrics).toContain('\nreveille_pins 0\n');
    expect(metrics).toContain('\nreveille_renders_total{route="1:template",result="rendered"} 0\n');
    // Unlike a preview, a real request pins the version.
    expect(await server.ask(`pxelinux.cfg/01-${NODE}`)).toContain('rack/install-2/linux');
    expect(await (await fetch(`${server.admin}/metrics`)).text()).toContain('\nreveille_pins 1\n');
  });
});
