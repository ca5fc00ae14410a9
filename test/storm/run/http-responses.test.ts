/** Reactions of nodes to HTTP responses that are wrong, late, cut or in pieces. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SEED, seededBytes } from '../../support/content.ts';
import { Random } from '../../support/random.ts';
import type { Misbehave } from '../../support/unruly-http.ts';
import { client, ids, KERNEL, reasons, storm, unruly } from './http-fixture.ts';

describe('an HTTP response', { timeout: 30_000 }, () => {
  it('names a byte that is wrong, and a file that does not end where it should', async () => {
    const body = Buffer.from(KERNEL);
    body[150_000]! ^= 1;
    const server = await unruly(({ line }) => (line === 'GET /linux' ? { body } : undefined));
    const report = await storm({ port: server.port, profile: client('curl') });
    expect(report).toMatchObject({ completed: 1, wrong_bytes: 1 });
    expect(ids(report)).toEqual(['wrong-bytes']);
    const short = await unruly(() => ({ body: KERNEL.subarray(0, 1000) }));
    const cut = await storm({ port: short.port, profile: client('curl'), names: [['linux']] });
    expect(cut).toMatchObject({ completed: 1, wrong_bytes: 1 });
  });

  describe('a body that breaks off', () => {
    const broken: Misbehave = ({ line, fields }) =>
      line === 'GET /linux' && !fields.some((field) => field.startsWith('Range'))
        ? { body: KERNEL.subarray(0, 70_000), length: KERNEL.length, fields: ['ETag: "abc"'], afterwards: 'close' }
        : undefined;

    it('UEFI goes on where it broke off, on a new connection', async () => {
      const server = await unruly(broken);
      const report = await storm({ port: server.port, profile: client('uefi-http'), names: [['linux']] });
      expect(report).toMatchObject({ completed: 1, wrong_bytes: 0, violations: [], bytes: KERNEL.length });
      expect(report.retransmits.client).toBe(1);
      expect(server.lines).toEqual(['HEAD /linux', 'GET /linux', 'GET /linux']);
      expect(server.asked[2]!.fields.slice(-2)).toEqual(['Range: bytes=70000-199999', 'If-Match: "abc"']);
      expect(server.asked.map(({ connection }) => connection)).toEqual([1, 1, 2]);
    });

    it.each(['ipxe-http', 'grub-http', 'curl'])('%s fails', async (name) => {
      const server = await unruly(broken);
      const report = await storm({ port: server.port, profile: client(name), names: [['linux']] });
      expect(reasons(report)).toEqual(['the server closed the connection in the middle']);
      expect([report.bytes, report.wrong_bytes, server.lines.length]).toEqual([70_000, 0, 1]);
    });

    it('UEFI gives up after five requests', async () => {
      const server = await unruly(({ line }) =>
        line.startsWith('GET')
          ? { body: KERNEL.subarray(0, 0), length: KERNEL.length, afterwards: 'reset' }
          : undefined,
      );
      const report = await storm({ port: server.port, profile: client('uefi-http'), names: [['linux']] });
      expect(reasons(report)).toEqual(['the server closed the connection in the middle']);
      expect(server.lines.filter((line) => line.startsWith('GET'))).toHaveLength(5);
    });

    it('a server that passes over the range sends the file from its start', async () => {
      const server = await unruly((asked, turn) =>
        turn > 1 && asked.line === 'GET /linux' ? { body: KERNEL } : broken(asked, turn),
      );
      const report = await storm({ port: server.port, profile: client('uefi-http'), names: [['linux']] });
      expect(report).toMatchObject({ completed: 1, wrong_bytes: 0, violations: [] });
    });

    it.each([
      ['of another file', 'bytes 70000-199999/300000', 130_000],
      ['from another byte', 'bytes 69999-199998/200000', 130_000],
      ['that is not said', undefined, 130_000],
      ['longer than it says', 'bytes 70000-199999/200000', 130_001],
    ])('a range %s is a violation', async (_, range, length) => {
      const server = await unruly((asked, turn) =>
        turn > 1 && asked.line === 'GET /linux'
          ? {
              status: 206,
              body: new Uint8Array(length),
              fields: range === undefined ? [] : [`Content-Range: ${range}`],
            }
          : broken(asked, turn),
      );
      const report = await storm({ port: server.port, profile: client('uefi-http'), names: [['linux']] });
      expect(ids(report)).toEqual(['range-wrong']);
      expect(reasons(report)).toEqual(['the server sent another range than was asked for']);
      expect(report.wrong_bytes).toBe(0);
    });

    it('a part of another version is a wrong file', async () => {
      const other = seededBytes(SEED + 7, 200_000);
      const server = await unruly((asked, turn) => {
        if (turn === 1 || asked.line !== 'GET /linux') return broken(asked, turn);
        return { status: 206, body: other.subarray(70_000), fields: ['Content-Range: bytes 70000-199999/200000'] };
      });
      const report = await storm({ port: server.port, profile: client('uefi-http'), names: [['linux']] });
      expect(report).toMatchObject({ completed: 1, wrong_bytes: 1 });
    });
  });

  describe('silence', () => {
    const impatient = { headMs: 300, bodyMs: 300 };

    it('of the server before the head', async () => {
      const server = await unruly(() => 'silence');
      const report = await storm({
        port: server.port,
        profile: client('grub-http', impatient),
        names: [['linux']],
        nodes: 3,
      });
      expect(report.failures).toMatchObject([{ reason: 'no answer to the request within 0.3 s', nodes: 3 }]);
      expect(report).toMatchObject({ unanswered_requests: 3, first_reply_ms: null });
    });

    it('in the middle of a file', async () => {
      const server = await unruly(() => ({ body: KERNEL.subarray(0, 70_000), length: KERNEL.length }));
      const report = await storm({
        port: server.port,
        profile: client('ipxe-http', impatient),
        names: [['linux']],
      });
      expect(reasons(report)).toEqual(['the server went silent in the middle for 0.3 s']);
      expect(report).toMatchObject({ unanswered_requests: 0, violations: [], bytes: 70_000 });
    });

    it('curl asks again after it, UEFI goes on where it was', async () => {
      const silent: Misbehave = ({ line }, turn) => {
        if (line !== 'GET /linux' || turn > 1) return undefined;
        return { body: KERNEL.subarray(0, 70_000), length: KERNEL.length, fields: ['ETag: "abc"'] };
      };
      const [first, second] = [await unruly(silent), await unruly(silent)];
      const names = [['linux']];
      const curl = await storm({ port: first.port, profile: client('curl', impatient), names });
      expect(curl).toMatchObject({ completed: 1, wrong_bytes: 0, bytes: KERNEL.length + 70_000 });
      const uefi = await storm({ port: second.port, profile: client('uefi-http', impatient), names });
      expect(uefi).toMatchObject({ completed: 1, wrong_bytes: 0, bytes: KERNEL.length });
    });

    it('a server that sends a byte now and then is not silent', async () => {
      const server = createServer((socket) => {
        const reply = Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n'), Buffer.from('boot')]);
        let sent = reply.length - 4;
        socket.write(reply.subarray(0, sent));
        const timer = setInterval(() => socket.write(reply.subarray(sent, ++sent)), 150);
        socket.on('error', () => {}).on('close', () => clearInterval(timer));
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      onTestFinished(() => void server.close());
      const report = await storm({
        port: (server.address() as AddressInfo).port,
        profile: client('curl', { headMs: 1000, bodyMs: 400 }),
        names: [['x']],
        files: new Map([['x', Buffer.from('boot')]]),
      });
      expect(report).toMatchObject({ completed: 1, wrong_bytes: 0 });
      expect(report.duration_s).toBeGreaterThan(0.4);
    });
  });

  describe('a server that breaks a rule', () => {
    it('sends more than it announced', async () => {
      const server = await unruly(() => ({ body: KERNEL, length: KERNEL.length - 10 }));
      const report = await storm({ port: server.port, profile: client('ipxe-http'), names: [['linux']] });
      expect(ids(report)).toEqual(expect.arrayContaining(['surplus-bytes', 'wrong-bytes']));
    });

    it('announces another length in HEAD', async () => {
      const server = await unruly(({ line }) => (line.startsWith('HEAD') ? { length: 5 } : undefined));
      const report = await storm({ port: server.port, profile: client('uefi-http'), names: [['linux']] });
      expect(report).toMatchObject({ completed: 1, wrong_bytes: 0 });
      expect(report.violations).toMatchObject([{ id: 'head-length-wrong', clause: 'RFC 9110 §9.3.2' }]);
    });

    it.each([
      ['a line without a colon', 'HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n', 'a line that is no field'],
      ['no status', 'HTTP/2 200\r\n\r\n', 'no status line of HTTP/1.0 or HTTP/1.1'],
      ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 'two lengths'],
      ['an endless head', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}`, 'more than 16384 bytes'],
    ])('sends %s', async (_, raw, wrong) => {
      const server = await unruly(() => ({ raw }));
      const report = await storm({ port: server.port, profile: client('curl'), names: [['linux']] });
      expect(reasons(report)).toEqual([`the response can't be read: its head has ${wrong}`]);
      expect(ids(report)).toEqual(['malformed-response']);
    });
  });

  it('takes no file without a length', async () => {
    const chunked = await unruly(() => ({
      raw: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n',
    }));
    const first = await storm({ port: chunked.port, profile: client('ipxe-http'), names: [['linux']] });
    expect(reasons(first)).toEqual(['the server sent the file in a transfer encoding and without its length']);
    const endless = await unruly(() => ({ body: KERNEL, length: false, afterwards: 'close' }));
    const second = await storm({ port: endless.port, profile: client('ipxe-http'), names: [['linux']] });
    expect(reasons(second)).toEqual(['the server gave no length for the file']);
    expect([...ids(first), ...ids(second)]).toEqual([]);
  });

  it('GRUB reads Content-Length in one spelling, others in any', async () => {
    const server = await unruly(() => ({ body: KERNEL, lengthName: 'content-length' }));
    const grub = await storm({ port: server.port, profile: client('grub-http'), names: [['linux']] });
    expect(reasons(grub)).toEqual(['the head lacks HTTP/1.1 or Content-Length in the spelling that the client reads']);
    const ipxe = await storm({ port: server.port, profile: client('ipxe-http'), names: [['linux']] });
    expect(ipxe).toMatchObject({ completed: 1, wrong_bytes: 0 });
  });

  it('reads a response in pieces of any size', async () => {
    const random = new Random(SEED);
    const body = KERNEL.subarray(0, 600);
    const reply = Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: 600\r\nETag: "x"\r\n\r\n`), body]);
    const server = createServer({ noDelay: true }, (socket) => {
      let sent = 0;
      const next = (): void => {
        if (sent >= reply.length) return;
        const end = Math.min(reply.length, sent + random.between(1, 40));
        socket.write(reply.subarray(sent, end), () => setImmediate(next));
        sent = end;
      };
      socket.on('error', () => {});
      socket.once('data', next);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const report = await storm({
      port: (server.address() as AddressInfo).port,
      profile: client('curl'),
      names: [['x']],
      nodes: 20,
      files: new Map([['x', body]]),
    });
    expect([report.failures, report.completed, report.wrong_bytes]).toEqual([[], 20, 0]);
  });
});
