/**
 * Names as they occur in the field, requested by real clients where these can send such a name, otherwise by raw
 * packets.
 */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ExampleServer } from '../examples/fixture.ts';
import { provideClients, REAL_CLIENTS, run } from '../support/clients.ts';
import { PacedDownload, RawClient } from '../support/raw-client.ts';
import { folder } from '../support/reveille.ts';

const TIMEOUT_MS = 60_000;

/** A server with a root that holds these files. Names have one character per byte; each file contains its own name. */
async function serve(
  engine: string,
  files: readonly string[],
  config = '',
): Promise<{ server: ExampleServer; root: string }> {
  const base = folder();
  const root = join(base, 'tftp');
  for (const file of files) {
    const path = Buffer.from(join(root, file), 'latin1');
    mkdirSync(Buffer.from(join(root, dirname(file)), 'latin1'), { recursive: true });
    writeFileSync(path, file, 'latin1');
  }
  writeFileSync(join(base, 'reveille.yaml'), `root: tftp\n${config}`);
  return { server: await ExampleServer.start(join(base, 'reveille.yaml'), '--engine', engine), root };
}

/** @param name one character per byte. @returns the content sent, one character per byte. */
async function download(server: ExampleServer, name: string, from = '127.0.0.1'): Promise<string> {
  const client = await RawClient.open(from);
  onTestFinished(() => client.close());
  const transfer = new PacedDownload(client, { address: '127.0.0.1', port: server.port }, name);
  await transfer.start();
  return (await transfer.finish()).toString('latin1');
}

const missing = await provideClients();

describe.each(['linux', 'portable'])('a %s server', (engine) => {
  it('serves files whose names are not UTF-8, and names followed by memory of the firmware', async () => {
    const { server } = await serve(engine, ['loader.bin', 'gr\xf6\xdfe', 'b\xfcro/x', 'menu\xff']);
    for (const name of ['gr\xf6\xdfe', 'b\xfcro/x', 'menu\xff']) expect(await download(server, name)).toBe(name);
    for (const garbage of ['y\n;o\x1e', '\xff', '\xff\x42', '\x06\x04abc', '\xe9']) {
      expect(await download(server, `loader.bin${garbage}`)).toBe('loader.bin');
    }
  });

  it('gives real clients a file whose name has a `..` in it that stays inside, and by its full path', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const { server, root } = await serve(engine, ['images/node7/kernel', 'boot/x']);
    const address = { address: '127.0.0.1', port: server.port };
    const names = {
      'arm/../images/node7/kernel': 'images/node7/kernel',
      [`${root}/boot/x`]: 'boot/x',
      '/tftpboot/boot/x': 'boot/x',
      '/var/lib/tftpboot/boot/x': 'boot/x',
    };
    const clients = REAL_CLIENTS.filter(({ name }) => !missing.includes(name));
    for (const [name, text] of Object.entries(names)) {
      const fetched = clients.map(async (client) => {
        const into = join(folder(), 'got');
        const { code, output } = await run(client.command({}, address, name, into), TIMEOUT_MS);
        return { client: client.name, code, output, text: existsSync(into) && readFileSync(into, 'utf8') };
      });
      // oxlint-disable-next-line no-await-in-loop -- all clients at once, one name after the other.
      expect(await Promise.all(fetched)).toMatchObject(
        clients.map((client) => ({ client: client.name, code: 0, text })),
      );
    }
    expect(await server.ask('arm/../../tftp/images/node7/kernel')).toBe('error 2');
  });

  it('follows links out of its root only into a trusted folder', async () => {
    const { server, root } = await serve(engine, ['x', '../mirror/linux', '../private/key'], 'trustedRoots: mirror\n');
    symlinkSync('../mirror', join(root, 'mirror'));
    symlinkSync('../private', join(root, 'private'));
    expect(await server.ask('mirror/linux')).toBe('../mirror/linux');
    expect(await server.ask('private/key')).toBe('error 2');
  });

  it('starts without a trusted folder, and serves its files when it appears', async () => {
    const { server, root } = await serve(engine, ['x'], 'trustedRoots: mirror\n');
    symlinkSync('../mirror', join(root, 'mirror'));
    mkdirSync(join(root, '../mirror'));
    writeFileSync(join(root, '../mirror/linux'), 'the kernel');
    expect(await server.ask('mirror/linux')).toBe('the kernel');
  });

  it('gives each client the files of its own folder if routes say so', async () => {
    const files = ['127.0.0.2/x', '127.0.0.3/x', 'lo/127.0.0.1/y'];
    const { server } = await serve(
      engine,
      files,
      `routes:
  - {match: "own/{path*}", rewrite: "{client}/{path*}"}
  - {match: "ours/{path*}", rewrite: "{interface}/{local}/{path*}"}
`,
    );
    for (const client of ['127.0.0.2', '127.0.0.3']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      expect(await download(server, 'own/x', client)).toBe(`${client}/x`);
    }
    expect(await server.ask('own/x')).toBe('error 1');
    expect(await server.ask('own/../127.0.0.3/x')).toBe('127.0.0.3/x');
    expect(await server.ask('own\\..\\..\\127.0.0.3\\x')).toBe('error 2');
    expect(await server.ask('ours/y')).toBe('lo/127.0.0.1/y');
  });

  it('matches routes in any case if case is ignored', async () => {
    const routes = `routes:
  - {match: "efi/{name}/bootx64.efi", rewrite: "loaders/{name}.efi"}
  - {match: "private/{path*}", refuse: private}
`;
    const files = ['loaders/Debian.efi', 'private/key'];
    const { server } = await serve(engine, files, `caseInsensitive: true\n${routes}`);
    expect(await server.ask('EFI/DEBIAN/BOOTX64.EFI')).toBe('loaders/Debian.efi');
    expect(await server.ask('PRIVATE/key')).toBe('error 2');
    const strict = await serve(engine, files, routes);
    expect(await strict.server.ask('EFI/Debian/BOOTX64.EFI')).toBe('error 1');
  });
});
