/**
 * The named storms against Reveille and its peers: server on one core, storm on the other. Prints one row for each
 * server and keeps the figures.
 *
 *   npm run bench:storm -- [--scenario TEXT] [--only TEXT] [--rounds 1] [--json FILE]
 *
 * A server that can't cope costs minutes, as its nodes' patience does. Needs what bench:peers needs.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { StormReport } from '../../src/storm/report.ts';
import { describeCommit, describeMachine } from '../machine.ts';
import { openCpuAccount } from '../peers/cpu-account.ts';
import { type Contender, contenders } from '../peers/servers.ts';
import { FILES, type Scenario, SCENARIOS } from './scenarios.ts';

/** The figures kept for each run. Names carry units. */
export interface StormSample {
  readonly completed: number;
  readonly failed: number;
  readonly wrong_bytes: number | null;
  readonly violations: number;
  readonly first_reply_p99_ms: number | null;
  readonly finish_p50_s: number | null;
  readonly finish_p99_s: number | null;
  readonly duration_s: number;
  readonly server_cpu_us_per_kib: number;
  readonly storm_cpu_us_per_kib: number;
  readonly retransmits_by_client: number;
  readonly retransmits_by_server: number;
}

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', default: '' },
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '1' },
    json: { type: 'string' },
  },
});
/** Longer than any firmware's patience several times over. */
const LONGEST_MS = 900_000;
const REVEILLE = join(import.meta.dirname, '../../dist/control/main.js');
const work = join(tmpdir(), 'reveille-bench-peers');
mkdirSync(work, { recursive: true });
const root = mkdtempSync(join(work, 'storm-'));
execFileSync('chmod', ['755', root]);
for (const [name, size] of Object.entries(FILES)) {
  mkdirSync(join(root, dirname(name)), { recursive: true, mode: 0o755 });
  writeFileSync(join(root, name), randomFillSync(Buffer.alloc(size)), { mode: 0o644 });
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

/** Asks until somebody answers. */
async function answering(port: number, server: ChildProcess): Promise<void> {
  const socket = createSocket('udp4');
  const answer = once(socket, 'message');
  const again = setInterval(() => socket.send('\0\x01no-such-file\0octet\0', port, '127.0.0.1'), 50);
  const gone = once(server, 'exit').then(() => Promise.reject(new Error('The server has ended')));
  gone.catch(() => {});
  try {
    await Promise.race([answer, gone]);
  } finally {
    clearInterval(again);
    socket.close();
  }
}

function storm(scenario: Scenario, port: number): StormReport {
  const json = join(root, '..', 'storm.json');
  const plan = join(root, '..', 'plan.yaml');
  if (scenario.plan !== undefined) writeFileSync(plan, scenario.plan);
  const planned = scenario.plan === undefined ? [] : ['--plan', plan];
  const own = ['storm', `127.0.0.1:${port}`, '--quiet', '--verify', root, '--threads', '1', '--json', json];
  const command = ['-c', '1', process.execPath, REVEILLE, ...own, ...planned, ...scenario.args];
  try {
    execFileSync('taskset', command, { timeout: LONGEST_MS, stdio: ['ignore', 'ignore', 'inherit'] });
  } catch (error) {
    // Exit code 1: nodes have failed, which is a result.
    if ((error as { status?: number }).status !== 1) throw error;
  }
  return JSON.parse(readFileSync(json, 'utf8')) as StormReport;
}

async function measure(contender: Contender, scenario: Scenario, turn: number): Promise<StormSample> {
  const port = contender.port ?? (await freePort());
  const account = openCpuAccount(`reveille-bench-storm-${process.pid}-${turn}`);
  const [command = '', ...args] = [...account.prefix, 'taskset', '-c', '0', ...contender.command(root, port)];
  const server = spawn(command, args, { stdio: 'ignore', cwd: root });
  try {
    await answering(port, server);
    const before = account.used(server.pid!);
    const report = storm(scenario, port);
    const used = account.used(server.pid!) - before;
    const kib = report.bytes / 1024;
    return {
      completed: report.completed,
      failed: report.failed,
      wrong_bytes: report.wrong_bytes,
      violations: report.violations.reduce((sum, { count }) => sum + count, 0),
      first_reply_p99_ms: report.first_reply_ms?.p99 ?? null,
      finish_p50_s: report.finish_s?.p50 ?? null,
      finish_p99_s: report.finish_s?.p99 ?? null,
      duration_s: report.duration_s,
      server_cpu_us_per_kib: used / kib,
      storm_cpu_us_per_kib: (report.harness.cpu_s * 1e6) / kib,
      retransmits_by_client: report.retransmits.client,
      retransmits_by_server: report.retransmits.server,
    };
  } finally {
    if (server.exitCode === null && server.signalCode === null) {
      const ended = once(server, 'exit');
      server.kill('SIGTERM');
      await ended;
    }
    account.close();
  }
}

const say = (line: string): boolean => process.stdout.write(`${line}\n`);
const machine = { ...describeMachine(), commit: describeCommit() };
say(Object.values(machine).join(', '));
const results: Record<string, Record<string, StormSample[]>> = {};
const taking = contenders(work).filter(({ name }) => name !== 'reference.c' && name.includes(values.only));
let turn = 0;
for (const scenario of SCENARIOS.filter(({ name }) => name.includes(values.scenario))) {
  say(`\n${scenario.name}: ${scenario.title}`);
  say(
    '| server | booted | failed | first reply p99 ms | finish p50 s | finish p99 s | µs of CPU per KiB | violations |',
  );
  say('|---|---|---|---|---|---|---|---|');
  const samples: Record<string, StormSample[]> = {};
  results[scenario.name] = samples;
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const contender of taking) {
      const sample = await measure(contender, scenario, turn++).catch((error: unknown) => {
        say(`| ${contender.name} | ${String(error).split('\n')[0]} |`);
      });
      if (sample === undefined) continue;
      samples[contender.name] ??= [];
      samples[contender.name]!.push(sample);
      const figure = (value: number | null, digits: number): string => (value === null ? '–' : value.toFixed(digits));
      say(
        `| ${contender.name} | ${sample.completed} | ${sample.failed} | ${figure(sample.first_reply_p99_ms, 1)} | ${figure(sample.finish_p50_s, 1)} | ${figure(sample.finish_p99_s, 1)} | ${figure(sample.server_cpu_us_per_kib, 2)} | ${sample.violations} |`,
      );
    }
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);
}
rmSync(root, { recursive: true });
