/** The keeper with real servers: what outlives a server that dies, and how both end. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { openSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { boundSocket } from '../../src/engine/bound-socket.ts';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';
import { loadLibc } from '../../src/engine/linux/libc.ts';
import { UdpSocket } from '../../src/engine/linux/udp-socket.ts';
import { StreamSystem } from '../../src/engine/stream-system.ts';
import { CHANNEL_VARIABLE, KEEPER_VERSION } from '../../src/keeper/protocol.ts';
import { activated, GivenServer, KeptServer, listening, serverOf } from '../support/keeper.ts';
import { DATA, ERROR, opcode, RawClient, readRequest, text } from '../support/raw-client.ts';
import { folder, Reveille } from '../support/reveille.ts';

const unavailable = await checkLinuxEngine();

function serve(...more: string[]): string[] {
  const root = folder();
  writeFileSync(join(root, 'linux'), 'kernel');
  return ['serve', root, '--listen', '127.0.0.1:0', '--workers', '1', ...more];
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

/** A client that gives up on ICMP, as firmware does: its socket is connected, so that it would notice. */
async function connected(port: number): Promise<{ socket: Socket; refused: () => number }> {
  const socket = createSocket('udp4');
  onTestFinished(() => void socket.close());
  let refused = 0;
  socket.on('error', () => {
    refused++;
  });
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return { socket, refused: () => refused };
}

function answerTo(name: string, port: number): Promise<string> {
  const socket = createSocket('udp4');
  onTestFinished(() => void socket.close());
  socket.send(readRequest(name), port, '127.0.0.1');
  return once(socket, 'message').then(([bytes]) => (bytes as Buffer).toString('latin1', 4));
}

describe.skipIf(unavailable !== undefined)('a server that dies', () => {
  it('keeps its ports: a request meanwhile is answered by the next one, and nobody gets a refusal', async () => {
    const keeper = new Reveille(['keeper', '--', ...serve('--http', '127.0.0.1:0', '--admin', '127.0.0.1:0')]);
    const before = await listening(keeper, 1);
    const port = portOf(before.addresses[0]!);
    const { socket, refused } = await connected(port);
    process.kill(serverOf(keeper)!, 'SIGKILL');
    await keeper.saying(/the server has died \(SIGKILL\)/);
    // A port without a socket would answer this one with ICMP, and the next send would fail.
    socket.send(readRequest('absent'));
    const web = fetch(`${before.http[0]}/linux`);
    expect(await answerTo('linux', port)).toBe('kernel');
    expect(await (await web).text()).toBe('kernel');
    const after = await listening(keeper, 2);
    expect(after).toMatchObject({ addresses: before.addresses, admin: before.admin, http: before.http });
    expect((await fetch(`http://${after.admin}/readyz`)).status).toBe(200);
    expect(refused()).toBe(0);
    await keeper.saying(/"cause":"SIGKILL","deaths":1,"msg":"takes over from a server that has died"/);
    keeper.process.kill('SIGTERM');
    expect((await keeper.ended).code).toBe(0);
  });

  it('before it was ready ends the keeper too, with its exit code', async () => {
    const wrong = new Reveille(['keeper', '--', ...serve('--no-admin', '--store', '/dev/null')]);
    expect((await wrong.ended).code).toBe(2);
    const taken = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void taken.close());
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const late = new Reveille(['keeper', '--', ...serve('--no-admin', '--http', `127.0.0.1:${port}`)]);
    expect((await late.ended).code).toBe(1);
  });

  it('at each start is started ever more rarely, and at last without the transfers, which may be the cause', async () => {
    const keeper = new Reveille(['keeper', '--', ...serve('--no-admin')]);
    const { addresses } = await listening(keeper, 1);
    const node = await RawClient.open();
    onTestFinished(() => node.close());
    await node.send(readRequest('linux'), { address: '127.0.0.1', port: portOf(addresses[0]!) });
    const opened = await node.receive();
    for (const line of [/it is started again/, /the next start is in 500 ms/, /the next start is in 1000 ms/]) {
      const pid = serverOf(keeper)!;
      process.kill(pid, 'SIGKILL');
      // oxlint-disable-next-line no-await-in-loop -- the next server dies after this one.
      await keeper.saying(line);
      // oxlint-disable-next-line no-await-in-loop -- see above.
      while (serverOf(keeper) === undefined) await new Promise((resolve) => setImmediate(resolve));
      expect(serverOf(keeper)).not.toBe(pid);
    }
    await keeper.saying(/"lost":\{[^}]*"repeated":1/);
    let last = opened;
    // Copies of the only block, which nobody acknowledges.
    // oxlint-disable-next-line no-await-in-loop -- packets come one after the other.
    while (opcode(last) === DATA) last = await node.receive();
    expect([opcode(last), text(last), last.from]).toEqual([ERROR, 'Transfer lost', opened.from]);
  });
});

describe.skipIf(unavailable !== undefined)('a keeper', () => {
  it('that dies ends its server', async () => {
    const keeper = new Reveille(['keeper', '--', ...serve('--no-admin')]);
    await listening(keeper, 1);
    keeper.process.kill('SIGKILL');
    // The server has inherited stdout, whose end is the end of both.
    const { stdout } = await keeper.ended;
    expect(stdout).toMatch(/"msg":"stopped"/);
  });

  it('passes SIGHUP on, and does nothing else at it', async () => {
    const root = folder();
    const config = join(root, 'reveille.yaml');
    writeFileSync(config, `root: ${root}\nlisten: [127.0.0.1:0]\nadmin: false\n`);
    const keeper = new Reveille(['keeper', '--', 'serve', '--config', config]);
    await listening(keeper, 1);
    keeper.process.kill('SIGHUP');
    await keeper.saying(/"reason":"SIGHUP".*"msg":"reloaded"/);
    keeper.process.kill('SIGINT');
    expect((await keeper.ended).stderr).toBe('');
  });

  it('runs nothing but serve', async () => {
    const keeper = new Reveille(['keeper', '--', 'get', 'tftp://127.0.0.1/f']);
    const { code, stderr } = await keeper.ended;
    expect([code, stderr]).toEqual([2, 'reveille: keeper: expected serve after --, got get\n']);
  });

  it('of another version gets no descriptors, and the server says so and starts', async () => {
    const server = KeptServer.start(serve('--no-admin'));
    expect((await server.next()).message).toEqual({ type: 'hello', version: KEEPER_VERSION });
    server.tell({
      type: 'welcome',
      version: 999,
      standby: false,
    });
    await server.saying(/the keeper speaks version 999 of its protocol, expected 1/);
    await server.saying(/"msg":"listening"/);
  });

  it('is not there if the variable names another descriptor: the server says so and starts', async () => {
    const server = new GivenServer(serve('--no-admin'), [openSync('/dev/null', 'r')], `export ${CHANNEL_VARIABLE}=3`);
    await server.saying(/expected descriptor 3 to be a channel.*cannot use the sockets that this process was given/);
    await expect(server.saying(/"msg":"listening"/)).resolves.toBeUndefined();
  });

  it('that lacks a descriptor passes none: the server says so and starts', async () => {
    const server = KeptServer.start(serve('--no-admin'));
    await server.next();
    server.tell({
      type: 'welcome',
      version: KEEPER_VERSION,
      standby: false,
    });
    expect((await server.next()).message).toEqual({ type: 'take' });
    server.tell({ type: 'hold', keys: [3, 4], labels: ['tftp 127.0.0.1:0', 'x'] }, [0]);
    expect((await server.next()).message).toEqual({ type: 'forget' });
    await server.saying(/expected 2 descriptors in a message of the keeper, got 1/);
    await server.saying(/"msg":"listening"/);
    expect(await server.holds('tftp 127.0.0.1:0')).toBe(true);
  });
});

describe.skipIf(unavailable !== undefined)('a socket of a service manager', () => {
  const libc = loadLibc();

  function udp(address: string): UdpSocket {
    const local = { address, port: 0 };
    const socket = new UdpSocket(libc, { local, receiveBufferBytes: 65_536, packetInfo: false });
    onTestFinished(() => socket.close());
    return socket;
  }

  function tcp(): { fd: number; port: number } {
    const system = new StreamSystem();
    const { fd, local } = system.listen({ address: '127.0.0.1', port: 0 }, 'http');
    onTestFinished(() => system.close(fd));
    return { fd, port: local.port };
  }

  it.each(['', 'keeper'])('is served where the config names its address %s', async (command) => {
    const root = folder();
    writeFileSync(join(root, 'linux'), 'kernel');
    const [socket, web, admin] = [udp('127.0.0.1'), tcp(), tcp()];
    const { port } = socket.local;
    // The request waits in the socket's queue: the server does not exist yet.
    const answer = answerTo('linux', port);
    const page = fetch(`http://127.0.0.1:${web.port}/linux`);
    const args = ['serve', root, '--listen', `127.0.0.1:${port}`, '--http', `127.0.0.1:${web.port}`];
    args.push('--admin', `127.0.0.1:${admin.port}`, '--workers', '1');
    const server = activated(command === '' ? args : [command, '--', ...args], [socket.fd, web.fd, admin.fd]);
    expect([await answer, await (await page).text()]).toEqual(['kernel', 'kernel']);
    await server.saying(/"msg":"listening"/);
    expect((await fetch(`http://127.0.0.1:${admin.port}/readyz`)).status).toBe(200);
  });

  it('that the config does not name is closed, and the log says which', async () => {
    const socket = udp('127.0.0.1');
    const server = activated(serve('--no-admin'), [socket.fd]);
    await server.saying(
      new RegExp(`"socket":"udp 127\\.0\\.0\\.1:${socket.local.port}","msg":"no address of the config`),
    );
    await server.saying(/"msg":"listening"/);
    // Only this process has the socket still.
    expect(boundSocket(socket.fd)?.local).toEqual(socket.local);
  });
});
