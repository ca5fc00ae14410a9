/** TFTP and HTTP answer from one table of pins: a boot keeps its version whatever protocol its files come by. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Address } from '../../src/index.ts';
import { built } from '../support/built.ts';
import { runCommand } from '../support/command.ts';
import { RawHttp } from '../support/raw-http.ts';
import { folder, Reveille } from '../support/reveille.ts';

const FILES = ['grubx64.efi', 'vmlinuz', 'initrd.img'];

class Rack {
  readonly root = folder();
  readonly store = join(this.root, 'store');
  tftp: Address = { address: '127.0.0.1', port: 0 };
  http: Address = { address: '127.0.0.1', port: 0 };
  server: Reveille | undefined;

  /** Publishes version `version` of rack/a; each file is a line that names it. */
  async publish(version: number): Promise<void> {
    const set = join(this.root, `set-${version}`);
    mkdirSync(set);
    for (const name of FILES) writeFileSync(join(set, name), `${name} of ${version}\n`);
    const { code, stderr } = await runCommand(['publish', 'rack/a', set, '--store', this.store]);
    if (code !== 0) throw new Error(stderr);
    // A name with the version makes a running server look.
    if (this.server !== undefined) await this.overHttp(`rack/a-${version}/vmlinuz`, '127.0.0.9');
  }

  async start(...args: string[]): Promise<void> {
    const any = '127.0.0.1:0';
    const where = [
      '--log-level',
      'debug',
      '--store',
      this.store,
      '--listen',
      any,
      '--http',
      any,
      '--admin',
      any,
      '--workers',
      '1',
    ];
    this.server = new Reveille(['serve', ...where, ...args], { cwd: this.root });
    const [, line] = await this.server.saying(/^(\{.*"msg":"listening"\})$/m);
    const { addresses, http } = JSON.parse(line!) as { addresses: string[]; http: string[] };
    this.tftp = { address: '127.0.0.1', port: Number(addresses[0]!.split(':')[1]) };
    this.http = { address: '127.0.0.1', port: Number(http[0]!.split(':')[2]) };
  }

  async overTftp(filename: string): Promise<string> {
    const parts: Uint8Array[] = [];
    const sink = { write: (bytes: Uint8Array) => void parts.push(bytes.slice()) };
    const { outcome } = await built.fetchFile({
      server: this.tftp,
      filename,
      mode: 'octet',
      wish: {},
      sink,
      lingerMs: 0,
    });
    // Until the server has noted its end, the transfer keeps the boot from ending.
    await this.server!.saying(
      new RegExp(`"client":"127.0.0.1:\\d+"[^\n]*${filename.split('/').at(-1)}"[^\n]*"windowsize":[1-9]`),
    );
    return outcome === 'complete' ? Buffer.concat(parts).toString().trim() : outcome;
  }

  async ask(method: string, name: string, fields: readonly string[] = [], local = '127.0.0.1'): Promise<RawHttpAnswer> {
    const client = new RawHttp(this.http, { local });
    const answer = await client
      .send([`${method} /${name} HTTP/1.1`, ...fields, '', ''].join('\r\n'))
      .answer(method === 'HEAD');
    const { port } = client.socket.address() as { port: number };
    client.close();
    await this.server!.saying(new RegExp(`"client":"${local}:${port}"`));
    return answer;
  }

  async overHttp(name: string, local?: string): Promise<string> {
    return (await this.ask('GET', name, [], local)).body.toString().trim();
  }
}

type RawHttpAnswer = Awaited<ReturnType<RawHttp['answer']>>;
const tagOf = ({ head }: RawHttpAnswer): string => /^ETag: (.*)\r$/m.exec(head)![1]!;

describe('a boot over two protocols', () => {
  it('keeps its version when one is published between its files', async () => {
    const rack = new Rack();
    await rack.publish(1);
    await rack.start();
    expect(await rack.overTftp('rack/a/grubx64.efi')).toBe('grubx64.efi of 1');
    await rack.publish(2);
    expect(await rack.overHttp('rack/a/vmlinuz')).toBe('vmlinuz of 1');
    expect(await rack.overTftp('rack/a/initrd.img')).toBe('initrd.img of 1');
    // The next boot begins over HTTP.
    expect(await rack.overHttp('rack/a/grubx64.efi')).toBe('grubx64.efi of 2');
    await rack.publish(3);
    expect(await rack.overTftp('rack/a/vmlinuz')).toBe('vmlinuz of 2');
    expect(await rack.overHttp('rack/a/initrd.img')).toBe('initrd.img of 2');
    expect(await rack.overHttp('rack/a/vmlinuz', '127.0.0.2')).toBe('vmlinuz of 3');
    expect(await rack.overHttp('rack/a-1/vmlinuz')).toBe('vmlinuz of 1');
  });

  it('gets by GET the size that HEAD announced, and by ranges the parts of one file', async () => {
    const rack = new Rack();
    await rack.publish(1);
    await rack.start();
    await rack.overHttp('rack/a/vmlinuz');
    await rack.publish(2);
    // A loader begins a boot, also by HEAD, and GET goes on with it.
    const told = await rack.ask('HEAD', 'rack/a/grubx64.efi');
    await rack.publish(3);
    const got = await rack.ask('GET', 'rack/a/grubx64.efi');
    expect(got.body.toString()).toBe('grubx64.efi of 2\n');
    expect(got.head).toBe(told.head);
    const first = await rack.ask('GET', 'rack/a/vmlinuz', ['Range: bytes=0-4']);
    await rack.publish(4);
    const rest = await rack.ask('GET', 'rack/a/vmlinuz', ['Range: bytes=5-', `If-Match: ${tagOf(first)}`]);
    expect(`${first.body.toString()}${rest.body.toString()}`).toBe('vmlinuz of 2\n');
    expect(tagOf(rest)).toBe(tagOf(first));
    const again = await rack.ask('GET', 'rack/a/vmlinuz', [`If-None-Match: ${tagOf(first)}`]);
    expect(again.status).toBe(304);
  });

  it('may be led by a config that names this server over HTTP, with the version in the path', async () => {
    const rack = new Rack();
    writeFileSync(
      join(rack.root, 'c.yaml'),
      'routes:\n  - match: "boot.ipxe"\n    template: boot.liquid\n    channel: rack/a\n',
    );
    writeFileSync(
      join(rack.root, 'boot.liquid'),
      '{% if server.http %}kernel {{ server.http }}/{{ bootset.files["vmlinuz"] }}{% endif %}\n',
    );
    await rack.publish(1);
    await rack.start('--config', 'c.yaml');
    const script = `kernel http://127.0.0.1:${rack.http.port}/rack/a-1/vmlinuz`;
    expect(await rack.overTftp('boot.ipxe')).toBe(script);
    const { head, body } = await rack.ask('GET', 'boot.ipxe');
    expect(body.toString().trim()).toBe(script);
    expect(head).toMatch(/^ETag: "[0-9a-f]{64}"\r$/m);
    expect(await rack.overHttp('rack/a-1/vmlinuz')).toBe('vmlinuz of 1');
  });
});
