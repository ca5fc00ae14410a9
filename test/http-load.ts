/**
 * HTTP under load, beside TFTP: `npm run test:http -- [--readers 1000] [--rounds 7] [--idle 5000] [--slow 500]
 * [--heads 100000] [--nodes 1000] [--only readers|idle|slow|heads|storm]`. Prints each figure beside its bound, and exits with
 * 1 if one is missed.
 *
 * - Readers at 1 KiB/s: what they cost in memory, and what they do to the first reply of TFTP.
 * - Idle keep-alive connections, and clients that send their heads or bodies one byte a second.
 * - Hostile heads from a seed: nothing from outside the root, no thread lost, no memory kept.
 * - A storm of nodes, half of them over TFTP and half over HTTP.
 *
 * Needs Linux with two cores, cc, ss and a build. Traffic stays on loopback.
 */
import { execFileSync, spawn } from 'node:child_process';
import { randomFillSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { runStorm } from '../bench/peers/run-storm.ts';
import { SEED } from './support/content.ts';
import { HostileHeads } from './support/hostile-heads.ts';
import { crowdAddress, IdleClients, inTurns, SlowReaders, SlowSenders } from './support/http-crowd.ts';
import { lastingPort } from './support/ports.ts';
import { Random } from './support/random.ts';
import { RawHttp } from './support/raw-http.ts';
import { ServedStoreProcess } from './support/served-store.ts';

const { values } = parseArgs({
  options: {
    readers: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '7' },
    idle: { type: 'string', default: '5000' },
    slow: { type: 'string', default: '500' },
    heads: { type: 'string', default: '100000' },
    nodes: { type: 'string', default: '1000' },
    only: { type: 'string' },
  },
});
const [readers, rounds, idle, slow, heads, nodes] = [
  values.readers,
  values.rounds,
  values.idle,
  values.slow,
  values.heads,
  values.nodes,
].map(Number) as [number, number, number, number, number, number];

const MIB = 1024 ** 2;
/** How long readers read before they are measured. */
const SETTLE_MS = 5000;
const BYTES_PER_SECOND = 1024;
/** Time for a head, the interval of the checks, and room for a busy machine, s. */
const MOST_HEAD_SECONDS = 30;
/** Requests after which the young generation of each thread has its size. */
const WARM_REQUESTS = 4000;
/** How long a client of hostile heads waits for an answer before it sends no more. */
const END_MS = 100;
const MAIN = join(import.meta.dirname, '../dist/cli/main.js');

const folder = mkdtempSync(join(tmpdir(), 'reveille-http-'));
const root = join(folder, 'root');
const secret = `outside-${randomUUID()}`;
mkdirSync(root);
writeFileSync(join(folder, 'secret'), secret);
writeFileSync(join(root, 'small'), randomFillSync(Buffer.alloc(4096)));
writeFileSync(join(root, 'kernel'), randomFillSync(Buffer.alloc(256 * 1024)));
writeFileSync(join(root, 'large'), randomFillSync(Buffer.alloc(16 * MIB)));

const http = { address: '127.0.0.1', port: await lastingPort() };
const sessions = ['--sessions', String(2 * nodes), '--http-connections', String(idle + 2000)];
const server = new ServedStoreProcess([root, '--http', `${http.address}:${http.port}`, '--workers', '1', ...sessions]);

let isMissed = false;

/** Prints a figure beside its bound. */
function show(what: string, figure: number, most: number, unit = ''): void {
  const isOver = !(figure <= most);
  if (isOver) isMissed = true;
  const text = Number.isInteger(figure) ? String(figure) : figure.toFixed(2);
  process.stdout.write(
    `  ${what.padEnd(64)} ${text.padStart(8)}${unit}, at most ${most}${unit}${isOver ? ': MISSED' : ''}\n`,
  );
}

/** Resident memory of the server and the memory of its HTTP sockets, MiB. */
function memory(): { readonly resident: number; readonly sockets: number } {
  const status = readFileSync(`/proc/${server.pid}/status`, 'latin1');
  const kib = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]);
  const sockets = execFileSync('ss', ['-tmnH', `sport = :${http.port}`], { encoding: 'latin1', maxBuffer: 64 * MIB });
  let bytes = 0;
  for (const [, received, ahead, queued, options, backlog] of sockets.matchAll(
    /skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f(\d+),w(\d+),o(\d+),bl(\d+)/g,
  )) {
    bytes += Number(received) + Number(ahead) + Number(queued) + Number(options) + Number(backlog);
  }
  return { resident: kib / 1024, sockets: bytes / MIB };
}

function growth(before: ReturnType<typeof memory>): number {
  const now = memory();
  const resident = now.resident - before.resident;
  const sockets = now.sockets - before.sockets;
  process.stdout.write(`    ${resident.toFixed(1)} MiB resident, ${sockets.toFixed(1)} MiB in sockets\n`);
  return resident + sockets;
}

/** p99 of the first reply of TFTP, ms. */
async function firstReply(): Promise<number> {
  const storm = { nodes: 100, fetches: 5000, file: 'small', wish: { blksize: 1468 } };
  const { failed, firstReplyMs } = await runStorm(root, server.address.port, storm);
  if (failed > 0) throw new Error(`${failed} fetches over TFTP failed`);
  return firstReplyMs.p99;
}

/** @returns the duration of one request on a connection of its own, ms; Infinity if it failed. */
async function getOne(target: string): Promise<number> {
  const begun = performance.now();
  const client = new RawHttp(http, { local: '127.60.0.1' });
  try {
    const { status } = await client.send(`GET ${target} HTTP/1.1\r\n\r\n`).answer();
    return status === 200 ? performance.now() - begun : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  } finally {
    client.close();
  }
}

function quantile(numbers: readonly number[], share: number): number {
  return numbers.toSorted((one, other) => one - other)[Math.floor((numbers.length - 1) * share)]!;
}

async function slowReaders(): Promise<void> {
  process.stdout.write(`${readers} readers at 1 KiB/s, ${rounds} rounds with and without them\n`);
  const begun = memory();
  const [without, withThem]: [number[], number[]] = [[], []];
  let grown = 0;
  let lost = 0;
  for (let round = 0; round < rounds; round++) {
    // oxlint-disable-next-line no-await-in-loop -- one round after the other.
    without.push(await firstReply());
    const before = memory();
    // oxlint-disable-next-line no-await-in-loop -- see above.
    const crowd = await SlowReaders.start(http, '/large', readers, BYTES_PER_SECOND);
    // oxlint-disable-next-line no-await-in-loop -- see above.
    await delay(SETTLE_MS);
    // oxlint-disable-next-line no-await-in-loop -- see above.
    withThem.push(await firstReply());
    grown = Math.max(grown, growth(before));
    process.stdout.write(`    ${(crowd.bytes / readers / 1024).toFixed(1)} KiB read by each\n`);
    lost += crowd.stop();
  }
  const kept = memory().resident - begun.resident;
  const ratio = quantile(withThem, 0.5) / quantile(without, 0.5);
  const texts = [without, withThem].map((all) => all.map((ms) => ms.toFixed(2)).join(' '));
  process.stdout.write(`    TFTP first reply p99, ms: without ${texts[0]}; with ${texts[1]}\n`);
  show('memory that they cost', grown, 64, ' MiB');
  show('resident memory kept after all rounds', kept, 64, ' MiB');
  show('TFTP first reply p99, with them / without, of medians', ratio, 1.3);
  show('readers that lost their connection', lost, 0);
}

async function idleConnections(): Promise<void> {
  process.stdout.write(`${idle} idle connections\n`);
  const before = memory();
  const clients = await IdleClients.start(http, '/small', idle);
  const grown = growth(before);
  await delay(SETTLE_MS);
  show('first requests without a file', clients.refused, 0);
  show('memory that they cost', grown, 128, ' MiB');
  show('another client waits', await getOne('/small'), 250, ' ms');
  show('second requests without a file', await clients.ask('/small'), 0);
  clients.stop();
}

async function slowSenders(): Promise<void> {
  process.stdout.write(`${slow} clients each that send a head or a body, one byte a second\n`);
  const ofHeads = new SlowSenders(http, 70, slow, 'GET /small HTTP/1.1\r\nX-Long: ');
  const ofBodies = new SlowSenders(http, 71, slow, 'GET /small HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n');
  const waits: number[] = [];
  const honest = (async (): Promise<void> => {
    while (ofHeads.open + ofBodies.open > 0) {
      // oxlint-disable-next-line no-await-in-loop -- one request after the other.
      waits.push(await getOne('/small'));
      // oxlint-disable-next-line no-await-in-loop -- see above.
      await delay(20);
    }
  })();
  const [headSeconds, bodySeconds] = await Promise.all(
    [ofHeads, ofBodies].map((all) => all.ended(2 * MOST_HEAD_SECONDS)),
  );
  await honest;
  show('last of the slow heads is closed after', headSeconds!, MOST_HEAD_SECONDS, ' s');
  show('last of the slow bodies is closed after', bodySeconds!, MOST_HEAD_SECONDS, ' s');
  show(`p99 of ${waits.length} requests of others`, quantile(waits, 0.99), 250, ' ms');
  show('requests of others that failed', waits.filter((ms) => ms === Number.POSITIVE_INFINITY).length, 0);
}

async function hostileHeads(): Promise<void> {
  process.stdout.write(`${heads} hostile heads, seed ${SEED}\n`);
  const make = new HostileHeads(root, 'secret');
  const random = new Random(SEED);
  const statuses = new Map<string, number>();
  let [leaks, odd] = [0, 0];
  const one = async (index: number): Promise<void> => {
    const client = new RawHttp(http, { local: crowdAddress(50, index & 16_383) });
    client.socket.write(make.next(random));
    // The end of an incomplete head is known only when the client closes its side; a whole request is answered first.
    const timer = setTimeout(() => client.socket.end(), END_MS);
    client.socket.once('data', () => client.socket.end());
    const text = (await client.all()).toString('latin1');
    clearTimeout(timer);
    if (text.includes(secret) || text.includes('root:')) leaks++;
    const status = text === '' ? 'none' : (/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1] ?? 'no status');
    if (!/^(?:none|2\d\d|4\d\d)$/.test(status)) odd++;
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  };
  const warm = Math.floor(heads / 4);
  await inTurns(warm, one);
  const before = memory();
  await inTurns(heads - warm, (index) => one(index + warm));
  const grown = growth(before);
  const counts = [...statuses].toSorted(([, a], [, b]) => b - a).map(([status, count]) => `${status}: ${count}`);
  process.stdout.write(`    answers ${counts.join(', ')}\n`);
  show('answers with bytes from outside the root', leaks, 0);
  show('answers with another status than 2xx and 4xx', odd, 0);
  show('HTTP threads that died', server.complaints.filter((line) => line.includes('HTTP thread lost')).length, 0);
  show('memory that the last three quarters kept', grown, 16, ' MiB');
  show('a client afterwards waits', await getOne('/small'), 250, ' ms');
}

async function mixedStorm(): Promise<void> {
  process.stdout.write(`a storm of ${nodes} nodes, half of them over HTTP\n`);
  const report = join(folder, 'storm.json');
  const { address, port } = server.address;
  const where = [`${address}:${port}`, '--http', `${http.address}:${http.port}`];
  const what = ['--profile', 'ipxe,ipxe-http', '--file', 'small', '--file', 'kernel', '--verify', root];
  const storm = spawn(
    process.execPath,
    [MAIN, 'storm', ...where, '--nodes', String(nodes), ...what, '--seed', String(SEED), '--quiet', '--json', report],
    { stdio: 'inherit' },
  );
  const [code] = (await once(storm, 'exit')) as [number | null];
  show('exit code of the storm', code ?? 1, 0);
}

const PARTS = new Map([
  ['readers', slowReaders],
  ['idle', idleConnections],
  ['slow', slowSenders],
  ['heads', hostileHeads],
  ['storm', mixedStorm],
]);

try {
  await server.start();
  // The cost of the first requests, which occurs once, does not count.
  await IdleClients.start(http, '/large', 20).then((clients) => clients.stop());
  await inTurns(WARM_REQUESTS, async () => void (await getOne('/small')), 50);
  await firstReply();
  for (const [name, part] of PARTS) {
    // oxlint-disable-next-line no-await-in-loop -- one part after the other.
    if (values.only === undefined || values.only === name) await part();
  }
  process.stdout.write(
    server.complaints
      .slice(0, 10)
      .map((line) => `${line}\n`)
      .join(''),
  );
} finally {
  await server.end('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = isMissed ? 1 : 0;
