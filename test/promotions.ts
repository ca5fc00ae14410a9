/**
 * Servers of a fleet, each with many channels and pins, while channels are promoted: `npm run test:promotions --
 * [--servers 10] [--channels 100] [--pins 10000]`. Measures how long it takes until every server serves a promoted
 * version, alone and when all channels are promoted at once, and the memory of the servers and of Redis. Exits with 0 if
 * each took at most a second. Needs Linux, redis-server and a build.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { publish } from '../src/boot-set/store/publish.ts';
import { pinKey, type PinRecord } from '../src/boot-set/store/records.ts';
import { openStore } from '../src/boot-set/store/store.ts';
import { fetchFile } from '../src/client/fetch.ts';
import { FleetBoard } from '../src/fleet/fleet-board.ts';
import { planPromotion } from '../src/fleet/promotion-plan.ts';
import { openRedis } from '../src/redis/redis-link.ts';
import { redisOptions } from '../src/redis/redis-options.ts';
import { lastingPort } from './support/ports.ts';

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
/** Bound on the time from a promotion until every server serves it. */
const BOUND_MS = 1000;
/** Channels that are promoted one after the other; all others at once. */
const ALONE = 30;
const PATIENCE_MS = 120_000;

const { values } = parseArgs({
  options: {
    servers: { type: 'string', default: '10' },
    channels: { type: 'string', default: '100' },
    pins: { type: 'string', default: '10000' },
  },
});
const count = Number(values.servers);
const channels = Array.from({ length: Number(values.channels) }, (_, at) => `rack/set${at}`);
const pins = Number(values.pins);

const folder = mkdtempSync(join(tmpdir(), 'reveille-promotions-'));
const running: ChildProcess[] = [];
const digests = new Map<string, string>();

/** The last three bytes of a node's MAC. */
function macOf(node: number): string {
  return node
    .toString(16)
    .padStart(6, '0')
    .replace(/(..)(..)(..)/, '$1:$2:$3');
}

/** Makes a store with two versions of each channel, the first one current. */
async function makeStore(): Promise<string> {
  const path = join(folder, 'store');
  const store = await openStore({ path });
  for (const channel of channels) {
    for (const version of [1, 2]) {
      const file = join(folder, 'linux');
      writeFileSync(file, `${channel} ${version}`);
      // oxlint-disable-next-line no-await-in-loop -- one version after the other.
      const { manifest } = await publish(store, { channel, paths: [file], candidate: version === 2 });
      digests.set(channel, manifest);
    }
  }
  await store.close();
  return path;
}

/** Lets nodes boot the first versions. Each server has its own nodes. */
async function addPins(path: string, server: number): Promise<void> {
  const now = Date.now();
  const store = await openStore({ path });
  await store.note((tables) => {
    for (let at = 0; at < pins; at++) {
      const node = server * pins + at;
      const channel = channels[node % channels.length]!;
      const name = `mac:52:54:00:${macOf(node)}`;
      const address = `10.${node >> 16}.${(node >> 8) & 255}.${node & 255}`;
      const pin: PinRecord = { node: name, channel, version: 1, createdAt: now, usedAt: now, stage: 1, address };
      tables.pins.put(pinKey(name, channel), pin);
    }
  });
  await store.close();
}

/** Resolves when a process has printed a text. @throws Error when it ends before. */
async function said(child: ChildProcess, text: string): Promise<void> {
  for await (const line of createInterface(child.stdout!)) {
    if (!line.includes(text)) continue;
    child.stdout!.resume();
    return;
  }
  throw new Error(`${child.spawnargs.slice(0, 3).join(' ')}: ended before it printed ${text}`);
}

async function startRedis(): Promise<number> {
  const port = await lastingPort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder];
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  running.push(child);
  await said(child, 'Ready to accept');
  return port;
}

interface Server {
  readonly port: number;
  readonly pid: number;
}

async function startServer(at: number, from: string, redis: string): Promise<Server> {
  const store = join(folder, `s${at}`);
  cpSync(from, store, { recursive: true });
  await addPins(store, at);
  const port = await lastingPort();
  const args = ['serve', '--store', store, '--pins', redis, '--listen', `127.0.0.1:${port}`, '--admin', '127.0.0.1:0'];
  const child = spawn(process.execPath, [MAIN, ...args, '--workers', '1', '--gc-every', '0s'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.push(child);
  await said(child, '"msg":"listening"');
  return { port, pid: child.pid! };
}

async function until<T>(what: string, look: () => Promise<T | undefined>, everyMs = 10): Promise<T> {
  const end = performance.now() + PATIENCE_MS;
  while (performance.now() < end) {
    // oxlint-disable-next-line no-await-in-loop -- one look after the other.
    const found = await look();
    if (found !== undefined) return found;
    // oxlint-disable-next-line no-await-in-loop -- see above.
    await delay(everyMs);
  }
  throw new Error(`${what}: not within ${PATIENCE_MS} ms`);
}

async function promote(board: FleetBoard, channel: string): Promise<number> {
  const now = await board.time();
  const servers = await board.servers(now);
  const records = await board.channelOn(
    servers.map(({ name }) => name),
    channel,
  );
  const shared = (await board.promotions([channel])).get(channel)!;
  const wish = { channel, version: digests.get(channel)!, isForced: false, prefix: 'reveille' };
  const seen = servers.map((server, at) => ({ server, channel: records[at] }));
  const { promotion } = planPromotion(wish, seen, shared.promotion, now);
  const begun = performance.now();
  if (!(await board.promote(channel, shared, promotion))) throw new Error(`${channel}: was promoted by somebody else`);
  await board.notify(channel);
  return begun;
}

/** Waits until all servers announce that they serve the promoted versions. */
async function followed(board: FleetBoard, some: readonly string[]): Promise<void> {
  const names = (await board.servers(await board.time())).map(({ name }) => name);
  for (const channel of some) {
    // oxlint-disable-next-line no-await-in-loop -- one channel after the other.
    await until(channel, async () => {
      const records = await board.channelOn(names, channel);
      return records.every((one) => one?.current === digests.get(channel)) ? true : undefined;
    });
  }
}

let asked = 0;

/** Asks for a file as a node that has never booted, and again while there is no answer. */
async function served(port: number, channel: string): Promise<string> {
  const filename = `${channel}/52-54-01-${macOf(asked++).replaceAll(':', '-')}/linux`;
  let got = '';
  for (let attempt = 1; attempt <= 3; attempt++) {
    const parts: Buffer[] = [];
    const sink = { write: (bytes: Uint8Array) => void parts.push(Buffer.from(bytes)) };
    const server = { address: '127.0.0.1', port };
    // oxlint-disable-next-line no-await-in-loop -- one attempt after the other.
    const end = await fetchFile({ server, filename, mode: 'octet', wish: {}, sink, patienceMs: 5000, lingerMs: 0 });
    if (end.outcome === 'complete') return Buffer.concat(parts).toString();
    got = `${end.outcome} ${end.errorText}`;
    // oxlint-disable-next-line no-await-in-loop -- see above.
    await delay(500);
  }
  return got;
}

function residentMiB(pid: number): number {
  const kib = /^VmRSS:\s+([0-9]+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Number(kib) / 1024;
}

async function measure(): Promise<boolean> {
  const store = await makeStore();
  const url = `redis://127.0.0.1:${await startRedis()}`;
  const alone: Server[] = [];
  for (let at = 0; at < count; at++) {
    // oxlint-disable-next-line no-await-in-loop -- servers that start together would only slow each other down.
    alone.push(await startServer(at, store, url));
  }
  const link = openRedis(redisOptions({ pins: url })!);
  const board = new FleetBoard(link, 5000);
  await until('the link', async () => (link.state === 'up' ? true : undefined));
  await until('the fleet', async () => {
    const servers = await board.servers(await board.time());
    const isWhole = servers.every((one) => one.channels === channels.length && one.pins === pins);
    return servers.length === count && isWhole ? true : undefined;
  });

  const single: number[] = [];
  for (const channel of channels.slice(0, ALONE)) {
    // oxlint-disable-next-line no-await-in-loop -- one promotion after the other.
    const begun = await promote(board, channel);
    // oxlint-disable-next-line no-await-in-loop -- see above.
    await followed(board, [channel]);
    single.push(performance.now() - begun);
    // oxlint-disable-next-line no-await-in-loop -- see above.
    await delay(100);
  }
  single.sort((one, other) => one - other);
  const rest = channels.slice(ALONE);
  const begins = await Promise.all(rest.map((channel) => promote(board, channel)));
  await followed(board, rest);
  const together = performance.now() - Math.max(...begins);

  let wrong = 0;
  for (const { port } of alone) {
    for (const channel of [channels[0]!, channels.at(-1)!]) {
      // oxlint-disable-next-line no-await-in-loop -- one request after the other.
      const got = await served(port, channel);
      if (got === `${channel} 2`) continue;
      wrong++;
      process.stdout.write(`${channel} from port ${port}: expected version 2, got "${got}"\n`);
    }
  }
  const info = String(await link.run(['INFO', 'memory'], 5000));
  const redisMiB = Number(/^used_memory:([0-9]+)/m.exec(info)?.[1]) / 2 ** 20;
  const resident = alone.map(({ pid }) => residentMiB(pid));
  await link.close();
  const [median, most] = [single[single.length >> 1]!, single.at(-1)!];
  process.stdout.write(
    `${[
      `${count} servers, ${channels.length} channels, ${pins} pins each`,
      `one promotion until every server serves it: median ${median.toFixed(0)} ms, at most ${most.toFixed(0)} ms`,
      `${rest.length} promotions at once: ${together.toFixed(0)} ms after the last one`,
      `requests of new boots with another version than the promoted one: ${wrong}`,
      `memory of a server: ${Math.min(...resident).toFixed(0)} to ${Math.max(...resident).toFixed(0)} MiB; of Redis: ${redisMiB.toFixed(1)} MiB`,
    ].join('\n')}\n`,
  );
  return most <= BOUND_MS && together <= BOUND_MS && wrong === 0;
}

try {
  process.exitCode = (await measure()) ? 0 : 1;
} finally {
  const ending = running.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  const ended = ending.map((child) => once(child, 'exit'));
  for (const child of ending) child.kill('SIGKILL');
  await Promise.all(ended);
  rmSync(folder, { recursive: true, force: true });
}
