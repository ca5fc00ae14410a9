/** Transfers that outlive their server: `kill -9` and upgrades with real processes, seen by clients that move slowly. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';
import { createRegion, viewRegion } from '../../src/engine/shared-region.ts';
import { KEEPER_VERSION } from '../../src/keeper/protocol.ts';
import type { Address } from '../../src/index.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { KeptServer, listening, serverOf } from '../support/keeper.ts';
import {
  ack,
  DATA,
  ERROR,
  number,
  opcode,
  PacedDownload,
  RawClient,
  readRequest,
  text,
} from '../support/raw-client.ts';
import { folder, Reveille } from '../support/reveille.ts';

const unavailable = await checkLinuxEngine();
const CONTENT = seededBytes(SEED, 12 * 512 + 100);
const LINES = 'line\n'.repeat(400);

interface World {
  readonly root: string;
  readonly config: string;
  readonly keeper: Reveille;
  readonly address: Address;
}

/** A keeper with one server of two files. @param more lines of its config. */
async function world(env: Readonly<Record<string, string>> = {}, more = 'workers: 1\n'): Promise<World> {
  const root = folder();
  writeFileSync(join(root, 'kernel'), CONTENT);
  writeFileSync(join(root, 'text'), LINES);
  const config = join(folder(), 'reveille.yaml');
  writeFileSync(config, `root: ${root}\nlisten: [127.0.0.1:0]\nadmin: 127.0.0.1:0\n${more}`);
  const keeper = new Reveille(['keeper', '--', 'serve', '--config', config], { env });
  const { addresses } = await listening(keeper, 1);
  const [host = '', port] = addresses[0]!.split(':');
  return { root, config, keeper, address: { address: host, port: Number(port) } };
}

async function client(): Promise<RawClient> {
  const one = await RawClient.open();
  onTestFinished(() => one.close());
  return one;
}

/** Takes packets until one is not a copy of block `block`, and answers copies with an ACK. */
async function after(from: RawClient, block: number): Promise<Awaited<ReturnType<RawClient['receive']>>> {
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- packets come one after the other.
    const packet = await from.receive();
    if (opcode(packet) !== DATA || number(packet) !== block) return packet;
    // oxlint-disable-next-line no-await-in-loop -- see above.
    await from.send(ack(block), packet.from);
  }
}

describe.skipIf(unavailable !== undefined)('a transfer outlives its server', () => {
  it('that is killed, also while it takes over', async () => {
    const { keeper, address } = await world();
    const [one, two] = [await client(), await client()];
    const downloads = [new PacedDownload(one, address, 'kernel'), new PacedDownload(two, address, 'kernel')];
    for (const [index, download] of downloads.entries()) {
      // oxlint-disable-next-line no-await-in-loop -- the downloads begin one after the other.
      await download.start();
      // oxlint-disable-next-line no-await-in-loop -- see above.
      await download.advance(3 + index);
    }
    const first = serverOf(keeper)!;
    process.kill(first, 'SIGKILL');
    await keeper.saying(/the server has died/);
    while (serverOf(keeper) === undefined) await new Promise((resolve) => setImmediate(resolve));
    // The second server dies before it serves anything.
    process.kill(serverOf(keeper)!, 'SIGKILL');
    await listening(keeper, 2);
    await keeper.saying(/"resumed":2,/);
    const contents = await Promise.all(downloads.map((download) => download.finish()));
    for (const content of contents) expect(content.equals(CONTENT)).toBe(true);
  });

  it('that throws in its main thread', async () => {
    const plant = "data:text/javascript,process.on('SIGWINCH',()=>{throw new Error('planted')})";
    const { keeper, address } = await world({ NODE_OPTIONS: `--import "${plant}"` });
    const download = new PacedDownload(await client(), address, 'kernel');
    await download.start();
    await download.advance(2);
    process.kill(serverOf(keeper)!, 'SIGWINCH');
    await keeper.saying(/the server has died \(exit code 1\)/);
    expect((await download.finish()).equals(CONTENT)).toBe(true);
    await keeper.saying(/"msg":"unhandled error"/);
  });

  it('with bytes that can not be read again', async () => {
    const { keeper, root, address } = await world();
    const node = await client();
    await node.send(readRequest('text', [], 'netascii'), address);
    const opened = await node.receive();
    process.kill(serverOf(keeper)!, 'SIGKILL');
    writeFileSync(join(root, 'text'), 'other');
    await keeper.saying(/"resumed":1,/);
    await node.send(ack(1), opened.from);
    const second = await after(node, 1);
    expect([number(second), second.from]).toEqual([2, opened.from]);
    expect(second.bytes.toString('latin1', 4)).toBe(LINES.replaceAll('\n', '\r\n').slice(512, 1024));
  });

  it('unless its file has changed: it then ends with an ERROR from its port', async () => {
    const { keeper, root, address } = await world();
    const node = await client();
    const download = new PacedDownload(node, address, 'kernel');
    await download.start();
    await download.advance(2);
    process.kill(serverOf(keeper)!, 'SIGKILL');
    writeFileSync(join(root, 'new'), seededBytes(SEED + 1, CONTENT.length));
    renameSync(join(root, 'new'), join(root, 'kernel'));
    await keeper.saying(/"lost":\{[^}]*"content":1/);
    const end = await after(node, download.blocks);
    expect([opcode(end), text(end), end.from]).toEqual([ERROR, 'File changed', download.from]);
  });

  it('that a successor replaces, and the metrics say so', async () => {
    const { keeper, address } = await world();
    const download = new PacedDownload(await client(), address, 'kernel');
    await download.start();
    await download.advance(2);
    const first = serverOf(keeper)!;
    keeper.process.kill('SIGUSR2');
    const { admin } = await listening(keeper, 2);
    await keeper.saying(/"reason":"a successor has taken over".*"msg":"stopping"/);
    expect((await download.finish()).equals(CONTENT)).toBe(true);
    const metrics = await (await fetch(`http://${admin}/metrics`)).text();
    expect(metrics).toMatch(/^reveille_server_upgrades_total 1$/m);
    expect(metrics).toMatch(/^reveille_transfers_resumed_total 1$/m);
    expect(metrics).toMatch(/^reveille_server_deaths_total 0$/m);
    await expect.poll(() => serverOf(keeper), { timeout: 10_000 }).not.toBe(first);
    keeper.process.kill('SIGTERM');
    expect((await keeper.ended).code).toBe(0);
  });

  it.each([1, 3])('at a port that all share, of 2 workers that become %s', async (workers) => {
    const [shared, count] = ['singlePort: true\nclients: [127.0.0.0/8]\n', 'workers: 2\n'];
    const { keeper, config, address } = await world({}, `${shared}${count}`);
    const clients = await Promise.all(Array.from({ length: 6 }, client));
    const downloads = clients.map((one) => new PacedDownload(one, address, 'kernel'));
    await Promise.all(downloads.map((download) => download.start()));
    await Promise.all(downloads.map((download) => download.advance(3)));
    writeFileSync(config, readFileSync(config, 'utf8').replace(count, `workers: ${workers}\n`));
    process.kill(serverOf(keeper)!, 'SIGKILL');
    await keeper.saying(/"resumed":6,/);
    await Promise.all(downloads.map((download) => download.advance(2)));
    keeper.process.kill('SIGUSR2');
    await listening(keeper, 3);
    const contents = await Promise.all(downloads.map((download) => download.finish()));
    for (const content of contents) expect(content.equals(CONTENT)).toBe(true);
    for (const { from } of downloads) expect(from).toEqual(address);
  });

  it('and a successor that does not come up changes nothing', async () => {
    const { keeper, config, address } = await world();
    const download = new PacedDownload(await client(), address, 'kernel');
    await download.start();
    const server = serverOf(keeper);
    writeFileSync(config, 'nonsense: true\n');
    keeper.process.kill('SIGUSR2');
    await keeper.saying(/the successor has ended before it took over \(exit code 2\); nothing has changed/);
    expect(serverOf(keeper)).toBe(server);
    expect((await download.finish()).equals(CONTENT)).toBe(true);
  });

  it('and a successor whose routes are wrong changes nothing, also with a store', async () => {
    const { keeper, config, address } = await world({}, `workers: 1\nstore: ${join(folder(), 'store')}\n`);
    const download = new PacedDownload(await client(), address, 'kernel');
    await download.start();
    const server = serverOf(keeper);
    writeFileSync(join(dirname(config), 'wrong.liquid'), '{% if %}');
    writeFileSync(config, `${readFileSync(config, 'utf8')}routes:\n  - {match: x, template: wrong.liquid}\n`);
    keeper.process.kill('SIGUSR2');
    await keeper.saying(/the successor has ended before it took over \(exit code 2\); nothing has changed/);
    expect(serverOf(keeper)).toBe(server);
    expect((await download.finish()).equals(CONTENT)).toBe(true);
  });

  it.each([
    ['of another layout', (words: Int32Array) => words.fill(7), /expected a table of transfers, got other bytes/],
  ])('but not a region %s: the server starts clean and says so', async (_, change, said) => {
    const root = folder();
    const server = KeptServer.start(['serve', root, '--listen', '127.0.0.1:0', '--no-admin', '--workers', '1']);
    await server.next();
    const region = createRegion(4096);
    change(new Int32Array(viewRegion(region)));
    const history = { deaths: 1, deathsAtOnce: 0, upgrades: 0, cause: 'SIGKILL' };
    server.tell({ type: 'welcome', version: KEEPER_VERSION, standby: false });
    server.tell({ type: 'hold', keys: [0], labels: ['region'] }, [region.fd]);
    server.tell({ type: 'complete', history });
    await server.saying(said);
    await server.saying(/"msg":"listening"/);
    expect(await server.holds('tftp 127.0.0.1:0')).toBe(true);
  });
});
