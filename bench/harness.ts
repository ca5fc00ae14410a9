/**
 * The cost of the storm beside the server that it tests: the same blocks, in lockstep, every byte compared, Reveille's
 * Linux engine on the first core and the storm on the second. Prints the CPU time of both per block, and the ratio, for
 * each of several pairs. Exits with 1 when the median ratio is above --most.
 *
 *   npm run bench:harness -- [--rounds 7] [--nodes 100] [--most 1.25] [--json FILE]
 *
 * The server is warmed up. The storm runs as users run it, in a new process: compiling counts, from its first packet
 * on, in all its threads; loading does not. Needs Linux, two cores and root (for the cgroup that accounts for the
 * server).
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
import { reveille } from './peers/servers.ts';
import { machineLine } from './report.ts';
import { median, range } from './statistics.ts';

const MIB = 1024 ** 2;
const REVEILLE = join(import.meta.dirname, '../dist/cli/main.js');
/** Blocks of 1432 bytes, no window, as iPXE asks. */
const PROFILE = 'ipxe';
const BLKSIZE = 1432;
const REPEATS = 20;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    nodes: { type: 'string', default: '100' },
    most: { type: 'string', default: '1.25' },
    json: { type: 'string' },
  },
});
const work = join(tmpdir(), 'reveille-bench-peers');
mkdirSync(work, { recursive: true });
const root = mkdtempSync(join(work, 'harness-'));
writeFileSync(join(root, 'kernel'), randomFillSync(Buffer.alloc(MIB)));
const plan = join(root, 'plan.yaml');

/** Runs a storm in which each node fetches the file `repeats` times, and compares each byte. */
function storm(port: number, repeats: number): StormReport {
  const json = join(root, 'storm.json');
  writeFileSync(
    plan,
    `name: lockstep\nstages:\n  - { name: kernel, profile: ${PROFILE}, file: kernel, repeat: ${repeats} }\n`,
  );
  const own = ['storm', `127.0.0.1:${port}`, '--quiet', '--threads', '1', '--verify', root, '--json', json];
  const command = ['-c', '1', process.execPath, REVEILLE, ...own, '--plan', plan, '--nodes', values.nodes];
  execFileSync('taskset', command, { stdio: ['ignore', 'ignore', 'inherit'], timeout: 300_000 });
  return JSON.parse(readFileSync(json, 'utf8')) as StormReport;
}

/** Names carry units. */
interface Pair {
  readonly server_us_per_block: number;
  readonly harness_us_per_block: number;
  readonly ratio: number;
  readonly busiest_thread: number;
  /** True when the storm reported that it was the bottleneck itself. */
  readonly bottleneck: boolean;
  readonly server_busy: number;
}

async function measure(turn: number): Promise<Pair> {
  const server = await RunningServer.start(reveille('linux'), root, `reveille-bench-harness-${process.pid}-${turn}`);
  try {
    storm(server.port, 5);
    const before = server.cpuUs;
    const report = storm(server.port, REPEATS);
    const used = server.cpuUs - before;
    const blocks = Number(values.nodes) * REPEATS * (Math.floor(MIB / BLKSIZE) + 1);
    if (report.bytes !== Number(values.nodes) * REPEATS * MIB) throw new Error('Expected all bytes');
    return {
      server_us_per_block: used / blocks,
      harness_us_per_block: (report.harness.cpu_s * 1e6) / blocks,
      ratio: (report.harness.cpu_s * 1e6) / used,
      busiest_thread: report.harness.busiest_thread,
      bottleneck: report.harness.bottleneck,
      server_busy: used / 1e6 / report.duration_s,
    };
  } finally {
    await server.stop();
  }
}

const say = (line: string): boolean => process.stdout.write(`${line}\n`);
say(machineLine(describeMachine(), describeCommit()));
say('| pair | server, µs a block | storm, µs a block | storm ÷ server | storm busy | says bottleneck | server busy |');
say('|---|---|---|---|---|---|---|');
const pairs: Pair[] = [];
for (let turn = 0; turn < Number(values.rounds); turn++) {
  const pair = await measure(turn);
  pairs.push(pair);
  const { server_us_per_block: server, harness_us_per_block: harness, ratio, busiest_thread: busy } = pair;
  const percent = (share: number): string => `${Math.round(100 * share)} %`;
  say(
    `| ${turn + 1} | ${server.toFixed(2)} | ${harness.toFixed(2)} | ${ratio.toFixed(2)} | ${percent(busy)} | ${pair.bottleneck ? 'yes' : 'no'} | ${percent(pair.server_busy)} |`,
  );
}
const ratios = pairs.map(({ ratio }) => ratio);
const met = median(ratios) <= Number(values.most);
say(`median ratio ${median(ratios).toFixed(2)} (${range(ratios)}), at most ${values.most}: ${met ? 'met' : 'MISSED'}`);
if (values.json !== undefined) {
  const machine = { ...describeMachine(), commit: describeCommit() };
  writeFileSync(values.json, `${JSON.stringify({ machine, pairs }, null, 2)}\n`);
}
rmSync(root, { recursive: true });
process.exitCode = met ? 0 : 1;
