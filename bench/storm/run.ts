/**
 * The named storms against Reveille and its peers: server on one core, storm on the other. Prints one row for each
 * server and keeps the figures.
 *
 *   npm run bench:storm -- [--scenario TEXT] [--only TEXT] [--rounds 1] [--json FILE]
 *
 * A server that can't cope takes minutes, because its nodes are patient. Needs the same as bench:peers.
 */
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { StormReport } from '../../src/storm/report.ts';
import { describeCommit, describeMachine } from '../machine.ts';
import { RunningServer } from '../peers/running-server.ts';
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
/** Several times longer than any firmware's patience. */
const MAX_MS = 900_000;
const REVEILLE = join(import.meta.dirname, '../../dist/cli/main.js');
const work = join(tmpdir(), 'reveille-bench-peers');
mkdirSync(work, { recursive: true });
const root = mkdtempSync(join(work, 'storm-'));
execFileSync('chmod', ['755', root]);
for (const [name, size] of Object.entries(FILES)) {
  mkdirSync(join(root, dirname(name)), { recursive: true, mode: 0o755 });
  writeFileSync(join(root, name), randomFillSync(Buffer.alloc(size)), { mode: 0o644 });
}

function storm(scenario: Scenario, port: number): StormReport {
  const json = join(root, '..', 'storm.json');
  const plan = join(root, '..', 'plan.yaml');
  if (scenario.plan !== undefined) writeFileSync(plan, scenario.plan);
  const planned = scenario.plan === undefined ? [] : ['--plan', plan];
  const own = ['storm', `127.0.0.1:${port}`, '--quiet', '--verify', root, '--threads', '1', '--json', json];
  const command = ['-c', '1', process.execPath, REVEILLE, ...own, ...planned, ...scenario.args];
  try {
    execFileSync('taskset', command, { timeout: MAX_MS, stdio: ['ignore', 'ignore', 'inherit'] });
  } catch (error) {
    // Exit code 1 means that nodes have failed, which is a result.
    if ((error as { status?: number }).status !== 1) throw error;
  }
  return JSON.parse(readFileSync(json, 'utf8')) as StormReport;
}

async function measure(contender: Contender, scenario: Scenario, turn: number): Promise<StormSample> {
  const server = await RunningServer.start(contender, root, `reveille-bench-storm-${process.pid}-${turn}`);
  try {
    const before = server.cpuUs;
    const report = storm(scenario, server.port);
    const used = server.cpuUs - before;
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
    await server.stop();
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
