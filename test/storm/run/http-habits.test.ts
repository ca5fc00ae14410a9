/** How nodes ask over HTTP, each with the habits of its client. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { HTTP_PROFILES } from '../../../src/storm/plan/http-profiles.ts';
import type { Misbehave } from '../../support/unruly-http.ts';
import { client, INITRD, KERNEL, reasons, storm, unruly } from './http-fixture.ts';

describe('nodes over HTTP', { timeout: 30_000 }, () => {
  it.each([
    ['ipxe-http', 1, ['GET /linux', 'GET /initrd.img'], 0],
    ['uefi-http', 1, ['HEAD /linux', 'GET /linux', 'HEAD /initrd.img', 'GET /initrd.img'], 0],
    ['grub-http', 2, ['GET /linux', 'GET /initrd.img'], 2],
    ['curl', 2, ['GET /linux', 'GET /initrd.img'], 0],
  ])('%s uses %i connections for two files', async (name, connections, lines, resets) => {
    const server = await unruly();
    const report = await storm({ port: server.port, profile: client(name) });
    expect(report).toMatchObject({ completed: 1, failed: 0, wrong_bytes: 0, files_not_compared: 0, violations: [] });
    expect(report.bytes).toBe(KERNEL.length + INITRD.length);
    expect(report.stages.map(({ via, files, misses }) => [via, files, misses])).toEqual([
      ['http', 1, 0],
      ['http', 1, 0],
    ]);
    expect(report.http).toBe(`127.0.0.1:${server.port}`);
    expect(report.stages[0]!.first_reply_ms!.p50).toBeGreaterThan(0);
    expect(server.lines).toEqual(lines);
    expect(server.connections).toBe(connections);
    await expect.poll(() => server.resets).toBe(resets);
  });

  it.each([
    ['ipxe-http', ['Host: 127.0.0.1:PORT', 'User-Agent: iPXE/1.21.1', 'Connection: keep-alive']],
    ['uefi-http', ['Host: 127.0.0.1', 'Accept: */*', 'User-Agent: UefiHttpBoot/1.0']],
    ['grub-http', ['Host: 127.0.0.1', 'User-Agent: GRUB 2.12']],
    ['curl', ['Host: 127.0.0.1:PORT', 'User-Agent: curl/7.88.1', 'Accept: */*']],
  ])('%s sends its own fields, in its own order', async (name, fields) => {
    const server = await unruly();
    await storm({ port: server.port, profile: client(name), names: [['linux']] });
    const filled = fields.map((field) => field.replace('PORT', String(server.port)));
    for (const asked of server.asked) expect(asked.fields).toEqual(filled);
  });

  it('100 nodes boot, each from its own address', async () => {
    const server = await unruly();
    const report = await storm({ port: server.port, profile: client('ipxe-http'), nodes: 100 });
    expect(report).toMatchObject({ completed: 100, wrong_bytes: 0, violations: [] });
    const addresses = new Set(server.asked.map(({ from }) => from));
    expect([addresses.size, addresses.has('127.1.0.100')]).toEqual([100, true]);
  });

  it('looks for names in turn, and escapes what a URL cannot hold', async () => {
    const server = await unruly();
    const profile = client('grub-http');
    const report = await storm({ port: server.port, profile, names: [['no such ü', '/a?b#c%41\\d', 'linux']] });
    expect(report).toMatchObject({ completed: 1, failed: 0 });
    expect(report.stages[0]).toMatchObject({ misses: 2, files: 1 });
    expect(server.lines).toEqual(['GET /no%20such%20%C3%BC', 'GET /a%3Fb%23c%2541%5Cd', 'GET /linux']);
    const missing = await storm({ port: server.port, profile, names: [['none']] });
    expect(reasons(missing)).toEqual(['the server has no such file: none']);
  });

  describe('after an error', () => {
    const BUSY = ['Retry-After: 1'];

    it.each([
      ['ipxe-http', true, 2],
      ['curl', true, 2],
      ['uefi-http', false, 1],
      ['grub-http', false, 1],
    ])('%s with a Retry-After: boots %j after %i requests', async (name, boots, requests) => {
      const server = await unruly(({ line }, turn) =>
        line.startsWith('GET') && turn === 1 ? { status: 503, fields: BUSY } : undefined,
      );
      const report = await storm({ port: server.port, profile: client(name), names: [['linux']] });
      expect(report.completed).toBe(Number(boots));
      expect(server.lines.filter((line) => line.startsWith('GET'))).toHaveLength(requests);
      expect(reasons(report)).toEqual(boots ? [] : ['the server answered 503 Service Unavailable']);
      // The server asked for a second: the client's own schedule is a thousandth of that here.
      expect(report.duration_s).toBeGreaterThan(boots ? 0.9 : 0);
      expect(report.retransmits.client).toBe(requests - 1);
      expect(report.unanswered_requests).toBe(0);
    });

    it('iPXE keeps its connection for the second request', async () => {
      const server = await unruly((_, turn) => (turn === 1 ? { status: 503, fields: ['Retry-After: 0'] } : undefined));
      await storm({ port: server.port, profile: client('ipxe-http'), names: [['linux']] });
      expect([server.lines.length, server.connections]).toEqual([2, 1]);
    });

    it.each([
      ['ipxe-http', 1],
      ['curl', 4],
    ])('%s without a Retry-After asks %i times', async (name, times) => {
      const server = await unruly(() => ({ status: 503 }));
      const report = await storm({ port: server.port, profile: client(name), names: [['linux']] });
      expect(reasons(report)).toEqual(['the server answered 503 Service Unavailable']);
      expect(server.lines).toHaveLength(times);
    });

    it('nobody asks again after 403', async () => {
      const server = await unruly(() => ({ status: 403, body: Buffer.from('no') }));
      for (const profile of HTTP_PROFILES) {
        // oxlint-disable-next-line no-await-in-loop -- one storm at a time.
        const report = await storm({ port: server.port, profile: client(profile.name), names: [['linux']] });
        expect(reasons(report)).toEqual(['the server answered 403 Forbidden']);
      }
      expect(server.lines.filter((line) => line.startsWith('GET'))).toHaveLength(HTTP_PROFILES.length);
    });

    it('a redirect is one', async () => {
      const server = await unruly(() => ({ status: 301, fields: ['Location: /initrd.img'] }));
      const report = await storm({ port: server.port, profile: client('uefi-http'), names: [['linux']] });
      expect(reasons(report)).toEqual(['the server answered 301 Moved Permanently']);
    });
  });

  it('says so when nobody listens; curl asks again', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    for (const [name, again] of [
      ['grub-http', 0],
      ['curl', 3],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one storm at a time.
      const report = await storm({ port, profile: client(name), names: [['linux']] });
      expect(reasons(report)).toEqual(["nobody listens on the server's port"]);
      expect(report.retransmits.client).toBe(again);
    }
  });

  it('iPXE asks again at once when its kept connection has been closed, UEFI fails', async () => {
    const closing: Misbehave = ({ line, connection }) =>
      line.endsWith('/initrd.img') && connection === 1 ? 'close' : undefined;
    const first = await unruly(closing);
    const ipxe = await storm({ port: first.port, profile: client('ipxe-http') });
    expect(ipxe).toMatchObject({ completed: 1, wrong_bytes: 0 });
    expect(first.connections).toBe(2);
    expect(ipxe.retransmits.client).toBe(1);
    // On its first connection even iPXE takes no answer for an error.
    const second = await unruly(() => 'close');
    const refused = await storm({ port: second.port, profile: client('ipxe-http') });
    expect(reasons(refused)).toEqual(['the server closed the connection before it answered']);
  });

  it('a loader does not use the connection of the firmware that loaded it', async () => {
    const server = await unruly();
    const names = [['linux'], ['initrd.img']];
    const profiles = [client('uefi-http'), client('ipxe-http')];
    const report = await storm({ port: server.port, profile: profiles[0]!, names, profiles });
    expect(report).toMatchObject({ completed: 1, wrong_bytes: 0, violations: [] });
    expect(server.asked.map(({ line, connection }) => [line, connection])).toEqual([
      ['HEAD /linux', 1],
      ['GET /linux', 1],
      ['GET /initrd.img', 2],
    ]);
  });

  it('a connection that the server does not keep is not used again', async () => {
    const server = await unruly(({ line }) =>
      line === 'GET /linux' ? { body: KERNEL, fields: ['Connection: close'] } : undefined,
    );
    const report = await storm({ port: server.port, profile: client('ipxe-http') });
    expect(report).toMatchObject({ completed: 1, wrong_bytes: 0 });
    expect(server.connections).toBe(2);
  });

  it('nodes that vanish keep their connection and read no more', async () => {
    const server = await unruly();
    const report = await storm({
      port: server.port,
      profile: client('ipxe-http'),
      nodes: 10,
      faults: { vanish: '100%' },
    });
    expect(report.injected.vanished_nodes + report.completed).toBe(10);
    expect(report.injected.vanished_nodes).toBeGreaterThan(0);
    expect(report.failed).toBe(0);
  });

  it('nodes that crawl wait after each read', async () => {
    const server = await unruly();
    const report = await storm({
      port: server.port,
      profile: client('ipxe-http'),
      names: [['initrd.img']],
      faults: { crawl: '100%:50ms' },
    });
    expect(report).toMatchObject({ completed: 1, wrong_bytes: 0 });
    // 500,000 bytes are at least eight reads of 64 KiB, and nothing is waited for after the last.
    expect(report.duration_s).toBeGreaterThan(0.3);
  });

  it('ends when it is stopped', async () => {
    const server = await unruly(() => 'silence');
    let stop = (): void => {};
    const running = storm({
      port: server.port,
      profile: client('curl'),
      nodes: 5,
      running: (ends) => {
        stop = ends;
      },
    });
    await expect.poll(() => server.asked.length).toBe(5);
    stop();
    expect(await running).toMatchObject({ completed: 0, failed: 0, unfinished: 5 });
  });
});
