/** Clients that break off, ask in an unusual order, or misuse the protocol: none may cost another one anything. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Address, HttpOptions, Source } from '../../src/index.ts';
import { temporaryFolder } from '../content/fixture.ts';
import { seededBytes } from '../support/content.ts';
import { RawHttp, rawGet } from '../support/raw-http.ts';
import { type FolderOptions, type LiveServer, serveFolder } from '../support/server.ts';

const LARGE = seededBytes(1, 24 * 1024 * 1024);
const SMALL = 'default linux\n';
const ANY = [{ address: '127.0.0.1', port: 0 }];

async function serve(
  http: Partial<HttpOptions> = {},
  options: FolderOptions = {},
): Promise<{ readonly live: LiveServer; readonly at: Address }> {
  const root = temporaryFolder();
  writeFileSync(join(root, 'large'), LARGE);
  writeFileSync(join(root, 'small'), SMALL);
  const live = await serveFolder(root, { ...options, http: { listen: ANY, threads: 2, ...http } });
  onTestFinished(async () => void (await live.server.stop(0)));
  return { live, at: live.server.httpAddresses[0]! };
}

describe('CONNECT', () => {
  it('followed by a reset does not end the thread', async () => {
    const { live, at } = await serve();
    for (let turn = 0; turn < 20; turn++) {
      const client = new RawHttp(at).send('CONNECT x:1 HTTP/1.1\r\n\r\n');
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      await client.until((bytes) => bytes.length > 0);
      client.socket.resetAndDestroy();
    }
    expect((await rawGet(at, '/small')).body.toString()).toBe(SMALL);
    expect(live.server.stats().http).toMatchObject({ threadsLostTotal: 0 });
  });

  it('behind another request does not change the bytes of its answer', async () => {
    const { live, at } = await serve();
    const client = new RawHttp(at).send('GET /large HTTP/1.1\r\n\r\nCONNECT x:1 HTTP/1.1\r\n\r\n');
    const all = await client.all();
    const body = all.subarray(all.indexOf('\r\n\r\n') + 4);
    expect(body.equals(LARGE.subarray(0, body.length))).toBe(true);
    expect(live.server.stats().http).toMatchObject({ threadsLostTotal: 0 });
  });
});

describe('what is not HTTP behind good requests', () => {
  it.each([
    ['garbage', '\0\r\n\r\n', 400],
    ['a head that is too large', `GET / HTTP/1.1\r\nX: ${'x'.repeat(9000)}\r\n\r\n`, 431],
    ['a head that never ends', 'GET / HTTP/1.1\r\nX', 408],
  ])('gets its status after their whole answers: %s', async (_, text, status) => {
    const { live, at } = await serve({ timeouts: { headMs: 300 } });
    const client = new RawHttp(at).send(`GET /large HTTP/1.1\r\n\r\nGET /small HTTP/1.1\r\n\r\n${text}`);
    // Reading waits until the malformed head has been noticed.
    client.socket.pause();
    await expect.poll(() => live.server.stats().http?.malformedTotal, { timeout: 10_000 }).toBe(1);
    client.socket.resume();
    expect((await client.answer()).body.equals(LARGE)).toBe(true);
    expect((await client.answer()).body.toString()).toBe(SMALL);
    expect(await client.answer()).toMatchObject({ status });
    expect(await client.all()).toHaveLength(0);
    expect(live.server.stats().http).toMatchObject({ malformedTotal: 1 });
  });
});

describe('a client that sends no more after its request', () => {
  it.each(['GET /large HTTP/1.0\r\n\r\n', 'GET /large HTTP/1.1\r\n\r\n'])('gets its answer: %j', async (request) => {
    const { at } = await serve();
    const client = new RawHttp(at);
    await once(client.socket, 'connect');
    client.socket.end(request);
    expect((await client.answer()).body.equals(LARGE)).toBe(true);
    await client.all();
  });
});

describe('a request behind the last one of its connection', () => {
  it('does not hold its content after the connection has closed', async () => {
    const { live, at } = await serve();
    const body = 'GET /small HTTP/1.1\r\nContent-Length: 1\r\n\r\nx';
    const client = new RawHttp(at).send(`${body}GET /large HTTP/1.1\r\n\r\n`.repeat(4));
    await client.all();
    await expect.poll(() => live.server.stats().http).toMatchObject({ connections: 0, sending: 0, waiting: 0 });
  });
});

describe.each(['linux', 'portable'] as const)('a storm of connections, %s engine', (engine) => {
  it('finds room to wait for 4,096, or what the system allows', async () => {
    const { at } = await serve({}, { engine });
    const line = execFileSync('ss', ['-ltnH', `sport = :${at.port}`]).toString();
    const most = Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'));
    expect(Number(line.trim().split(/\s+/)[2])).toBe(Math.min(4096, most));
  });
});

describe('clients that wait for a content', () => {
  it('cost a handful of lookups each, not one every 50 ms', async () => {
    let lookups = 0;
    const source: Source = {
      open: () => {
        lookups++;
        return { kind: 'busy', reason: 'not yet' };
      },
    };
    const { at } = await serve({ timeouts: { waitMs: 1500 } }, { before: [source] });
    expect((await rawGet(at, '/later')).status).toBe(503);
    expect(lookups).toBeLessThanOrEqual(6);
  });
});
