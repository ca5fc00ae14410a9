import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Admin, startAdmin } from '../../src/admin/admin-server.ts';
import { formatAddress } from '../../src/text/address-text.ts';
import { isLoopback } from '../../src/admin/admin-guard.ts';
import { parseNode } from '../../src/config/node-argument.ts';
import { ObservedWorld } from '../observe/world.ts';

async function admin(change: Partial<Parameters<typeof startAdmin>[0]> = {}): Promise<{ admin: Admin; url: string }> {
  const started = await startAdmin({
    listen: { address: '127.0.0.1', port: 0 },
    notReady: () => undefined,
    metrics: () => Promise.resolve('reveille_up 1\n'),
    metricsType: 'text/plain; version=0.0.4; charset=utf-8',
    ...change,
  });
  onTestFinished(() => started.close());
  return { admin: started, url: `http://${formatAddress(started.address)}` };
}

describe('the admin address', () => {
  it('says where it is when asked for any port', async () => {
    const { admin: started } = await admin();
    expect(started.address.address).toBe('127.0.0.1');
    expect(started.address.port).toBeGreaterThan(0);
  });

  it('is healthy while alive, ready only when the server is, and says why it is not', async () => {
    let reason: string | undefined = 'the server is starting';
    const { url } = await admin({ notReady: () => reason });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    const notReady = await fetch(`${url}/readyz`);
    expect(notReady.status).toBe(503);
    expect(await notReady.text()).toBe('not ready: the server is starting\n');
    reason = undefined;
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  it('serves metrics in the format of Prometheus', async () => {
    const { url } = await admin();
    const response = await fetch(`${url}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await response.text()).toBe('reveille_up 1\n');
  });

  it('answers 500 when metrics fail, without saying why to strangers, and lives on', async () => {
    const { url } = await admin({ metrics: () => Promise.reject(new TypeError('/secret/path')) });
    const response = await fetch(`${url}/metrics`);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('secret');
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  it('serves a plain-text index to clients that do not accept HTML, and nothing else', async () => {
    const { url } = await admin();
    const index = await fetch(url);
    expect(index.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(await index.text()).toContain('/metrics');
    expect((await fetch(`${url}/etc/passwd`)).status).toBe(404);
    expect((await fetch(`${url}/healthz`, { method: 'POST' })).status).toBe(404);
  });

  it('closes at once, idle connections too', async () => {
    const { admin: started } = await admin();
    const socket = connect(started.address.port, started.address.address);
    await once(socket, 'connect');
    socket.on('error', () => {});
    const closed = once(socket, 'close');
    await started.close();
    await closed;
    expect(socket.destroyed).toBe(true);
  });

  it.each([
    ['say nothing', ''],
    ['never end what they say', 'GET / HTTP/1.1\r\nHost: x\r\n'],
    ['wait for more after an answer', 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['listen to events', 'GET /api/v1/live/events HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ])('answers health and metrics while two addresses hold all its connections and %s', async (_, said) => {
    const world = new ObservedWorld();
    const { admin: started, url } = await admin({ live: { state: world.state, idsOf: (text) => [parseNode(text)] } });
    const { address: host, port } = started.address;
    const hold = async (localAddress: string): Promise<void> => {
      const socket = connect({ host, port, localAddress });
      onTestFinished(() => void socket.destroy());
      socket.on('error', () => {});
      await once(socket, 'connect');
      socket.write(said);
      // A request that gets an answer is answered before the next connection opens.
      if (said.endsWith('\r\n\r\n')) await once(socket, 'data');
    };
    for (let times = 0; times < 64; times++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      for (const from of ['127.0.0.2', '127.0.0.3']) await hold(from);
    }
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      expect([path, (await ask(url, path)).status]).toEqual([path, 200]);
    }
  });

  it('answers an address that already holds all the connections it may have', async () => {
    const { admin: started, url } = await admin();
    for (let times = 0; times < 64; times++) {
      const socket = connect(started.address.port, started.address.address);
      onTestFinished(() => void socket.destroy());
      socket.on('error', () => {});
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      await once(socket, 'connect');
    }
    expect((await ask(url, '/healthz')).status).toBe(200);
  });

  it('in use is an error with the code of the system', async () => {
    const { admin: started } = await admin();
    await expect(admin({ listen: started.address })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

const TOKEN = '0123456789abcdef';
const FIREWALLED = '0.0.0.0';

interface Asked {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
}

/** Uses node:http because fetch lets no caller choose the Host header. */
function ask(url: string, path: string, headers: Record<string, string> = {}): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const asked = request(`${url}${path}`, { headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }));
    });
    asked.on('error', reject).end();
  });
}

async function watched(listen: string, token?: string): Promise<{ url: string; world: ObservedWorld }> {
  const world = new ObservedWorld();
  const { url } = await admin({
    listen: { address: listen, port: 0 },
    live: { state: world.state, idsOf: (text) => [parseNode(text)] },
    ...(token === undefined ? {} : { api: { token, reload: () => Promise.resolve({ result: 'ok', restart: [] }) } }),
  });
  return { url: url.replace('0.0.0.0', '127.0.0.1'), world };
}

const TELLING = ['/api/v1/live', '/api/v1/nodes/192.0.2.7'];

describe('what names nodes', () => {
  it('is served on the loopback address to requests for a loopback name', async () => {
    const { url, world } = await watched('127.0.0.1');
    world.fetch('192.0.2.7', 'linux');
    const { port } = new URL(url);
    for (const host of [`127.0.0.1:${port}`, 'localhost:80', '[::1]:6970', 'tftp.localhost']) {
      for (const path of TELLING) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other.
        const { status, body } = await ask(url, path, { host });
        expect([host, path, status, body.includes('192.0.2.7')]).toEqual([host, path, 200, true]);
      }
    }
  });

  it.each(['evil.example', 'localhost.evil.example', '192.0.2.1', '127.0.0.1.evil.example:6970'])(
    'is not served to a page that reaches the server by the name %s',
    async (host) => {
      const { url } = await watched('127.0.0.1');
      for (const path of [...TELLING, '/api/v1/live/events']) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other.
        const refused = await ask(url, path, { host });
        expect(refused.status).toBe(403);
        expect(refused.body).toContain('expected a client on a loopback address, or a token');
      }
      const { url: tokened } = await watched('127.0.0.1', TOKEN);
      expect((await ask(tokened, '/api/v1/live', { host })).status).toBe(401);
      expect((await ask(tokened, '/api/v1/live', { host, authorization: `Bearer ${TOKEN}` })).status).toBe(200);
    },
  );

  it('is not served to other sites', async () => {
    const { url } = await watched('127.0.0.1');
    for (const path of TELLING) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      expect((await ask(url, path, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    }
  });

  it('needs the token on every other address, and is served to nobody without one', async () => {
    const { url } = await watched(FIREWALLED, TOKEN);
    const { url: tokenless } = await watched(FIREWALLED);
    for (const path of [...TELLING, '/api/v1/live/events']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      const statuses = await Promise.all([
        ask(url, path).then(({ status }) => status),
        ask(url, path, { authorization: 'Bearer 0123456789abcdeX' }).then(({ status }) => status),
        ask(tokenless, path).then(({ status }) => status),
      ]);
      expect([path, ...statuses]).toEqual([path, 401, 401, 403]);
    }
    expect((await ask(url, '/api/v1/live', { authorization: `Bearer ${TOKEN}` })).status).toBe(200);
    // These paths reveal no node.
    for (const path of ['/', '/healthz', '/readyz', '/metrics']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      expect((await ask(tokenless, path)).status).toBe(200);
    }
  });

  it('limits the rate of wrong tokens', async () => {
    const { url } = await watched(FIREWALLED, TOKEN);
    const statuses: number[] = [];
    for (let times = 0; times < 40; times++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      statuses.push((await ask(url, '/api/v1/live', { authorization: `Bearer guess-${times}-0000000` })).status);
    }
    expect(statuses.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => 401));
    expect(statuses).toContain(429);
    expect((await ask(url, '/api/v1/live', { authorization: `Bearer ${TOKEN}` })).status).toBe(200);
  });

  it('needs the token for changes of state, on the loopback address too', async () => {
    const { url } = await watched('127.0.0.1', TOKEN);
    const post = (headers: Record<string, string>): Promise<Response> =>
      fetch(`${url}/api/v1/reload`, { method: 'POST', headers });
    expect((await post({})).status).toBe(401);
    expect((await post({ authorization: `Bearer ${TOKEN}`, 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await post({ authorization: `Bearer ${TOKEN}` })).status).toBe(200);
  });

  it('rejects a text that names no node, in one line', async () => {
    const { url } = await watched('127.0.0.1');
    for (const [path, status] of [
      ['/api/v1/nodes/zz', 400],
      [`/api/v1/nodes/${'x'.repeat(200)}`, 400],
      ['/api/v1/nodes/', 404],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      const answer = await ask(url, path);
      expect([path, answer.status]).toEqual([path, status]);
      expect(answer.body.trim().split('\n')).toHaveLength(1);
    }
  });
});

describe('every answer of the admin address', () => {
  it('forbids browsers to load from other sites, to guess types and to frame pages', async () => {
    const { url } = await watched('127.0.0.1', TOKEN);
    for (const path of [
      '/',
      '/healthz',
      '/metrics',
      '/api/v1/live',
      '/api/v1/nodes/zz',
      '/api/v1/reload',
      '/nowhere',
    ]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      const { headers } = await ask(url, path);
      expect(headers['content-security-policy']).toMatch(
        /default-src 'none'; script-src 'self'; style-src 'self';.*frame-ancestors 'none'/,
      );
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
        'cross-origin-resource-policy': 'same-origin',
      });
      expect(headers['access-control-allow-origin']).toBeUndefined();
      expect(headers['cache-control']).toMatch(/^no-(?:store|cache)$/);
    }
  });

  it('is short if the request is too long', async () => {
    const { url } = await watched('127.0.0.1', TOKEN);
    const body = 'x'.repeat(70_000);
    expect((await fetch(`${url}/api/v1/reload`, { method: 'POST', body })).status).toBe(413);
    const long = await ask(url, '/healthz', { 'x-long': 'x'.repeat(9000) });
    expect(long.status).toBe(431);
  });
});

describe('events', () => {
  it('begin with a snapshot and go on with changes, as many as change', async () => {
    const { url, world } = await watched('127.0.0.1');
    const response = await fetch(`${url}/api/v1/live/events`);
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const first = await reader.read();
    expect(first.value).toMatch(/^event: snapshot\ndata: \{"now":/);
    world.fetch('192.0.2.7', 'linux');
    world.pass(1000);
    const second = await reader.read();
    expect(second.value).toMatch(/^event: change\ndata: .*"id":"192\.0\.2\.7"/);
    await reader.cancel();
  });

  it('reach 32 readers at once, whose places are free again when they leave', async () => {
    const { url, world } = await watched('127.0.0.1');
    const leave = new AbortController();
    const readers = await Promise.all(
      Array.from({ length: 32 }, () => fetch(`${url}/api/v1/live/events`, { signal: leave.signal })),
    );
    expect(readers.map(({ status }) => status)).toEqual(Array.from({ length: 32 }, () => 200));
    expect((await fetch(`${url}/api/v1/live/events`)).status).toBe(503);
    leave.abort();
    await vi.waitFor(async () => {
      world.pass(1000);
      const again = await fetch(`${url}/api/v1/live/events`);
      await again.body?.cancel();
      expect(again.status).toBe(200);
    });
  });

  it('do not wait for a slow reader: it gets a new snapshot when it reads again', async () => {
    const { url, world } = await watched('127.0.0.1');
    for (let node = 0; node < 3000; node++)
      world.fetch(`10.${node >> 8}.${node & 255}.1`, `${'long/'.repeat(20)}linux`, {}, 0);
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    onTestFinished(() => void socket.destroy());
    socket.write(`GET /api/v1/live/events HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
    await once(socket, 'readable');
    socket.pause();
    // Each of these seconds changes every row: about 20 MB in all, of which the paused socket takes nothing.
    for (let second = 0; second < 30; second++) {
      for (let node = 0; node < 3000; node++)
        world.refuse(`10.${node >> 8}.${node & 255}.1`, `${'long/'.repeat(20)}missing-${second}`);
      world.pass(1000);
      // oxlint-disable-next-line no-await-in-loop -- the socket sends what it can.
      await new Promise(setImmediate);
    }
    let text = '';
    socket.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    socket.resume();
    await vi.waitFor(
      () => {
        world.pass(1000);
        expect(text.split('event: snapshot')).toHaveLength(3);
      },
      { timeout: 20_000 },
    );
    expect(text.split('event: change').length).toBeLessThan(25);
  });
});

describe('an address', () => {
  it.each([
    ['127.0.0.1', true],
    ['127.8.9.10', true],
    ['::1', true],
    ['0.0.0.0', false],
    ['::', false],
    ['192.0.2.1', false],
    ['127.evil', false],
  ])('%s is of this machine alone: %s', (address, expected) => {
    expect(isLoopback(address)).toBe(expected);
  });
});
