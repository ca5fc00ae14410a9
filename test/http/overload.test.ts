/** Limits, slow and broken clients, threads that die, and the end of the server. */
import { EventEmitter, once } from 'node:events';
import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Address, HttpOptions, Source } from '../../src/index.ts';
import { temporaryFolder } from '../content/fixture.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { HostileHeads } from '../support/hostile-heads.ts';
import { Random } from '../support/random.ts';
import { RawHttp, rawGet } from '../support/raw-http.ts';
import { type FolderOptions, type LiveServer, serveFolder } from '../support/server.ts';

/** More than the kernel and both ends keep for a client that does not read. */
const LARGE = seededBytes(1, 24 * 1024 * 1024);
const SMALL = 'default linux\n';

/** Written once: each server's root has a link to it. */
const place = mkdtempSync(join(tmpdir(), 'reveille-overload-'));
beforeAll(() => writeFileSync(join(place, 'large'), LARGE));
afterAll(() => rmSync(place, { recursive: true }));

interface Served {
  readonly live: LiveServer;
  readonly at: Address;
  readonly root: string;
}

/** @param http by default one thread sends. */
async function serve(http: Partial<HttpOptions> = {}, options: FolderOptions = {}): Promise<Served> {
  const root = join(temporaryFolder(), 'root');
  mkdirSync(root);
  linkSync(join(place, 'large'), join(root, 'large'));
  writeFileSync(join(root, 'small'), SMALL);
  const listen = [{ address: '127.0.0.1', port: 0 }];
  const live = await serveFolder(root, { ...options, http: { listen, threads: 1, ...http } });
  onTestFinished(async () => void (await live.server.stop(0)));
  return { live, at: live.server.httpAddresses[0]!, root };
}

/** Begins a download and reads no more than its head. */
async function beginLarge(at: Address): Promise<RawHttp> {
  const client = new RawHttp(at);
  client.send('GET /large HTTP/1.1\r\n\r\n');
  await client.until((bytes) => bytes.length > 0);
  client.socket.pause();
  return client;
}

const ENGINES = ['linux', 'portable'] as const;

describe('limits', () => {
  it('closes connections above the total limit, without an answer', async () => {
    const { live, at } = await serve({ connections: 3, threads: 2 });
    const open = await Promise.all([beginLarge(at), beginLarge(at), beginLarge(at)]);
    expect((await new RawHttp(at).send('GET /small HTTP/1.1\r\n\r\n').all()).length).toBe(0);
    expect(live.server.stats().http).toMatchObject({ connections: 3, refusedTotal: 1, sending: 3 });
    for (const client of open) client.close();
    await Promise.all([1, 2, 3].map(() => live.transfer(({ outcome }) => outcome === 'clientError')));
    expect((await rawGet(at, '/small')).body.toString()).toBe(SMALL);
  });

  it('closes the connection that has been idle for longest when another one needs its place', async () => {
    const { live, at } = await serve({ connections: 2 });
    const get = 'GET /small HTTP/1.1\r\n\r\n';
    const [first, second] = [new RawHttp(at), new RawHttp(at)];
    await first.send(get).answer();
    await second.send(get).answer();
    await first.send(get).answer();
    expect((await rawGet(at, '/small')).status).toBe(200);
    expect((await second.all()).length).toBe(0);
    expect((await first.send(get).answer()).status).toBe(200);
    expect(live.server.stats().http).toMatchObject({ refusedTotal: 0 });
  });

  it('counts connections of an address with its transfers, and leaves those of others alone', async () => {
    const { live, at } = await serve({ threads: 2 }, { limits: { sessionsPerAddress: 2 } });
    const open = await Promise.all([beginLarge(at), beginLarge(at)]);
    expect((await new RawHttp(at).send('GET /small HTTP/1.1\r\n\r\n').all()).length).toBe(0);
    expect(live.warnings.join('\n')).toContain('an address has its share of transfers');
    const other = await new RawHttp(at, { local: '127.0.0.2' }).send('GET /small HTTP/1.1\r\n\r\n').answer();
    expect(other.status).toBe(200);
    for (const client of open) client.close();
  });

  it('closes connections of addresses that may not ask, whatever their requests say', async () => {
    const { at } = await serve({}, { mayAsk: (address) => address !== '127.0.0.1' });
    const forged = 'GET /small HTTP/1.1\r\nX-Forwarded-For: 127.0.0.2\r\nForwarded: for=127.0.0.2\r\n\r\n';
    expect((await new RawHttp(at).send(forged).all()).length).toBe(0);
    const other = await new RawHttp(at, { local: '127.0.0.2' }).send('GET /small HTTP/1.1\r\n\r\n').answer();
    expect(other.status).toBe(200);
  });

  it('refuses heads above 8 KiB, and names above what TFTP takes find nothing', async () => {
    const { at } = await serve();
    expect((await rawGet(at, '/small', [`X: ${'x'.repeat(9000)}`])).status).toBe(431);
    expect((await rawGet(at, `/${'x'.repeat(4000)}`)).status).toBe(404);
  });

  it('ends a connection with more requests under way than a client sends', async () => {
    const { at } = await serve();
    const all = await new RawHttp(at).send('GET /small HTTP/1.1\r\n\r\n'.repeat(500)).all();
    expect(all.toString('latin1').split('HTTP/1.1 200 OK').length).toBeLessThan(20);
    expect((await rawGet(at, '/small')).status).toBe(200);
  });
});

describe('slow clients', () => {
  it('have a limited time for a head, a handful of bytes at a time or none', async () => {
    const { live, at } = await serve({ timeouts: { headMs: 300 } });
    const silent = new RawHttp(at);
    const dripping = new RawHttp(at).send('GET /sm');
    const timer = setInterval(() => dripping.socket.writable && dripping.send('a'), 40);
    onTestFinished(() => clearInterval(timer));
    for (const client of [silent, dripping]) {
      // oxlint-disable-next-line no-await-in-loop -- both are closed by the server.
      expect((await client.all()).toString('latin1')).toMatch(/^$|^HTTP\/1\.1 408 Request Timeout\r\n/);
    }
    // Both are counted out by the time that a connection made after them is counted.
    await expect.poll(() => live.server.stats().http!.connections).toBe(0);
  });

  it('lose their connection when they accept no byte for too long, which counts as a timeout', async () => {
    const { live, at } = await serve({ timeouts: { stallMs: 300 } });
    const client = await beginLarge(at);
    expect(await live.transfer(({ file }) => file === 'large')).toMatchObject({ outcome: 'timeout', protocol: 'http' });
    client.close();
  });

  it('make progress with each part of a slice that they accept', async () => {
    // The Linux engine writes slices only where sendfile(2) can't be used.
    const { live, at } = await serve({}, { engine: 'portable' });
    const client = await beginLarge(at);
    const bytes = (): number => live.server.transfers().find(({ file }) => file === 'large')?.bytes ?? 0;
    // Slices are multiples of 64 KiB; what fits between the two ends is none.
    await expect.poll(() => bytes() % (64 * 1024), { timeout: 10_000 }).toBeGreaterThan(0);
    expect(bytes()).toBeLessThan(LARGE.length);
    client.close();
  });

  it('keep it while they accept bytes', async () => {
    const { live, at } = await serve({ timeouts: { stallMs: 600 } });
    const client = await beginLarge(at);
    let isSlow = true;
    let pauses = 0;
    const stirred = new EventEmitter();
    client.socket.on('data', () => {
      if (!isSlow) return;
      client.socket.pause();
      setTimeout(() => client.socket.resume(), 5);
      if (++pauses === 240) stirred.emit('slow');
    });
    client.socket.resume();
    // 240 pauses of 5 ms take twice the time that a client may stall.
    await once(stirred, 'slow');
    expect(live.transfers).toEqual([]);
    isSlow = false;
    expect((await client.answer()).body.equals(LARGE)).toBe(true);
    client.close();
  });

  it('may be silent between requests for longer than a head may take', async () => {
    const { at } = await serve({ timeouts: { headMs: 200 } });
    const client = new RawHttp(at).send('GET /small HTTP/1.1\r\n\r\n');
    await client.answer();
    // A head that begins now has taken too long when its connection is closed.
    await new RawHttp(at).send('GET /small').all();
    expect((await client.send('GET /small HTTP/1.1\r\n\r\n').answer()).body.toString()).toBe(SMALL);
    client.close();
  });

  it('are not waited for between requests for longer than keep-alive lasts', async () => {
    const { at } = await serve({ timeouts: { keepAliveMs: 200 } });
    const client = new RawHttp(at).send('GET /small HTTP/1.1\r\n\r\n');
    const all = await client.all();
    expect(all.toString('latin1').endsWith(SMALL)).toBe(true);
  });
});

describe('content that is not available now', () => {
  function busyUntil(ready: () => boolean): Source {
    return {
      open: ({ filename }) =>
        filename === 'later' && !ready() ? { kind: 'busy', reason: 'not yet' } : { kind: 'notMine' },
    };
  }

  it('is waited for, and then served', async () => {
    let asked = 0;
    const { at } = await serve({}, { before: [busyUntil(() => ++asked > 3)] });
    expect((await rawGet(at, '/later')).status).toBe(404);
    expect(asked).toBe(4);
  });

  it('gets a 503 that says when to ask again', async () => {
    const { live, at } = await serve({ timeouts: { waitMs: 200 } }, { before: [busyUntil(() => false)] });
    const { head } = await rawGet(at, '/later');
    expect(head).toBe(
      'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nDate: -\r\nConnection: keep-alive\r\n' +
        'Keep-Alive: timeout=75\r\n\r\n',
    );
    expect(live.server.stats().http!.overloadedTotal).toBe(1);
    expect(live.warnings.join('\n')).toContain('not yet');
  });

  it('is no overload and no warning when the client resets the connection before', async () => {
    const { live, at } = await serve({}, { before: [busyUntil(() => false)] });
    const client = new RawHttp(at).send('GET /later HTTP/1.1\r\n\r\n');
    await expect.poll(() => live.server.stats().http!.waiting).toBe(1);
    client.socket.resetAndDestroy();
    await expect.poll(() => live.server.stats().http!.waiting).toBe(0);
    expect(live.server.stats().http!.overloadedTotal).toBe(0);
    expect(live.warnings.join('\n')).not.toContain('content unavailable');
  });

  it('is released when the client disconnects before it arrives', async () => {
    const signals = new EventEmitter();
    const [asked, late, released] = ['asked', 'late', 'released'].map((name) => once(signals, name));
    const source: Source = {
      open: async () => {
        signals.emit('asked');
        await late;
        const handle = { buffer: new SharedArrayBuffer(4), length: 4 };
        return { kind: 'content', handle, label: 'late', release: () => void signals.emit('released') };
      },
    };
    const { at } = await serve({}, { before: [source] });
    const client = new RawHttp(at).send('GET /x HTTP/1.1\r\n\r\n');
    await asked;
    client.close();
    signals.emit('late');
    expect(await released).toEqual([]);
  });
});

describe('heads that are not HTTP', () => {
  // `npm run test:http` sends 100,000 of them.
  const COUNT = 400;

  it(`do no harm, whatever their bytes (REVEILLE_SEED=${SEED})`, { timeout: 60_000 }, async () => {
    const { live, at, root } = await serve();
    writeFileSync(join(root, '../secret'), 'outside the root');
    const random = new Random(SEED);
    const heads = new HostileHeads(root, 'secret');
    const one = async (): Promise<string> => {
      const client = new RawHttp(at);
      client.socket.end(heads.next(random));
      return (await client.all()).toString('latin1');
    };
    for (let made = 0; made < COUNT; made += 20) {
      // oxlint-disable-next-line no-await-in-loop -- twenty at a time, in the order of the seed.
      const answers = await Promise.all(Array.from({ length: 20 }, one));
      for (const text of answers) expect(text).toMatch(/^$|^HTTP\/1\.1 [234]\d\d /);
      for (const text of answers) expect(text).not.toMatch(/root:|outside the root/);
    }
    expect((await rawGet(at, '/small')).body.toString()).toBe(SMALL);
    expect(live.server.stats().http).toMatchObject({ threadsLostTotal: 0 });
  });
});

describe('a thread that throws', () => {
  it('ends only its own transfers, and is replaced', async () => {
    const thread = new URL('../support/faulty-http-thread.mjs', import.meta.url);
    const { live, at } = await serve({ thread, threads: 2 });
    const downloads = await Promise.all(Array.from({ length: 8 }, () => beginLarge(at)));
    expect((await new RawHttp(at).send('GET /throw HTTP/1.1\r\n\r\n').all()).length).toBe(0);
    const bodies = await Promise.allSettled(
      downloads.map((client) => {
        client.socket.resume();
        return client.answer();
      }),
    );
    const whole = bodies.filter((body) => body.status === 'fulfilled');
    expect(whole.every(({ value }) => value.body.equals(LARGE))).toBe(true);
    const lost = live.transfers.filter(({ outcome }) => outcome === 'aborted');
    expect(lost.length + whole.length).toBe(8);
    for (const { fault } of lost) expect(fault).toBe('Its thread was lost');
    expect(live.warnings.join('\n')).toContain('Planted fault');
    // Connections that come meanwhile wait for a thread.
    const after = await Promise.all(Array.from({ length: 20 }, () => rawGet(at, '/small')));
    expect(after.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    expect(live.server.stats().http).toMatchObject({ threadsLostTotal: 1 });
    for (const client of downloads) client.close();
  });
});

describe.each(ENGINES)('stopping with the %s engine', (engine) => {
  it('lets bodies finish, ends idle connections, and accepts no more', async () => {
    const { live, at } = await serve({}, { engine });
    const idle = new RawHttp(at).send('GET /small HTTP/1.1\r\n\r\n');
    await idle.answer();
    const download = await beginLarge(at);
    const stopped = live.server.stop(60_000);
    await once(idle.socket, 'close');
    const late = connect(at.port, at.address);
    const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toMatch(/^ECONNRE/);
    download.socket.resume();
    expect((await download.answer()).body.equals(LARGE)).toBe(true);
    await once(download.socket, 'close');
    expect(await stopped).toBe(0);
  });

  it('ends unfinished answers after the drain, and reports this', async () => {
    const { live, at } = await serve({}, { engine });
    const download = await beginLarge(at);
    expect(await live.server.stop(50)).toBe(1);
    expect(live.transfers).toMatchObject([{ outcome: 'aborted', fault: 'The server stopped' }]);
    download.close();
  });
});
