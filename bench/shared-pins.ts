/**
 * Measures what shared pins cost: the time until a node's first file is answered, without an engine and with a redis-server
 * on this machine, in pairs, and how many new pins a server makes in a second. Needs Debian's redis-server.
 *
 *   npx tsx bench/shared-pins.ts
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BootSets } from '../src/boot-set/boot-sets.ts';
import { sharedPinsProbe } from '../src/boot-set/boot/shared-record.ts';
import { publish } from '../src/boot-set/store/publish.ts';
import { openStore } from '../src/boot-set/store/store.ts';
import { BufferCache } from '../src/content/buffer-cache.ts';
import { openRedis, type RedisLink } from '../src/redis/redis-link.ts';
import { parseRedisAddress } from '../src/redis/redis-url.ts';
import { lastingPort } from '../test/support/ports.ts';

const ROUNDS = 10;
const BOOTS = 300;
const AT_ONCE = 20_000;

const folder = mkdtempSync(join(tmpdir(), 'reveille-bench-'));
const clock = {
  now: () => performance.now(),
  wake: (at: number, fn: () => void) => {
    const timer = setTimeout(fn, Math.max(0, at - performance.now())).unref();
    return () => clearTimeout(timer);
  },
};

async function startRedis(): Promise<[ChildProcess, RedisLink]> {
  const port = await lastingPort();
  const child = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder]);
  const address = parseRedisAddress(`redis://127.0.0.1:${port}`)!;
  const link = openRedis({ address, prefix: 'bench', probe: sharedPinsProbe });
  await new Promise<void>((resolve) => link.onState((state) => state === 'up' && resolve()));
  return [child, link];
}

async function source(name: string, share: RedisLink | undefined): Promise<BootSets> {
  const store = await openStore({ path: join(folder, name) });
  await publish(store, { channel: 'install', paths: [join(folder, 'set')] });
  const policy = { pinIdleMs: 900_000, pinCapMs: 7_200_000 };
  return new BootSets({ store, cache: new BufferCache(), clock, policy, share });
}

let nodes = 0;

/** @returns milliseconds until the first file of a new node is answered. */
async function firstReply(sets: BootSets): Promise<number> {
  const node = ++nodes;
  const client = `10.${(node >> 16) & 255}.${(node >> 8) & 255}.${node & 255}`;
  const from = performance.now();
  const answer = await sets.open({ filename: 'install/pxelinux.0', mode: 'octet', client, local: '10.0.0.1' });
  const ms = performance.now() - from;
  if (answer.kind !== 'content') throw new Error(`Expected content, got ${answer.kind}`);
  answer.release(true);
  return ms;
}

async function sample(sets: BootSets): Promise<number[]> {
  const all: number[] = [];
  for (let boot = 0; boot < BOOTS; boot++) {
    // oxlint-disable-next-line no-await-in-loop -- one node at a time: the waiting is what is measured.
    all.push(await firstReply(sets));
  }
  return all.toSorted((a, b) => a - b);
}

async function perSecond(sets: BootSets): Promise<number> {
  const from = performance.now();
  let left = AT_ONCE;
  const worker = async (): Promise<void> => {
    // oxlint-disable-next-line no-await-in-loop -- each of the workers makes one pin after the other.
    while (left-- > 0) await firstReply(sets);
  };
  await Promise.all(Array.from({ length: 64 }, worker));
  return Math.round((AT_ONCE / (performance.now() - from)) * 1000);
}

const at = (sorted: readonly number[], share: number): number => sorted[Math.floor(share * (sorted.length - 1))]!;

mkdirSync(join(folder, 'set'));
writeFileSync(join(folder, 'set', 'pxelinux.0'), 'loader');
const [child, link] = await startRedis();
try {
  const [alone, shared] = [await source('alone', undefined), await source('shared', link)];
  const [costs, tails]: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    // oxlint-disable-next-line no-await-in-loop -- in turns, so that both meet the same machine.
    const [without, together] = [await sample(alone), await sample(shared)];
    costs.push(at(together, 0.5) - at(without, 0.5));
    tails.push(at(together, 0.99) - at(without, 0.99));
  }
  const middle = (all: number[]): string =>
    at(
      all.toSorted((a, b) => a - b),
      0.5,
    ).toFixed(2);
  process.stdout.write(
    `first reply, p50: + ${middle(costs)} ms; p99: + ${middle(tails)} ms (${ROUNDS} pairs of ${BOOTS} boots)\n`,
  );
  process.stdout.write(`new pins a second: ${await perSecond(alone)} alone, ${await perSecond(shared)} shared\n`);
  if (Number(middle(costs)) > 1) process.exitCode = 1;
} finally {
  await link.close();
  child.kill();
  await once(child, 'exit');
  rmSync(folder, { recursive: true, force: true });
}
process.exit();
