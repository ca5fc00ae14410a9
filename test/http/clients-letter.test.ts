/**
 * The requests of boot clients, and every byte of the answers. Firmware compares letters: another spelling of a field, a
 * redirect or a missing length ends a boot without a message.
 */
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Address } from '../../src/index.ts';
import { temporaryFolder } from '../content/fixture.ts';
import { seededBytes } from '../support/content.ts';
import { RawHttp, rawGet } from '../support/raw-http.ts';
import { type LiveServer, serveFolder } from '../support/server.ts';

const LOADER = seededBytes(1, 70_000);
const MODIFIED = 'Sun, 06 Nov 1994 08:49:37 GMT';

let live: LiveServer;
let at: Address;
let etag: string;

beforeAll(async () => {
  const root = temporaryFolder(afterAll);
  mkdirSync(join(root, 'boot'));
  for (const name of ['boot/bootx64.efi', 'boot/boot.img', 'boot/vmlinuz']) {
    writeFileSync(join(root, name), LOADER);
    utimesSync(join(root, name), 784_111_777, 784_111_777);
  }
  writeFileSync(join(root, 'empty'), '');
  live = await serveFolder(root, { http: { listen: [{ address: '127.0.0.1', port: 0 }], threads: 2 } });
  at = live.server.httpAddresses[0]!;
  const { head } = await rawGet(at, '/boot/bootx64.efi');
  etag = /^ETag: ("[0-9a-f]{32}")\r$/m.exec(head)![1]!;
});

afterAll(() => live.server.stop(0));

const tagOf = async (name: string): Promise<string> => /^ETag: (.*)\r$/m.exec((await rawGet(at, name)).head)![1]!;
const KEPT = 'Date: -\r\nConnection: keep-alive\r\nKeep-Alive: timeout=75\r\n\r\n';
const CLOSED = 'Connection: close\r\nDate: -\r\n\r\n';
const LENGTH = 'HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n';
const TYPE = 'Content-Type: application/efi\r\n';
const rest = (tag: string): string => `Accept-Ranges: bytes\r\nETag: ${tag}\r\nLast-Modified: ${MODIFIED}\r\n`;

describe('to the letter', () => {
  it('iPXE: GET over HTTP/1.1, one connection for all files', async () => {
    const client = new RawHttp(at);
    const ask = (path: string): string =>
      `GET ${path} HTTP/1.1\r\nConnection: keep-alive\r\nUser-Agent: iPXE/1.21.1\r\nHost: ${at.address}\r\n\r\n`;
    for (const path of ['/boot/vmlinuz', '/boot//vmlinuz']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other, on the same connection.
      const { head, body } = await client.send(ask(path)).answer();
      // oxlint-disable-next-line no-await-in-loop -- as above.
      expect(head).toBe(`${LENGTH}${rest(await tagOf('/boot/vmlinuz'))}${KEPT}`);
      expect(body.equals(LOADER)).toBe(true);
    }
    const missing = await client.send(ask('/boot/none')).answer();
    expect(missing.head).toBe(`HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n${KEPT}`);
    client.close();
  });

  it('iPXE with a SAN disk: HEAD, then ranges', async () => {
    const client = new RawHttp(at);
    const { head } = await client.send('HEAD /boot/boot.img HTTP/1.1\r\nHost: x\r\n\r\n').answer(true);
    const tag = await tagOf('/boot/boot.img');
    expect(head).toBe(`${LENGTH}Content-Type: application/vnd.efi-img\r\n${rest(tag)}${KEPT}`);
    const part = await client.send('GET /boot/boot.img HTTP/1.1\r\nRange: bytes=512-1023\r\nHost: x\r\n\r\n').answer();
    expect(part.head).toBe(
      `HTTP/1.1 206 Partial Content\r\nContent-Length: 512\r\nContent-Type: application/vnd.efi-img\r\n` +
        `Content-Range: bytes 512-1023/70000\r\n${rest(tag)}${KEPT}`,
    );
    expect(part.body.equals(LOADER.subarray(512, 1024))).toBe(true);
    client.close();
  });

  it('EDK2: HEAD and GET on one connection, resumed with If-Match', async () => {
    const client = new RawHttp(at);
    const ask = (method: string, more = ''): string =>
      `${method} /boot/bootx64.efi HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nUser-Agent: UefiHttpBoot/1.0\r\n${more}\r\n`;
    const whole = `${LENGTH}${TYPE}${rest(etag)}${KEPT}`;
    expect((await client.send(ask('HEAD')).answer(true)).head).toBe(whole);
    expect((await client.send(ask('GET')).answer()).head).toBe(whole);
    const resumed = await client.send(ask('GET', `If-Match: ${etag}\r\nRange: bytes=65536-\r\n`)).answer();
    expect(resumed.head).toBe(
      `HTTP/1.1 206 Partial Content\r\nContent-Length: 4464\r\n${TYPE}Content-Range: bytes 65536-69999/70000\r\n` +
        `${rest(etag)}${KEPT}`,
    );
    expect(resumed.body.equals(LOADER.subarray(65_536))).toBe(true);
    const other = await client.send(ask('GET', 'If-Match: "other"\r\nRange: bytes=65536-\r\n')).answer();
    expect(other.head).toBe(`HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n${KEPT}`);
    client.close();
  });

  it('GRUB: a connection for each open, a range that begins where it seeks, a reset at the end', async () => {
    const client = new RawHttp(at);
    client.send(`GET /boot/vmlinuz HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: GRUB 2.06\r\nRange: bytes=10-\r\n\r\n`);
    const { head, body } = await client.answer();
    expect(head).toContain('\r\nContent-Length: 69990\r\n');
    expect(head.startsWith('HTTP/1.1 206 ')).toBe(true);
    expect(body.equals(LOADER.subarray(10))).toBe(true);
    client.socket.resetAndDestroy();
  });

  it('GRUB through firmware: a Content-Length of this spelling for HEAD and GET, or the file is empty', async () => {
    const client = new RawHttp(at);
    for (const isHead of [true, false]) {
      const method = isHead ? 'HEAD' : 'GET';
      // oxlint-disable-next-line no-await-in-loop -- one after the other, on the same connection.
      const { head } = await client.send(`${method} /boot/vmlinuz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`).answer(isHead);
      expect(head).toContain('HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n');
    }
    client.close();
  });

  it('U-Boot before lwIP: HTTP/1.0 without a Host, the head in one packet, our close as the end', async () => {
    const client = new RawHttp(at);
    const all = await client.send('GET /boot/vmlinuz HTTP/1.0\r\n\r\n').all();
    const text = all.toString('latin1').replace(/Date: [^\r]*\r\n/, 'Date: -\r\n');
    const head = `${LENGTH}${rest(await tagOf('/boot/vmlinuz'))}${CLOSED}`;
    expect(text.slice(0, head.length)).toBe(head);
    expect(Buffer.from(text.slice(head.length), 'latin1').equals(LOADER)).toBe(true);
  });

  it('U-Boot with lwIP: 200 to a GET', async () => {
    const { head, body } = await rawGet(at, '/boot/vmlinuz', ['User-Agent: lwIP/2.2.0', 'Accept: */*', 'Host: x']);
    expect(head).toBe(`${LENGTH}${rest(await tagOf('/boot/vmlinuz'))}${KEPT}`);
    expect(body.equals(LOADER)).toBe(true);
  });

  it('Raspberry Pi: no redirect where a slash is doubled, a 404 for boot.sig', async () => {
    const { status } = await rawGet(at, '//boot.sig', ['Host: x']);
    expect(status).toBe(404);
    const { head } = await rawGet(at, '//boot//boot.img', ['Host: x']);
    expect(head).toBe(
      `${LENGTH}Content-Type: application/vnd.efi-img\r\n${rest(await tagOf('/boot/boot.img'))}${KEPT}`,
    );
  });

  it('a proxy: the absolute form, with any host', async () => {
    expect((await rawGet(at, 'http://example.org//boot/vmlinuz?x=1', ['Host: y'])).status).toBe(200);
  });

  it('an empty file has its length, and no range', async () => {
    const { head } = await rawGet(at, '/empty', ['Host: x']);
    expect(head).toContain('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n');
    const past = await rawGet(at, '/empty', ['Host: x', 'Range: bytes=0-']);
    expect(past.head).toBe(
      `HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nContent-Range: bytes */0\r\n${KEPT}`,
    );
  });

  it('methods that change files are refused, and their bodies are not read as requests', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH']) {
      const client = new RawHttp(at);
      const hidden = 'GET /boot/vmlinuz HTTP/1.1\r\n\r\n';
      client.send(`${method} /boot/vmlinuz HTTP/1.1\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`);
      // oxlint-disable-next-line no-await-in-loop -- six small requests.
      const all = (await client.all()).toString('latin1').replace(/Date: [^\r]*\r\n/, 'Date: -\r\n');
      expect(all).toBe(`HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nAllow: GET, HEAD\r\n${CLOSED}`);
    }
    const tunnel = await new RawHttp(at).send('CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n').all();
    expect(tunnel.toString('latin1')).toBe(
      'HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n',
    );
  });

  it.each([
    '/../../etc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/boot/..%5c..%5c..%5cetc/passwd',
    '/boot/%2e./../../etc',
  ])('a name that leads out of the root gets no content: %s', async (target) => {
    const { head } = await rawGet(at, target, ['Host: x']);
    expect(head).toBe(`HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n${KEPT}`);
  });

  it.each(['/%', '/boot%00', '/%gg', 'boot/vmlinuz'])(
    'a target that is no path is a bad request: %s',
    async (target) => {
      expect((await rawGet(at, target, ['Host: x'])).status).toBe(400);
    },
  );

  it('heads stay below 1 KiB, in one write with the first bytes', async () => {
    const client = new RawHttp(at);
    client.send('GET /boot/bootx64.efi HTTP/1.1\r\nHost: x\r\n\r\n');
    const first = await client.until((bytes) => bytes.length > 0);
    expect(first.indexOf('\r\n\r\n')).toBeGreaterThan(0);
    expect(first.indexOf('\r\n\r\n')).toBeLessThan(1020);
    client.close();
  });

  it('pipelined requests are answered in their order', async () => {
    const client = new RawHttp(at);
    client.send('GET /boot/vmlinuz HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\n\r\nHEAD /boot/boot.img HTTP/1.1\r\n\r\n');
    expect((await client.answer()).body.length).toBe(70_000);
    expect((await client.answer()).status).toBe(404);
    expect((await client.answer(true)).head).toContain('vnd.efi-img');
    client.close();
  });
});

describe('the records of a request', () => {
  it('have the protocol, and the same outcomes as over TFTP', async () => {
    const client = new RawHttp(at);
    await client.send('HEAD /boot/vmlinuz HTTP/1.1\r\nUser-Agent: told\r\n\r\n').answer(true);
    const { port } = client.socket.address() as { port: number };
    const probe = await live.transfer((record) => record.client.port === port);
    expect(probe).toMatchObject({ protocol: 'http', outcome: 'probe', file: 'boot/vmlinuz', bytes: 0, size: 70_000 });
    await client.send('GET /boot/vmlinuz HTTP/1.1\r\nRange: bytes=0-99\r\n\r\n').answer();
    const part = await live.transfer(({ client: from, outcome }) => from.port === port && outcome === 'complete');
    expect(part).toMatchObject({ protocol: 'http', bytes: 100, size: 70_000, local: '127.0.0.1' });
    await client.send('GET /nothing HTTP/1.1\r\n\r\n').answer();
    expect(live.refusals.find(({ client: from }) => from.port === port)).toMatchObject({
      protocol: 'http',
      kind: 'not_found',
      code: 404,
      filename: 'nothing',
    });
    client.close();
  });
});
