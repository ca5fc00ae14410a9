/**
 * All nodes ask in the same moment, as after a power cut: measures how long they wait for the first reply and for the
 * file. Server on one core, the client in C (bench/peers/client.c) on the other. Reveille takes part three times: warm,
 * after serving before; idle, after collecting its garbage as in hours of idling; and cold, in a process that was
 * started for the burst.
 *
 *   npm run bench:burst -- [--rounds 7] [--nodes 1000,5000,10000] [--only TEXT,...] [--against DIST] [--stock] [--json FILE]
 *
 * `--stock` takes the capabilities from the servers, so that their receive buffers are as small as net.core.rmem_max
 * says. Needs Linux with two cores, root and cc. Traffic stays on loopback.
 */
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { describeCommit, describeMachine } from '../machine.ts';
import { runStorm, type StormResult } from '../peers/run-storm.ts';
import { RunningServer } from '../peers/running-server.ts';
import { type Contender, contenders, reveille } from '../peers/servers.ts';
import { median, range } from '../statistics.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    nodes: { type: 'string', default: '1000,5000,10000' },
    only: { type: 'string', default: '' },
    against: { type: 'string' },
    stock: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});

const FILE_BYTES = 128 * 1024;
const LOCKSTEP = { blksize: 1468 };
/** Storms that a warm server serves before it is measured. */
const WARM_UP = [
  { nodes: 200, fetches: 5000, file: 'config', wish: {} },
  ...Array.from({ length: 4 }, () => ({ nodes: 500, fetches: 500, file: 'burst', wish: LOCKSTEP })),
];
const WITHOUT_CAPABILITIES = ['setpriv', '--bounding-set', '-all', '--inh-caps', '-all'];

interface Entrant {
  readonly name: string;
  readonly contender: Contender;
  readonly state: 'warm' | 'idle' | 'cold';
}

const COLLECT = ['--import', join(import.meta.dirname, 'collect.mjs')];
/** More time than ten collections in two threads take. */
const COLLECTING_MS = 2000;

const work = join(tmpdir(), 'reveille-bench-peers');
mkdirSync(work, { recursive: true });
const root = mkdtempSync(join(work, 'burst-'));
for (const [name, size] of [
  ['burst', FILE_BYTES],
  ['config', 300],
] as const) {
  writeFileSync(join(root, name), randomFillSync(Buffer.alloc(size)), { mode: 0o644 });
}
execFileSync('chmod', ['755', root]);

let started = 0;
async function start({ contender, state }: Entrant): Promise<RunningServer> {
  const command: Contender['command'] = (served, port) => {
    const [program = '', ...args] = contender.command(served, port);
    return [...(values.stock ? WITHOUT_CAPABILITIES : []), program, ...(state === 'idle' ? COLLECT : []), ...args];
  };
  return await RunningServer.start({ ...contender, command }, root, `reveille-bench-burst-${process.pid}-${started++}`);
}

interface Burst extends StormResult {
  readonly cpuUsPerNode: number;
  readonly peakMiB: number;
}

async function burst(server: RunningServer, nodes: number): Promise<Burst> {
  const before = server.cpuUs;
  const result = await runStorm(root, server.port, { nodes, fetches: nodes, file: 'burst', wish: LOCKSTEP });
  return { ...result, cpuUsPerNode: (server.cpuUs - before) / nodes, peakMiB: server.peakMiB };
}

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

function entrants(): Entrant[] {
  const [linux, ...others] = contenders(work).filter(({ name }) => /^(?:reveille, linux|reference|dnsmasq)/.test(name));
  const builds = [linux!, ...(values.against === undefined ? [] : [reveille('linux', values.against)])];
  const wanted = values.only.split(',');
  return [
    ...builds.flatMap((contender) => [
      { name: `${contender.name}, warm`, contender, state: 'warm' as const },
      { name: `${contender.name}, idle`, contender, state: 'idle' as const },
      { name: `${contender.name}, cold`, contender, state: 'cold' as const },
    ]),
    ...others.map((contender) => ({ name: contender.name, contender, state: 'warm' as const })),
  ].filter(({ name }) => wanted.some((text) => name.includes(text)));
}

/** Runs bursts against every server in turn; each round begins with another one. */
async function takeTurns(nodes: number): Promise<Record<string, Burst[]>> {
  const taking = entrants();
  const running = new Map<string, RunningServer>();
  const found: Record<string, Burst[]> = Object.fromEntries(taking.map(({ name }) => [name, []]));
  try {
    for (const entrant of taking.filter(({ state }) => state !== 'cold')) {
      const server = await start(entrant);
      running.set(entrant.name, server);
      for (const storm of WARM_UP) await runStorm(root, server.port, storm);
    }
    for (let round = 0; round < Number(values.rounds); round++) {
      for (let place = 0; place < taking.length; place++) {
        const entrant = taking[(round + place) % taking.length]!;
        const server = running.get(entrant.name) ?? (await start(entrant));
        try {
          if (entrant.state === 'idle') {
            server.signal('SIGUSR2');
            await delay(COLLECTING_MS);
          }
          found[entrant.name]!.push(await burst(server, nodes));
        } finally {
          if (entrant.state === 'cold') await server.stop();
        }
      }
    }
    return found;
  } finally {
    for (const server of running.values()) await server.stop();
  }
}

const machine = {
  ...describeMachine(),
  commit: describeCommit(),
  rmemMax: Number(readFileSync('/proc/sys/net/core/rmem_max', 'utf8')),
};
say(Object.values(machine).join(', '));
const results: Record<string, Record<string, Burst[]>> = {};
for (const nodes of values.nodes.split(',').map(Number)) {
  const found = await takeTurns(nodes);
  results[nodes] = found;
  say(`\n${nodes} nodes at once, ${FILE_BYTES / 1024} KiB in lockstep${values.stock ? ', no capabilities' : ''}; ms`);
  say('| server | first reply p50 | p99 | range of p99 | slowest done | resends | failed | µs of CPU a node | MiB |');
  say('|---|---|---|---|---|---|---|---|---|');
  for (const [name, runs] of Object.entries(found)) {
    const of = (pick: (run: Burst) => number): string => median(runs.map(pick)).toFixed(1);
    const p99 = runs.map(({ firstReplyMs }) => firstReplyMs.p99);
    const failed = runs.reduce((sum, run) => sum + run.failed, 0);
    say(
      `| ${name} | ${of((run) => run.firstReplyMs.p50)} | ${median(p99).toFixed(1)} | ${range(p99)} | ${of((run) => run.finishMs.max)} | ${of((run) => run.resends)} | ${failed} | ${of((run) => run.cpuUsPerNode)} | ${of((run) => run.peakMiB)} |`,
    );
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);
}
rmSync(root, { recursive: true });
