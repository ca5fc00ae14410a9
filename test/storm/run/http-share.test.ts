/** Nodes that boot over HTTP from a server that keeps to the rules, or breaks one of them. */
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { PortableEngine } from '../../../src/engine/portable.ts';
import { createFaultCounts, type FaultFlags, parseFaults } from '../../../src/storm/plan/fault-plan.ts';
import { HTTP_PROFILES } from '../../../src/storm/plan/http-profiles.ts';
import type { Stage } from '../../../src/storm/plan/plan.ts';
import type { HttpProfile } from '../../../src/storm/plan/profile.ts';
import type { StormReport } from '../../../src/storm/report.ts';
import { aggregate } from '../../../src/storm/run/aggregate.ts';
import { StormCells } from '../../../src/storm/run/cells.ts';
import { runShare } from '../../../src/storm/run/share.ts';
import { SEED, seededBytes } from '../../support/content.ts';
import { Random } from '../../support/random.ts';
import { type Misbehave, UnrulyHttp } from '../../support/unruly-http.ts';
import { version } from '../../support/virtual-storm.ts';

const KERNEL = seededBytes(SEED, 200_000);
const INITRD = seededBytes(SEED + 1, 500_000);
const FILES: ReadonlyMap<string, Uint8Array> = new Map([
  ['linux', KERNEL],
  ['initrd.img', INITRD],
]);

/** A client's habits, with as little patience as a test has; its waits are those of a minute divided by 1,000. */
function client(name: string, more: Partial<HttpProfile> = {}): HttpProfile {
  const found = HTTP_PROFILES.find((profile) => profile.name === name)!;
  const { schedule } = found;
  return {
    ...found,
    schedule: { ...schedule, firstMs: schedule.firstMs / 1000, ceilingMs: schedule.ceilingMs / 1000 },
    ...more,
  };
}

interface World {
  readonly port: number;
  readonly profile: HttpProfile;
  readonly names?: readonly (readonly string[])[];
  readonly nodes?: number;
  readonly stage?: Partial<Stage>;
  readonly faults?: FaultFlags;
  readonly files?: ReadonlyMap<string, Uint8Array> | undefined;
  /** Called with a function that stops the storm. */
  readonly running?: (stop: () => void) => void;
}

async function storm(world: World): Promise<Omit<StormReport, 'slo'>> {
  const { port, profile, names = [['linux'], ['initrd.img']], nodes = 1, files = FILES } = world;
  const stages = names.map((search): Stage => {
    const think = { fromMs: 0, toMs: 0 };
    return { name: search.at(-1)!, profile, search, optional: false, repeat: 1, think, ...world.stage };
  });
  const plan = { name: 'test', stages };
  const cells = StormCells.allocate(1, stages.length);
  const engine = new PortableEngine();
  const server = { address: '127.0.0.1', port };
  world.running?.(() => cells.stop());
  const startedAt = engine.clock.now();
  const result = await runShare(
    {
      thread: 0,
      server,
      http: server,
      plan,
      seed: SEED,
      nodes: Array.from({ length: nodes }, (_, index) => index + 1),
      due: Array.from({ length: nodes }, () => 0),
      startAt: startedAt,
      source: 'address',
      faults: parseFaults(world.faults ?? {}),
      expected: [version('', files)],
      doubledAcks: true,
      mix: [],
      cells: cells.buffer,
    },
    engine,
    () => performance.now(),
  );
  const durationMs = engine.clock.now() - startedAt;
  await engine.close();
  const health = { busy: 0, delayP50: 0, delayP90: 0, delayP99: 0, delayMax: 0, drops: 0 };
  return aggregate(
    {
      startedAt: new Date(0),
      durationMs,
      server: 'none',
      http: `127.0.0.1:${port}`,
      seed: SEED,
      plan,
      mix: [],
      arrival: 'burst',
      nodes,
      verified: true,
      versioned: false,
      cpuMs: 0,
      engine: 'portable',
      machine: { cpu: '', cores: 0, node: '', kernel: '' },
      version: '',
    },
    [{ result, health, injected: createFaultCounts() }],
  );
}

async function unruly(misbehave?: Misbehave): Promise<UnrulyHttp> {
  const server = await UnrulyHttp.start(FILES, misbehave);
  onTestFinished(() => server.close());
  return server;
}

function reasons({ failures }: Omit<StormReport, 'slo'>): string[] {
  return failures.map(({ reason }) => reason);
}

function ids({ violations }: Omit<StormReport, 'slo'>): string[] {
  return violations.map(({ id }) => id);
}

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

  describe('a body that breaks off', () => {
    const broken: Misbehave = ({ line, fields }) =>
      line === 'GET /linux' && !fields.some((field) => field.startsWith('Range'))
        ? { body: KERNEL.subarray(0, 70_000), length: KERNEL.length, fields: ['ETag: "abc"'], then: 'close' }
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
        line.startsWith('GET') ? { body: KERNEL.subarray(0, 0), length: KERNEL.length, then: 'reset' } : undefined,
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
      expect(reasons(report)).toEqual(['the server fell silent in the middle for 0.3 s']);
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

  it('a connection that the server does not keep is not used again', async () => {
    const server = await unruly(({ line }) =>
      line === 'GET /linux' ? { body: KERNEL, fields: ['Connection: close'] } : undefined,
    );
    const report = await storm({ port: server.port, profile: client('ipxe-http') });
    expect(report).toMatchObject({ completed: 1, wrong_bytes: 0 });
    expect(server.connections).toBe(2);
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
    const endless = await unruly(() => ({ body: KERNEL, length: false, then: 'close' }));
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
