/**
 * The cost of one port for all transfers beside a port for each: the same storms against both, in pairs, in an order
 * that changes from pair to pair. Prints CPU time of the server per block in lockstep, and the first reply's p99 when
 * many nodes ask at once. Exits with 1 when a median ratio is above its bound.
 *
 *   npm run bench:port -- [--rounds 11] [--nodes 100] [--burst 1000] [--most 1.1] [--most-p99 1.1] [--json FILE]
 *
 * The server has the first core, the storm the second. Needs Linux, two quiet cores, root (for the cgroup that accounts
 * for the server) and a build.
 */
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { StormReport } from '../src/storm/report.ts';
import { describeCommit, describeMachine } from './machine.ts';
import { RunningServer } from './peers/running-server.ts';
import { type Contender, reveille } from './peers/servers.ts';
import { machineLine } from './report.ts';
import { median, range } from './statistics.ts';

const MIB = 1024 ** 2;
const REVEILLE = join(import.meta.dirname, '../dist/cli/main.js');
/** Blocks of 1432 bytes, no window, as iPXE asks. */
const PROFILE = 'ipxe';
const BLOCKS = Math.floor(MIB / 1432) + 1;
const REPEATS = 6;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '11' },
    nodes: { type: 'string', default: '100' },
    burst: { type: 'string', default: '1000' },
    most: { type: 'string', default: '1.1' },
    'most-p99': { type: 'string', default: '1.1' },
    json: { type: 'string' },
  },
});
const work = join(tmpdir(), 'reveille-bench-peers');
mkdirSync(work, { recursive: true });
const root = mkdtempSync(join(work, 'single-port-'));
writeFileSync(join(root, 'kernel'), randomFillSync(Buffer.alloc(MIB)));
writeFileSync(join(root, 'loader'), randomFillSync(Buffer.alloc(60_000)));

/** Runs a storm in which each node fetches a file `repeats` times, and compares each byte. */
function storm(port: number, file: string, nodes: string, repeats: number): StormReport {
  const [json, plan] = [join(root, 'storm.json'), join(root, 'plan.yaml')];
  const stage = `{ name: file, profile: ${PROFILE}, file: ${file}, repeat: ${repeats} }`;
  writeFileSync(plan, `name: ${file}\nstages:\n  - ${stage}\n`);
  const own = ['storm', `127.0.0.1:${port}`, '--quiet', '--threads', '1', '--verify', root, '--json', json];
  const command = ['-c', '1', process.execPath, REVEILLE, ...own, '--plan', plan, '--nodes', nodes];
  execFileSync('taskset', command, { stdio: ['ignore', 'ignore', 'inherit'], timeout: 300_000 });
  return JSON.parse(readFileSync(json, 'utf8')) as StormReport;
}

/** Names carry units. */
interface Figures {
  readonly cpu_us_per_block: number;
  readonly first_reply_p99_ms: number;
}

async function measure(contender: Contender, turn: number): Promise<Figures> {
  const server = await RunningServer.start(contender, root, `reveille-bench-port-${process.pid}-${turn}`);
  try {
    storm(server.port, 'kernel', values.nodes, 3);
    const before = server.cpuUs;
    storm(server.port, 'kernel', values.nodes, REPEATS);
    const used = server.cpuUs - before;
    const burst = storm(server.port, 'loader', values.burst, 1);
    if (burst.completed !== Number(values.burst)) throw new Error(`Expected all nodes to boot, ${burst.failed} failed`);
    return {
      cpu_us_per_block: used / (Number(values.nodes) * REPEATS * BLOCKS),
      first_reply_p99_ms: burst.first_reply_ms!.p99,
    };
  } finally {
    await server.stop();
  }
}

const own = reveille('linux');
const single: Contender = {
  ...own,
  name: 'one port',
  command: (folder, port) => [...own.command(folder, port), '--single-port', '--clients', '127.0.0.0/8'],
};

const say = (line: string): boolean => process.stdout.write(`${line}\n`);
say(machineLine(describeMachine(), describeCommit()));
say('| pair | own ports, µs a block | one port | ratio | own ports, first reply p99 ms | one port | ratio |');
say('|---|---|---|---|---|---|---|');
const pairs: { readonly own: Figures; readonly single: Figures }[] = [];
for (let turn = 0; turn < Number(values.rounds); turn++) {
  const order = turn % 2 === 0 ? [own, single] : [single, own];
  const first = await measure(order[0]!, 2 * turn);
  const second = await measure(order[1]!, 2 * turn + 1);
  const pair = turn % 2 === 0 ? { own: first, single: second } : { own: second, single: first };
  pairs.push(pair);
  const cells = (['cpu_us_per_block', 'first_reply_p99_ms'] as const).flatMap((figure) => [
    pair.own[figure].toFixed(2),
    pair.single[figure].toFixed(2),
    (pair.single[figure] / pair.own[figure]).toFixed(2),
  ]);
  say(`| ${[turn + 1, ...cells].join(' | ')} |`);
}
const bounds = [
  ['CPU per block', 'cpu_us_per_block', Number(values.most)],
  ['first reply p99', 'first_reply_p99_ms', Number(values['most-p99'])],
] as const;
let missed = 0;
for (const [what, figure, most] of bounds) {
  const ratios = pairs.map((pair) => pair.single[figure] / pair.own[figure]);
  const isMet = median(ratios) <= most;
  if (!isMet) missed++;
  const verdict = isMet ? 'met' : 'MISSED';
  say(`${what}: median ratio ${median(ratios).toFixed(2)} (${range(ratios)}), at most ${most}: ${verdict}`);
}
if (values.json !== undefined) {
  const machine = { ...describeMachine(), commit: describeCommit() };
  writeFileSync(values.json, `${JSON.stringify({ machine, pairs }, null, 2)}\n`);
}
rmSync(root, { recursive: true });
process.exitCode = missed === 0 ? 0 : 1;
