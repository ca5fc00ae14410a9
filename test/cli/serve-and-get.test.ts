/** The built command against itself over the loopback address: serve, get, stop. */
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { runCommand } from '../support/command.ts';
import { folder, Reveille } from '../support/reveille.ts';

interface Serving {
  readonly server: Reveille;
  readonly port: number;
  readonly url: string;
  readonly admin: string;
}

async function serve(root: string, args: readonly string[] = [], nodeArgs: readonly string[] = []): Promise<Serving> {
  const fixed = ['serve', root, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--workers', '1'];
  const server = new Reveille([...fixed, ...args], { nodeArgs });
  const [line] = await server.saying(/^.*"msg":"listening".*$/m);
  const { addresses, admin } = JSON.parse(line) as { addresses: string[]; admin: string };
  const port = Number(addresses[0]!.split(':')[1]);
  return { server, port, url: `tftp://127.0.0.1:${port}`, admin: `http://${admin}` };
}

/** A handwritten lockstep client that sends requests and ACKs when the test says so. */
class HandClient {
  readonly #socket: Socket = createSocket('udp4');
  readonly #port: number;
  #tid = 0;

  constructor(port: number) {
    this.#port = port;
    onTestFinished(() => void this.#socket.close());
  }

  /** Sends bytes to the server and waits for its next packet. */
  async exchange(bytes: Buffer): Promise<Buffer> {
    const answer = once(this.#socket, 'message') as Promise<[Buffer, { port: number }]>;
    this.#socket.send(bytes, this.#tid === 0 ? this.#port : this.#tid, '127.0.0.1');
    const [packet, { port }] = await answer;
    this.#tid = port;
    return packet;
  }

  request(name: string): Promise<Buffer> {
    return this.exchange(Buffer.from(`\0\x01${name}\0octet\0`, 'latin1'));
  }

  ack(block: number): Buffer {
    return Buffer.from([0, 4, block >> 8, block & 0xff]);
  }

  send(bytes: Buffer): void {
    this.#socket.send(bytes, this.#tid, '127.0.0.1');
  }

  next(): Promise<Buffer> {
    return once(this.#socket, 'message').then(([packet]) => packet as Buffer);
  }
}

describe('serve and get', () => {
  it('carry a file unchanged, whatever the options', async () => {
    const root = folder();
    const here = folder();
    const bytes = randomBytes(300_001);
    mkdirSync(join(root, 'boot'));
    writeFileSync(join(root, 'boot', 'linux'), bytes);
    writeFileSync(join(root, 'notes'), 'one\ntwo\r\nthree\r');
    const { server, url } = await serve(root);
    const first = new Reveille(['get', `${url}/boot/linux`], { cwd: here }).ended;
    const gets = [
      [`${url}/boot/linux`, '-o', join(here, 'big'), '--blksize', '65464', '--tsize'],
      [`${url}/boot/linux`, '-o', join(here, 'windows'), '--blksize', '1428', '--windowsize', '16', '--quiet'],
      [`${url}/notes`, '-o', join(here, 'flag'), '--netascii', '--tsize'],
      [`${url}/notes;mode=netascii`, '-o', join(here, 'uri'), '--blksize', '8'],
    ].map((args) => runCommand(['get', ...args]));
    for (const ended of await Promise.all([first, ...gets]))
      expect(ended).toMatchObject({ code: 0, stdout: '', stderr: '' });
    for (const name of ['linux', 'big', 'windows']) expect(readFileSync(join(here, name)).equals(bytes)).toBe(true);
    for (const name of ['flag', 'uri']) expect(readFileSync(join(here, name), 'utf8')).toBe('one\ntwo\r\nthree\r');
    expect(readdirSync(here).toSorted()).toEqual(['big', 'flag', 'linux', 'uri', 'windows']);

    server.process.kill('SIGTERM');
    const { code, signal, stdout, stderr } = await server.ended;
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const transfers = lines.filter(({ msg }) => msg === 'transfer');
    expect(transfers).toHaveLength(5);
    expect(transfers).toContainEqual(
      expect.objectContaining({
        file: 'boot/linux',
        bytes: 300_001,
        blksize: 1428,
        windowsize: 16,
        outcome: 'complete',
      }),
    );
  });

  it('report why there is no file, and leave nothing behind', async () => {
    const here = folder();
    const { url } = await serve(folder());
    const ended = await new Reveille(['get', `${url}/none%1b`], { cwd: here }).ended;
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toMatch(/^reveille: tftp:\/\/\S+\/none%1b: the server refused: error 1: [ -~]+\n$/);
    expect(readdirSync(here)).toEqual([]);
  });

  it('write to stdout on request', async () => {
    const root = folder();
    writeFileSync(join(root, 'f'), 'text'.repeat(1000));
    const { url } = await serve(root);
    expect(await new Reveille(['get', `${url}/f`, '-o', '-']).ended).toMatchObject({
      code: 0,
      stdout: 'text'.repeat(1000),
      stderr: '',
    });
  });
});

describe('get', () => {
  it('leaves nothing and ends with 1 when it is stopped by a signal', async () => {
    const here = folder();
    // This server takes the request and never answers.
    const silent = createSocket('udp4');
    onTestFinished(() => void silent.close());
    silent.bind(0, '127.0.0.1');
    await once(silent, 'listening');
    const get = new Reveille(['get', `tftp://127.0.0.1:${silent.address().port}/f`], { cwd: here });
    await once(silent, 'message');
    expect(readdirSync(here)).toEqual(['f.part']);
    get.process.kill('SIGINT');
    expect(await get.ended).toMatchObject({
      code: 1,
      signal: null,
      stderr: expect.stringMatching(/: stopped by SIGINT\n$/),
    });
    expect(readdirSync(here)).toEqual([]);
  });
});

describe('a stopping server', () => {
  it('lets a running transfer finish and ends with 0', async () => {
    const root = folder();
    writeFileSync(join(root, 'f'), Buffer.alloc(600, 7));
    const { server, port, admin } = await serve(root);
    const client = new HandClient(port);
    expect((await client.request('f')).length).toBe(516);
    server.process.kill('SIGTERM');
    await server.saying(/"msg":"stopping"/);
    expect((await fetch(`${admin}/readyz`)).status).toBe(503);
    const last = await client.exchange(client.ack(1));
    expect([...last.subarray(0, 4)]).toEqual([0, 3, 0, 2]);
    client.send(client.ack(2));
    const { code, signal, stdout } = await server.ended;
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    expect(stdout).toMatch(/"outcome":"complete"[^\n]*\n.*"aborted":0,"msg":"stopped"\}\n$/);
  });

  it.each([
    ['when the drain time is over', '50ms', 1],
    ['at the second signal', '60m', 2],
  ])('aborts the remaining transfers %s, and ends with 3', async (_when, drain, signals) => {
    const root = folder();
    writeFileSync(join(root, 'f'), Buffer.alloc(100_000, 7));
    const { server, port } = await serve(root, ['--drain', drain]);
    const client = new HandClient(port);
    await client.request('f');
    await client.exchange(client.ack(1));
    server.process.kill('SIGTERM');
    await server.saying(/"msg":"stopping"/);
    if (signals === 2) server.process.kill('SIGTERM');
    const { code, signal, stdout } = await server.ended;
    expect({ code, signal }).toEqual({ code: 3, signal: null });
    expect(stdout).toContain('"outcome":"aborted"');
    expect(stdout).toMatch(/"aborted":1,"msg":"stopped"\}\n$/);
  });

  it('ends in order with 1 after an uncaught error', async () => {
    const plant = 'data:text/javascript,process.on("SIGUSR2",()=>{throw new Error("planted")})';
    const { server } = await serve(folder(), [], ['--import', plant]);
    server.process.kill('SIGUSR2');
    const { code, signal, stdout } = await server.ended;
    expect({ code, signal }).toEqual({ code: 1, signal: null });
    expect(stdout).toMatch(/"level":"fatal"[^\n]*"error":"planted","msg":"unhandled error"/);
    expect(stdout).toMatch(/"msg":"stopped"\}\n$/);
  });

  it('that cannot listen ends with 1 and one line', async () => {
    const { port } = await serve(folder());
    const second = await new Reveille(['serve', folder(), '--listen', `127.0.0.1:${port}`, '--no-admin']).ended;
    expect(second).toMatchObject({ code: 1, signal: null });
    expect(second.stderr).toMatch(/^reveille: cannot start the server: [^\n]*EADDRINUSE[^\n]*\n$/);
  });
});

describe('a server whose log', () => {
  const bytes = randomBytes(3000);

  /** Downloads twice: the second download starts after the log line of the first has failed. */
  async function download(url: string): Promise<void> {
    const got = join(folder(), 'got');
    for (let n = 0; n < 2; n++) {
      expect(await runCommand(['get', `${url}/f`, '-o', got])).toMatchObject({ code: 0, stderr: '' });
      expect(readFileSync(got).equals(bytes)).toBe(true);
    }
  }

  it('has lost its reader keeps serving, and stops in order', async () => {
    const root = folder();
    writeFileSync(join(root, 'f'), bytes);
    const { server, url } = await serve(root);
    server.process.stdout.destroy();
    await download(url);
    server.process.kill('SIGTERM');
    expect(await server.ended).toMatchObject({ code: 0, signal: null, stderr: '' });
  });

  it.runIf(existsSync('/dev/full'))('goes to a full disk keeps serving, and stops in order', async () => {
    const root = folder();
    writeFileSync(join(root, 'f'), bytes);
    const args = ['serve', root, '--listen', '127.0.0.1:0', '--no-admin', '--workers', '1', '--hint'];
    const server = new Reveille(args, { stdout: '/dev/full' });
    const [, url] = await server.saying(/^Try: curl -o f (tftp:\/\/\S+)\/f$/m);
    await download(url!);
    server.process.kill('SIGTERM');
    expect(await server.ended).toMatchObject({ code: 0, signal: null });
  });
});

describe('npm start', () => {
  it('serves the example rack and prints a command that fetches from it', async () => {
    const config = new URL('../../examples/rack.yaml', import.meta.url).pathname;
    const args = ['serve', '--config', config, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    const server = new Reveille(args);
    const [, url] = await server.saying(/^Try: curl -o linux (tftp:\/\/127\.0\.0\.1:\d+\/boot\/linux)$/m);
    const got = join(folder(), 'got');
    expect(await runCommand(['get', url!, '-o', got])).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(got)).toEqual(readFileSync(new URL('../../examples/rack/boot/linux', import.meta.url)));
  });
});
