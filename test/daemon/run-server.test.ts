import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Interrupts } from '../../src/daemon/interrupts.ts';
import { runServer } from '../../src/daemon/run-server.ts';
import { defaultSettings, type Settings } from '../../src/config/settings.ts';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import type { FileMemory } from '../../src/bytes/shared-bytes.ts';
import type { Server, ServerOptions } from '../../src/server/types.ts';
import { lastingPort } from '../support/ports.ts';
import { FakeServer, folder, KeptLog, refusalRecord, transferRecord } from '../support/reveille.ts';

interface Run {
  readonly log: KeptLog;
  readonly interrupts: Interrupts;
  readonly server: FakeServer;
  readonly ended: Promise<number>;
  /** Options that the server was started with. */
  readonly options: () => ServerOptions;
  readonly stderr: () => string;
}

function run(change: Partial<Settings> = {}, start?: (server: FakeServer) => Promise<Server>, config?: string): Run {
  const log = new KeptLog();
  const interrupts = new Interrupts();
  const server = new FakeServer();
  let said = '';
  let options: ServerOptions | undefined;
  const settings = { ...defaultSettings(), root: folder(), admin: { address: '127.0.0.1', port: 0 }, ...change };
  const ended = runServer({
    settings,
    ...(config === undefined ? {} : { config: { file: config, read: () => settings } }),
    target: log,
    interrupts,
    stderr: {
      write: (text: string) => {
        said += text;
      },
    },
    version: '1.2.3',
    start: (given) => {
      options = given;
      return start === undefined ? Promise.resolve(server) : start(server);
    },
  });
  return { log, interrupts, server, ended, options: () => options!, stderr: () => said };
}

describe('a server run', () => {
  it('logs its addresses when it is ready, and ends with 0 after one signal', async () => {
    const { log, interrupts, server, ended, stderr } = run();
    const line = await log.line('listening');
    expect(line).toMatchObject({ addresses: ['127.0.0.1:6969'], engine: 'portable', version: '1.2.3' });
    const ready = `http://${String(line['admin'])}/readyz`;
    expect((await fetch(ready)).status).toBe(200);
    interrupts.emit('signal', 'SIGTERM');
    expect(await log.line('stopping')).toMatchObject({ reason: 'SIGTERM', drainMs: 30_000 });
    expect((await fetch(ready)).status).toBe(503);
    server.settle(0);
    expect(await ended).toBe(0);
    expect(server.stops).toEqual([30_000]);
    expect(log.closed).toBe(true);
    expect(stderr()).toBe('');
    await expect(fetch(ready)).rejects.toThrow('fetch failed');
    expect(interrupts.listenerCount('signal') + interrupts.listenerCount('fault')).toBe(0);
  });

  it('logs that it listens only when the first address exists', async () => {
    const { log, interrupts, server, ended, options } = run({}, (fake) => {
      fake.addresses = [];
      return Promise.resolve(fake);
    });
    await expect.poll(options).toBeDefined();
    const address = { address: '192.0.2.1', port: 69 };
    server.addresses = [address];
    options().observer.onListening!(address);
    expect(await log.line('listening')).toMatchObject({ addresses: ['192.0.2.1:69'] });
    interrupts.emit('signal', 'SIGTERM');
    server.settle(0);
    expect(await ended).toBe(0);
    expect(log.lines.filter(({ msg }) => msg === 'listening')).toHaveLength(1);
  });

  it.each([
    ['the file of the token', 0o644, true],
    ['the file of the token', 0o640, false],
    ['the config with the token', 0o644, true],
    ['the config with the token', 0o600, false],
  ])('warns if every user can read %s: mode %o, %s', async (which, mode, warns) => {
    const file = join(folder(), 'token');
    writeFileSync(file, 'root: .\napiToken: 0123456789abcdef\n', { mode });
    const apiToken = '0123456789abcdef';
    const isConfig = which.includes('config');
    const { log, interrupts, server, ended } = run(
      isConfig ? { apiToken } : { apiToken, apiTokenFile: file },
      undefined,
      isConfig ? file : undefined,
    );
    await log.line('listening');
    interrupts.emit('signal', 'SIGTERM');
    server.settle(0);
    await ended;
    const told = log.lines.filter(({ msg }) => msg === 'every user of this machine can read the API token');
    expect(told.map((line) => [line.level, line['file']])).toEqual(warns ? [['warn', file]] : []);
  });

  it('shortens the drain at the second signal, and ends with 3 when transfers were cut short', async () => {
    const { log, interrupts, server, ended } = run({ drainMs: 5000 });
    await log.line('listening');
    interrupts.emit('signal', 'SIGINT');
    await log.line('stopping');
    interrupts.emit('signal', 'SIGINT');
    interrupts.emit('signal', 'SIGINT');
    await new Promise(setImmediate);
    expect(server.stops.toSorted((a, b) => b - a)).toEqual([5000, 0]);
    server.settle(4);
    expect(await ended).toBe(3);
    expect(log.lines.at(-1)).toMatchObject({ msg: 'stopped', aborted: 4 });
  });

  it('logs an uncaught error, stops in order and ends with 1', async () => {
    const { log, interrupts, server, ended } = run();
    await log.line('listening');
    interrupts.emit('fault', new TypeError('planted'));
    expect(await log.line('unhandled error')).toMatchObject({ level: 'fatal', error: 'planted' });
    server.settle(0);
    expect(await ended).toBe(1);
    expect(server.stops).toEqual([30_000]);
  });

  it('ends with 1 when stopping fails', async () => {
    const { log, interrupts, server, ended } = run();
    await log.line('listening');
    interrupts.emit('signal', 'SIGTERM');
    server.fail(new Error('planted'));
    expect(await ended).toBe(1);
    expect(log.lines.at(-1)).toMatchObject({ level: 'fatal', msg: 'stopping failed', error: 'planted' });
  });

  it('stops in order when the signal comes while it starts', async () => {
    let finishStart: (server: Server) => void = () => {};
    let begun: () => void = () => {};
    const starting = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const { log, interrupts, server, ended } = run({}, () => {
      begun();
      return new Promise((resolve) => {
        finishStart = resolve;
      });
    });
    await starting;
    interrupts.emit('signal', 'SIGTERM');
    await log.line('stopping');
    finishStart(server);
    server.settle(0);
    expect(await ended).toBe(0);
    expect(log.lines.map((line) => line.msg)).not.toContain('listening');
  });

  it('ends with 1 and one line when the address is in use', async () => {
    const { log, ended, stderr } = run({}, () =>
      Promise.reject(Object.assign(new Error('bind EADDRINUSE 0.0.0.0:69'), { code: 'EADDRINUSE' })),
    );
    expect(await ended).toBe(1);
    expect(stderr()).toBe(
      'reveille: cannot start the server: bind EADDRINUSE 0.0.0.0:69 (is another TFTP server running? Choose another address with --listen ADDR:PORT)\n',
    );
    expect(log.lines).toHaveLength(1);
    expect(log.lines[0]).toMatchObject({ level: 'fatal', code: 'EADDRINUSE' });
  });

  it('is healthy but not ready while it waits for its store, and says why', async () => {
    const store = join(folder(), 'disk/store');
    const port = await lastingPort();
    const { log, interrupts, ended, options } = run({
      store,
      admin: { address: '127.0.0.1', port },
      apiToken: 'a token that nobody guesses',
    });
    await log.line('the folder of the store cannot be reached: waiting for it');
    const url = `http://127.0.0.1:${port}`;
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
    const ready = await fetch(`${url}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([503, 'not ready: the store has not been opened yet\n']);
    const verb = await fetch(`${url}/api/v1/channels`, {
      method: 'POST',
      body: '{}',
      headers: { authorization: 'Bearer a token that nobody guesses' },
    });
    expect([verb.status, await verb.json()]).toEqual([500, { error: 'the store has not been opened yet' }]);
    interrupts.emit('signal', 'SIGTERM');
    expect(await ended).toBe(0);
    expect(options()).toBeUndefined();
    await expect(fetch(`${url}/healthz`)).rejects.toThrow('fetch failed');
  });

  it('ends with 1 when the admin address is in use, without starting the server', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const { ended, options, stderr } = run({ admin: { address: '127.0.0.1', port } });
    expect(await ended).toBe(1);
    expect(options()).toBeUndefined();
    expect(stderr()).toMatch(
      /^reveille: cannot start the admin address: .*EADDRINUSE.*--admin ADDR:PORT.*--no-admin[^\n]*\n$/,
    );
  });

  it('hands the settings on to the server, and serves its root', async () => {
    const root = folder();
    writeFileSync(join(root, 'UPPER'), 'bytes');
    writeFileSync(join(root, 'large'), 'x'.repeat(50_000));
    const { log, interrupts, server, ended, options } = run({
      root,
      admin: false,
      workers: 7,
      sessions: 11,
      queue: 12,
      maxWindowsize: 13,
      maxBlksize: [
        { network: undefined, blksize: 1400 },
        { network: '10.0.0.0/8', blksize: 1300 },
      ],
      acknowledgeTimeout: true,
      caseInsensitive: true,
      immutable: true,
      engine: 'portable',
    });
    expect(await log.line('listening')).toMatchObject({ admin: false, workers: 7 });
    expect(options()).toMatchObject({
      workers: 7,
      engine: 'portable',
      limits: { sessions: 11, queue: 12, maxWindowsize: 13, maxBlksize: 1400, acknowledgeTimeout: true },
    });
    expect(options().maxBlksizeOf?.('10.0.0.1')).toBe(1300);
    expect(options().maxBlksizeOf?.('11.0.0.1')).toBeUndefined();
    const request = { filename: 'upper', mode: 'octet', client: '127.0.0.1', local: '127.0.0.1' } as const;
    const { sources } = options();
    if (typeof sources !== 'function') throw new Error('Expected sources that are told of the engine');
    const mapping: FileMemory = {
      handle: { address: 4096n, length: 50_000 },
      fill: async (_, __, length) => length,
      free: () => {},
    };
    const allocateFile = (): never => expect.fail('Copied, though it was said to be immutable');
    const [directory] = await sources({ mapFile: async () => mapping, allocateFile, clock: new VirtualClock() });
    const large = await directory!.open({ ...request, filename: 'large' });
    expect(large).toMatchObject({ kind: 'content', handle: mapping.handle });
    const [copying] = await sources({ mapFile: undefined, allocateFile: undefined, clock: new VirtualClock() });
    expect(await copying!.open({ ...request, filename: 'UPPER' })).toMatchObject({
      kind: 'content',
      handle: { length: 5 },
    });
    interrupts.emit('signal', 'SIGTERM');
    server.settle(0);
    expect(await ended).toBe(0);
  });

  it('logs and counts the events of the server', async () => {
    const { log, interrupts, server, ended, options } = run({ logLevel: 'debug' });
    const line = await log.line('listening');
    const { observer } = options();
    observer.onTransfer(transferRecord());
    observer.onRefusal(refusalRecord());
    observer.onWarning('worker lost', { reason: 'planted' });
    expect(log.lines.slice(-3).map(({ msg }) => msg)).toEqual(['transfer', 'refused', 'worker lost']);
    const metrics = await (await fetch(`http://${String(line['admin'])}/metrics`)).text();
    expect(metrics).toContain('reveille_transfers_total{outcome="complete",origin="file",protocol="tftp"} 1\n');
    expect(metrics).toContain('reveille_refusals_total{reason="not_found",code="1",protocol="tftp"} 1\n');
    expect(metrics).toContain('reveille_warnings_total 1\n');
    interrupts.emit('signal', 'SIGTERM');
    server.settle(0);
    expect(await ended).toBe(0);
  });
});
