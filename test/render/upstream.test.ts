/** An upstream on a real HTTP server: the documented behavior holds, whatever the upstream does. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { upstreamUrl } from '../../src/render/upstream.ts';
import type { RouteConfig } from '../../src/render/types.ts';
import { Desk } from './fixture.ts';

type Answerer = (request: IncomingMessage, response: ServerResponse) => void;

class Upstream {
  readonly seen: IncomingMessage[] = [];
  answer: Answerer = (_, response) => void response.end('fine');
  origin = '';

  static async start(): Promise<Upstream> {
    const upstream = new Upstream();
    const server = createServer((request, response) => {
      upstream.seen.push(request);
      upstream.answer(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    upstream.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return upstream;
  }

  desk(more: Partial<RouteConfig> = {}, path = '/boot', parts = {}): Promise<Desk> {
    return Desk.open({}, [{ match: '{mac}.ipxe', upstream: `${this.origin}${path}`, timeoutMs: 1000, ...more }], parts);
  }
}

const NAME = '52-54-00-00-00-01.ipxe';

describe('an upstream', () => {
  it('gets the captures, the client and the name as parameters', async () => {
    const upstream = await Upstream.start();
    const desk = await upstream.desk({}, '/boot?site=a');
    expect(await desk.read(NAME)).toBe('fine');
    const url = new URL(upstream.seen[0]!.url!, upstream.origin);
    expect(Object.fromEntries(url.searchParams)).toEqual({
      site: 'a',
      mac: '52:54:00:00:00:01',
      client: '192.0.2.7',
      local: '192.0.2.1',
      name: NAME,
    });
  });

  it('gets only intended parts of a request in its path and headers', async () => {
    const upstream = await Upstream.start();
    const desk = await Desk.open({}, [{ match: 'x/{name}', upstream: `${upstream.origin}/{name}?n={name}` }]);
    expect(await desk.read('x/a?b#c%2f&d=e HTTP')).toBe('fine');
    expect(upstream.seen[0]!.url).toBe('/a%3Fb%23c%252f%26d%3De%20HTTP?n=a%3Fb%23c%252f%26d%3De%20HTTP');
    expect(await desk.read('x/a\r\nX-Evil: 1')).toBe('missing');
    expect(upstream.seen).toHaveLength(1);
    expect(Object.keys(upstream.seen[0]!.headers).toSorted()).toEqual(['accept', 'connection', 'host', 'user-agent']);
    const request = {
      name: 'n',
      client: 'c',
      local: 'l',
      mode: 'octet',
      captures: { name: '..\r\nX: 1@evil' },
    } as const;
    expect(upstreamUrl('http://a/{name}', request)).toBe('http://a/..%0D%0AX%3A%201%40evil');
  });

  it('that answers 404 has nothing for this node: the next route is asked', async () => {
    const upstream = await Upstream.start();
    upstream.answer = (_, response) => void response.writeHead(404).end('none');
    const desk = await upstream.desk();
    expect(await desk.read(NAME)).toBe('notMine');
  });

  it.each<[string, Answerer, string]>([
    ['fails', (_, response) => void response.writeHead(500).end(), 'answered 500'],
    ['is slow to begin', (): void => {}, 'did not answer within 1000 ms'],
    ['is slow to end', (_, response) => void response.write('a'), 'did not answer within 1000 ms'],
    ['closes the connection', (request) => void request.socket.destroy(), 'cannot be reached: UND_ERR_SOCKET'],
    [
      'promises more than it gives',
      (request, response) => {
        response.writeHead(200, { 'content-length': '10' });
        response.write('abc', () => request.socket.end());
      },
      'cannot be reached',
    ],
    [
      'gives more than it promised',
      (request) => void request.socket.end('HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nabc'),
      'never',
    ],
    [
      'announces too much',
      (_, response) => void response.writeHead(200, { 'content-length': String(2 ** 30) }).write('a'),
      'returned more than 1048576 bytes',
    ],
    [
      'gives too much',
      (_, response) => {
        const more = (): void => void response.write('x'.repeat(65_536), more);
        more();
      },
      'returned more than 1048576 bytes',
    ],
    [
      'redirects',
      (_, response) => void response.writeHead(302, { location: '/b' }).end(),
      'a redirect, which is not allowed',
    ],
    [
      'compresses',
      (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
      'answered with the content coding gzip',
    ],
    ['speaks no HTTP', (request) => void request.socket.end('hello\r\n\r\n'), 'cannot be reached'],
  ])('that %s costs its request, or a stale copy is served', async (_, answer, message) => {
    const upstream = await Upstream.start();
    const desk = await upstream.desk({}, '/boot/{mac}');
    upstream.answer = answer;
    const first = await desk.read(NAME);
    // Bytes beyond the announced length are not part of the answer.
    const told = `busy: route 1 \\(\\{mac\\}\\.ipxe\\), http://.*: .*`;
    expect(first).toMatch(
      new RegExp(message === 'never' ? `^(?:a|${told}cannot be reached.*)$` : `^${told}${message}`),
    );
    expect(first).not.toContain('\n');
    if (message === 'never') return;

    upstream.answer = (__, response) => void response.end('good');
    expect(await desk.read(NAME)).toBe('good');
    upstream.answer = answer;
    const isTooLarge = message.startsWith('returned more');
    expect(await desk.read(NAME, { local: '192.0.2.2' })).toBe('good');
    expect(desk.warnings.at(-1)).toMatch(/^a stale copy is served: route 1/);
    expect(desk.routes.stats().outcomes.stale).toBe(1);
    // A failed upstream is not asked again for a moment; an oversized answer does not count as a failure.
    const before = upstream.seen.length;
    expect(await desk.read(NAME, { local: '192.0.2.3' })).toBe('good');
    expect(upstream.seen.length).toBe(isTooLarge ? before + 1 : before);
  });

  it('that is down fails only its own request', async () => {
    const desk = await Desk.open({}, [{ match: 'a', upstream: 'http://127.0.0.1:1/' }]);
    expect(await desk.read('a')).toContain('ECONNREFUSED');
  });

  it('may redirect within its origin where that is allowed, and nowhere else', async () => {
    const upstream = await Upstream.start();
    const other = await Upstream.start();
    const desk = await upstream.desk({ redirects: 1 });
    upstream.answer = ({ url }, response) =>
      void (url === '/b' ? response.end('there') : response.writeHead(302, { location: '/b' }).end());
    expect(await desk.read(NAME)).toBe('there');
    upstream.answer = (_, response) => void response.writeHead(302, { location: `${other.origin}/b` }).end();
    expect(await desk.read('52-54-00-00-00-02.ipxe')).toContain('a redirect to another origin');
    upstream.answer = (_, response) => void response.writeHead(302, { location: '/c' }).end();
    expect(await desk.read('52-54-00-00-00-03.ipxe')).toContain('names no location');
    expect(other.seen).toEqual([]);
  });

  it('is asked once for one URL, and with the ETag from then on', async () => {
    const upstream = await Upstream.start();
    let whole = 0;
    upstream.answer = ({ headers }, response) => {
      if (headers['if-none-match'] === '"1"') return void response.writeHead(304).end();
      whole++;
      setTimeout(() => response.writeHead(200, { etag: '"1"' }).end('menu'), 50);
    };
    const desk = await Desk.open({}, [{ match: '{name}.ipxe', upstream: `${upstream.origin}/{name}` }]);
    const all = Array.from({ length: 50 }, (_, at) => desk.read('menu.ipxe', { client: `192.0.2.${at}` }));
    expect(new Set(await Promise.all(all))).toEqual(new Set(['menu']));
    expect([whole, upstream.seen.length]).toEqual([1, 1]);
    expect(await desk.read('menu.ipxe', { client: '192.0.2.99' })).toBe('menu');
    expect([whole, upstream.seen.length]).toEqual([1, 2]);
  });

  it('that fails does not disturb others', async () => {
    const upstream = await Upstream.start();
    upstream.answer = (): void => {};
    const desk = await Desk.open({ 'a.liquid': 'fine' }, [
      { match: '{mac}.ipxe', upstream: `${upstream.origin}/x`, timeoutMs: 1000 },
      { match: 'fine/{name}', template: 'a.liquid' },
    ]);
    // More than the 24 connections that unknown nodes may have.
    const slow = Array.from({ length: 40 }, (_, at) => desk.read(`5254000000${at.toString(16).padStart(2, '0')}.ipxe`));
    let isOver = false;
    void Promise.race(slow).then(() => {
      isOver = true;
    });
    const others = Array.from({ length: 50 }, (_, at) => desk.read(`fine/${at}`));
    expect(new Set(await Promise.all(others))).toEqual(new Set(['fine']));
    expect(isOver).toBe(false);
    expect((await Promise.all(slow)).every((text) => text.includes('did not answer within'))).toBe(true);
  });
});
