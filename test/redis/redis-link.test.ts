/** The link to Debian's redis-server: deadlines, breaker, reconnection, Sentinel, and one line for each bad input. */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openRedis, type RedisLink, type RedisOptions, type RedisState } from '../../src/redis/redis-link.ts';
import { parseRedisAddress } from '../../src/redis/redis-url.ts';
import { folder } from '../boot-set/fixture.ts';
import { hasRedis, RedisServer } from '../support/redis-server.ts';
import { keyPairFiles } from '../support/tls-files.ts';

interface Watched {
  readonly link: RedisLink;
  /** Resolves once the link is in this state. */
  readonly until: (state: RedisState) => Promise<void>;
}

function open(address: string, more: Partial<RedisOptions> = {}): Watched {
  const link = openRedis({ address: parseRedisAddress(address)!, prefix: 'fleet', ...more });
  onTestFinished(() => link.close());
  const waiting: [RedisState, () => void][] = [];
  link.onState((state) => {
    for (const [wanted, resolve] of waiting.splice(0)) {
      if (wanted === state) resolve();
      else waiting.push([wanted, resolve]);
    }
  });
  const until = (state: RedisState): Promise<void> =>
    link.state === state ? Promise.resolve() : new Promise((resolve) => waiting.push([state, resolve]));
  return { link, until };
}

/** Resolves to the link's trouble once it has one. */
async function trouble(link: RedisLink): Promise<string> {
  // oxlint-disable-next-line no-await-in-loop -- it waits for an event that has no listener.
  while (link.trouble === undefined) await new Promise((resolve) => setImmediate(resolve));
  return link.trouble;
}

describe.runIf(hasRedis)('a link to redis-server', { timeout: 30_000 }, () => {
  it('runs commands below its prefix, several in one write, and gives refusals as they come', async () => {
    const server = await RedisServer.start();
    const { link, until } = open(`redis://127.0.0.1:${server.port}`);
    await expect(link.run(['GET', link.key('a')])).rejects.toMatchObject({ failure: 'down' });
    await until('up');
    expect(link.key('a', 'b')).toBe('fleet:a:b');
    expect(await link.run(['SET', link.key('a'), 7])).toBe('OK');
    const answers = await link.batch([
      ['GET', link.key('a')],
      ['LPUSH', link.key('a'), 1],
      ['GET', link.key('b')],
    ]);
    expect(answers).toMatchObject(['7', { failure: 'refused', message: expect.stringMatching(/^WRONGTYPE/) }, null]);
    await expect(link.run(['INCR'])).rejects.toMatchObject({ failure: 'refused' });
    expect(server.cli('keys', '*').split('\n').toSorted()).toEqual(['fleet:a', 'fleet:probe']);
  });

  it('cuts a command off at its deadline when the server freezes, then fails at once until it goes on', async () => {
    const server = await RedisServer.start();
    const { link, until } = open(`redis://127.0.0.1:${server.port}`);
    await until('up');
    server.signal('SIGSTOP');
    const from = performance.now();
    const waiting = Array.from({ length: 50 }, () => link.run(['GET', link.key('a')]));
    const ends = await Promise.allSettled(waiting);
    expect(performance.now() - from).toBeLessThan(1_000);
    expect(new Set(ends.map(({ status }) => status))).toEqual(new Set(['rejected']));
    expect(link.state).toBe('down');
    expect(link.trouble).toBe(`127.0.0.1:${server.port}: no answer within 100 ms`);
    const at = performance.now();
    await expect(link.run(['GET', link.key('a')])).rejects.toMatchObject({ failure: 'down' });
    expect(performance.now() - at).toBeLessThan(20);
    server.signal('SIGCONT');
    await until('up');
    expect(await link.run(['PING'])).toBe('PONG');
  });

  it('comes back to a server that was killed, with its subscriptions', async () => {
    const server = await RedisServer.start();
    const { link, until } = open(`redis://127.0.0.1:${server.port}`);
    const heard: string[] = [];
    let ring = (): void => {};
    await link.subscribe('moves', (text) => {
      heard.push(text);
      ring();
    });
    await until('up');
    const notice = async (text: string): Promise<void> => {
      const rung = new Promise<void>((resolve) => {
        ring = resolve;
      });
      await link.run(['PUBLISH', link.key('moves'), text]);
      await rung;
    };
    await notice('one');
    await server.end();
    await until('down');
    expect(link.trouble).toMatch(/^127\.0\.0\.1:\d+: (?:the server closed the connection|.*ECONN(?:RESET|REFUSED).*)$/);
    await server.restart();
    await until('up');
    await notice('two');
    expect(heard).toEqual(['one', 'two']);
  });

  it('follows Sentinel to the new master when the old one freezes', async () => {
    const master = await RedisServer.start(['repl-diskless-sync-delay 0']);
    const replica = await RedisServer.start([`replicaof 127.0.0.1 ${master.port}`]);
    const sentinel = await RedisServer.sentinel(master.port, 'boot');
    const { link, until } = open(`redis+sentinel://127.0.0.1:${sentinel.port}/boot`);
    await until('up');
    await link.run(['SET', link.key('a'), 'kept']);
    const isReady = (): boolean =>
      replica.cli('get', 'fleet:a') === 'kept' &&
      sentinel.cli('sentinel', 'replicas', 'boot').includes(String(replica.port));
    await expect.poll(isReady, { timeout: 30_000 }).toBe(true);
    master.signal('SIGSTOP');
    await expect(link.run(['GET', link.key('a')])).rejects.toMatchObject({ failure: 'deadline' });
    await until('up');
    expect(await link.run(['GET', link.key('a')])).toBe('kept');
    expect(replica.cli('get', 'fleet:a')).toBe('kept');
  });

  it('logs in by user and password, over TLS, in its database', async () => {
    const files = await keyPairFiles(folder());
    const tls = [`tls-cert-file ${files.certificate}`, `tls-key-file ${files.key}`, 'tls-auth-clients no'];
    const plain = await RedisServer.start();
    const user = 'user boot on >p%40ss ~fleet:* &fleet:* +@all -@dangerous';
    const server = await RedisServer.start(['tls-port 0', user.replace('%40', '@')]);
    const passwordFile = join(folder(), 'password');
    writeFileSync(passwordFile, 'p@ss\n', { mode: 0o600 });
    const named = open(`redis://boot:p%40ss@127.0.0.1:${server.port}/3`);
    await named.until('up');
    const byFile = open(`redis://boot@127.0.0.1:${server.port}`, { passwordFile });
    await byFile.until('up');
    await named.link.run(['SET', named.link.key('a'), 1]);
    expect(server.cli('-n', '3', 'get', 'fleet:a')).toBe('1');
    await expect(named.link.run(['SET', 'other', 1])).rejects.toMatchObject({ failure: 'refused' });
    const secure = await RedisServer.start([...tls, `tls-port ${plain.port + 1}`]);
    expect(secure.port).toBeGreaterThan(0);
    const { until } = open(`rediss://127.0.0.1:${plain.port + 1}`, { caFile: files.certificate });
    await until('up');
    expect(readFileSync(files.certificate, 'utf8')).toContain('BEGIN CERTIFICATE');
  });

  it('says in one line what is wrong', async () => {
    const files = await keyPairFiles(folder());
    const tls = [`tls-cert-file ${files.certificate}`, `tls-key-file ${files.key}`, 'tls-auth-clients no'];
    const locked = await RedisServer.start(['requirepass secret', 'rename-command EVAL ""']);
    const secure = await RedisServer.start([...tls, `tls-port ${locked.port + 1}`]);
    const at = `127.0.0.1:${locked.port}`;
    const said = async (address: string, more: Partial<RedisOptions> = {}): Promise<string> =>
      await trouble(open(address, more).link);
    expect(await said(`redis://:wrong@${at}`)).toMatch(
      /^127\.0\.0\.1:\d+: expected a user and a password that the server accepts, got WRONGPASS [^\n]*$/,
    );
    expect(await said(`redis://${at}`)).toMatch(/expected a user and a password that the server accepts, got NOAUTH/);
    const probe: RedisOptions['probe'] = (key) => [['EVAL', "return 'secret words'", 1, key('probe')]];
    expect(await said(`redis://:secret@${at}`, { probe })).toMatch(
      /: expected a server with this command, got ERR unknown command 'EVAL'$/,
    );
    expect(await said(`rediss://:secret@${at}`)).toMatch(/: expected TLS \(rediss\), got no answer$/);
    expect(await said(`redis://127.0.0.1:${locked.port + 1}`)).toMatch(
      /: expected a server without TLS, got a closed connection: with TLS it is rediss$/,
    );
    expect(await said(`rediss://127.0.0.1:${locked.port + 1}`)).toMatch(
      /: expected a certificate that pinsCaFile or the system trusts, got self-signed certificate$/,
    );
    await secure.end();
    expect(await said(`redis://127.0.0.1:${secure.port}`)).toMatch(/: connect ECONNREFUSED/);
    expect(await said(`redis+sentinel://127.0.0.1:${locked.port}/boot`)).toMatch(/: Sentinel 127\.0\.0\.1:\d+: /);
    expect(await said(`redis://${at}`, { passwordFile: '/nonexistent/password' })).toMatch(/ENOENT/);
    const open4all = join(folder(), 'password');
    writeFileSync(open4all, 'secret', { mode: 0o644 });
    expect(await said(`redis://${at}`, { passwordFile: open4all })).toMatch(
      /: expected a password file that only its owner can read, got mode 644: chmod 600$/,
    );
  });
});

describe('a link that is closed', { timeout: 30_000 }, () => {
  it('gives a server up that accepts and never answers, and says nothing more', async () => {
    const silent = createServer();
    onTestFinished(() => void silent.close());
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const accepted = once(silent, 'connection') as Promise<[Socket]>;
    const { link } = open(`redis://127.0.0.1:${(silent.address() as AddressInfo).port}`);
    const [socket] = await accepted;
    await once(socket, 'data');
    const states: RedisState[] = [];
    link.onState((state) => states.push(state));
    const from = performance.now();
    const closed = once(socket, 'close');
    await link.close();
    await closed;
    expect(performance.now() - from).toBeLessThan(1500);
    expect(states).toEqual([]);
  });
});

describe('an address of shared pins', () => {
  it('is read with its parts', () => {
    expect(parseRedisAddress('redis://pins.example')).toEqual({
      hosts: [{ host: 'pins.example', port: 6379 }],
      isTls: false,
      master: undefined,
      user: undefined,
      password: undefined,
      database: 0,
    });
    expect(parseRedisAddress('rediss://boot:p%40ss@[2001:db8::1]:7000/4')).toMatchObject({
      hosts: [{ host: '2001:db8::1', port: 7000 }],
      isTls: true,
      user: 'boot',
      password: 'p@ss',
      database: 4,
    });
    expect(parseRedisAddress('redis+sentinel://:pw@a,b:26380/boot/2')).toMatchObject({
      hosts: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 26_380 },
      ],
      master: 'boot',
      password: 'pw',
      database: 2,
    });
  });

  it.each([
    'http://pins.example',
    'redis://',
    'redis://a,b',
    'redis://a:0',
    'redis://a:70000',
    'redis://a/x',
    'redis://a b',
    'redis://%zz@a',
    'redis+sentinel://a',
    'redis+sentinel://a/boot/x',
    'redis://a?x=1',
  ])('is refused: %s', (text) => {
    expect(parseRedisAddress(text)).toBeUndefined();
  });
});
