/**
 * The cost of observation: CPU time per block in lockstep, of an unobserved server and of one that is scraped each
 * second, has its live page open and logs at info; and the effect of scrapes on the time from an ACK to the next block,
 * with thousands of transfers running. Both use interleaved pairs: the result is the median of all, and its interval at
 * 95 % confidence. Exits with 1 when either limit is exceeded.
 *
 *   npm run bench:observe -- [--part cost|turnaround] [--pairs 11] [--against DIST] [--no-page] [--json FILE]
 *
 * With `--against DIST` the unobserved server is another build, without the code measured here. The server runs on the
 * first core, its main thread included; clients and watchers on the second. Needs Linux, two cores and root.
 */
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { describeCommit, describeMachine } from '../machine.ts';
import { runStorm } from '../peers/run-storm.ts';
import { RunningServer } from '../peers/running-server.ts';
import { type Contender, reveille } from '../peers/servers.ts';
import { machineLine } from '../report.ts';
import { median, medianInterval } from '../statistics.ts';
import { Watch } from './watch.ts';

const MAX_PERCENT = 5;
const MAX_MS = 1;
const FILES = { config: 300, kernel: 2 ** 20, image: 16 * 2 ** 20 };
const STORM = { nodes: 100, file: 'kernel', wish: { blksize: 1468 } };
/** Duration of half a pair. */
const PHASE_MS = 4000;
const SLOW = { nodes: 5000, thinkMs: 500, blksize: 1024 };

const { values } = parseArgs({
  options: {
    part: { type: 'string' },
    pairs: { type: 'string', default: '11' },
    fetches: { type: 'string', default: '700' },
    against: { type: 'string' },
    page: { type: 'boolean', default: true },
    json: { type: 'string' },
  },
  allowNegative: true,
});
const PAIRS = Number(values.pairs);
const work = join(tmpdir(), 'reveille-bench-peers');
mkdirSync(work, { recursive: true });
const root = mkdtempSync(join(work, 'observe-'));
execFileSync('chmod', ['755', root]);
for (const [name, size] of Object.entries(FILES)) {
  writeFileSync(join(root, name), randomFillSync(Buffer.alloc(size)), { mode: 0o644 });
}
const say = (line: string): boolean => process.stdout.write(`${line}\n`);

async function freeTcpPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

/** The server as its observers have it: an admin address, and a log that goes to a file. */
function watched(admin: number): Contender {
  const plain = reveille('linux');
  return {
    ...plain,
    name: 'watched',
    command: (folder, port) => {
      const command = plain.command(folder, port).map((word) => (word === 'error' ? 'info' : word));
      const at = command.indexOf('--no-admin');
      const own = [...command.slice(0, at), '--admin', `127.0.0.1:${admin}`, ...command.slice(at + 1)];
      return ['sh', '-c', `exec "$@" > ${join(work, 'observe.log')}`, 'sh', ...own];
    },
  };
}

let servers = 0;
const start = (contender: Contender): Promise<RunningServer> =>
  RunningServer.start(contender, root, `reveille-bench-observe-${process.pid}-${servers++}`);

/** @returns CPU time per block in µs. */
async function blockCost(server: RunningServer, watch?: Watch): Promise<number> {
  watch?.scrape();
  const before = server.cpuUs;
  const result = await runStorm(root, server.port, { ...STORM, fetches: Number(values.fetches) });
  const used = server.cpuUs - before;
  await watch?.stopScraping();
  if (result.failed > 0) throw new Error(`Expected every fetch to succeed: ${JSON.stringify(result)}`);
  return used / result.blocks;
}

interface Measured {
  readonly without: number;
  readonly with: number;
}

function summary(what: string, changes: readonly number[], most: number, unit: string): boolean {
  const [low, high] = medianInterval(changes);
  const met = median(changes) <= most;
  say(
    `${what}: median ${median(changes).toFixed(2)} ${unit}, 95 % interval ${low.toFixed(2)}..${high.toFixed(2)} ${unit}, at most ${most} ${unit}: ${met ? 'met' : 'MISSED'}`,
  );
  return met;
}

async function cost(): Promise<{ pairs: Measured[]; met: boolean }> {
  const admin = await freeTcpPort();
  const plain = await start(reveille('linux', values.against));
  const seen = await start(watched(admin));
  const watch = new Watch(`http://127.0.0.1:${admin}`);
  const pairs: Measured[] = [];
  try {
    if (values.page) await watch.openPage();
    for (const server of [plain, seen]) for (let turn = 0; turn < 3; turn++) await blockCost(server);
    say('\n| pair | unwatched, µs a block | watched, µs a block | % |\n|---|---|---|---|');
    for (let pair = 0; pair < PAIRS; pair++) {
      const order = pair % 2 === 0 ? ['without', 'with'] : ['with', 'without'];
      const found: Record<string, number> = {};
      for (const which of order) {
        found[which] = await (which === 'with' ? blockCost(seen, watch) : blockCost(plain));
      }
      const measured = { without: found['without']!, with: found['with']! };
      pairs.push(measured);
      const percent = 100 * (measured.with / measured.without - 1);
      say(`| ${pair + 1} | ${measured.without.toFixed(3)} | ${measured.with.toFixed(3)} | ${percent.toFixed(1)} |`);
    }
    say(`${watch.scrapes} scrapes, the last of ${watch.scrapeBytes} bytes; ${watch.pageBytes} bytes to the page`);
  } finally {
    await watch.end();
    await plain.stop();
    await seen.stop();
  }
  const changes = pairs.map((pair) => 100 * (pair.with / pair.without - 1));
  return { pairs, met: summary('CPU per block', changes, MAX_PERCENT, '%') };
}

interface Turnaround {
  readonly blocks: number;
  readonly lost: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

class SlowNodes {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(port: number) {
    const script = join(import.meta.dirname, 'client.ts');
    const args = [port, SLOW.nodes, 'image', SLOW.thinkMs, SLOW.blksize].map(String);
    this.#process = spawn('taskset', ['-c', '1', process.execPath, '--import', 'tsx', script, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  async ready(): Promise<void> {
    const { value } = await this.#lines.next();
    if (value !== 'ready') throw new Error(`Expected the nodes to be ready, got ${String(value)}`);
  }

  /** @returns the turnarounds since the last call. */
  async turnarounds(): Promise<Turnaround> {
    this.#process.stdin.write('\n');
    const { value } = await this.#lines.next();
    return JSON.parse(value as string) as Turnaround;
  }

  async end(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.stdin.end();
    await ended;
  }
}

async function turnaround(): Promise<{ pairs: Measured[]; met: boolean }> {
  const admin = await freeTcpPort();
  const server = await start(watched(admin));
  const nodes = new SlowNodes(server.port);
  const watch = new Watch(`http://127.0.0.1:${admin}`);
  const pairs: Measured[] = [];
  try {
    await nodes.ready();
    // The server has to adapt to the slow nodes, and its code has to be compiled.
    await delay(10_000);
    say(`\n${SLOW.nodes} transfers at once`);
    say('| pair | scraped | blocks | p50 ms | p99 ms | p99.9 ms | longest ms |\n|---|---|---|---|---|---|---|');
    for (let pair = 0; pair < PAIRS; pair++) {
      const found: Record<string, Turnaround> = {};
      for (const which of pair % 2 === 0 ? ['without', 'with'] : ['with', 'without']) {
        if (which === 'with') watch.scrape();
        await nodes.turnarounds();
        await delay(PHASE_MS);
        found[which] = await nodes.turnarounds();
        await watch.stopScraping();
        const { blocks, p50, p99, p999, max } = found[which];
        const figures = [p50, p99, p999, max].map((ms) => ms.toFixed(2)).join(' | ');
        say(`| ${pair + 1} | ${which === 'with' ? 'yes' : 'no'} | ${blocks} | ${figures} |`);
      }
      if (found['with']!.lost > 0) throw new Error(`${found['with']!.lost} nodes have lost their server`);
      pairs.push({ without: found['without']!.p99, with: found['with']!.p99 });
    }
    say(`${watch.scrapes} scrapes, the last of ${watch.scrapeBytes} bytes`);
  } finally {
    await watch.end();
    await nodes.end();
    await server.stop();
  }
  const changes = pairs.map((pair) => pair.with - pair.without);
  return { pairs, met: summary('turnaround p99', changes, MAX_MS, 'ms') };
}

const machine = { ...describeMachine(), commit: describeCommit() };
say(machineLine(describeMachine(), describeCommit()));
const results: Record<string, { pairs: Measured[]; met: boolean }> = {};
try {
  if (values.part !== 'turnaround') results['cost'] = await cost();
  if (values.part !== 'cost') results['turnaround'] = await turnaround();
} finally {
  rmSync(root, { recursive: true });
}
if (values.json !== undefined) {
  writeFileSync(values.json, `${JSON.stringify({ machine, pairs: PAIRS, results }, null, 2)}\n`);
}
process.exitCode = Object.values(results).every(({ met }) => met) ? 0 : 1;
