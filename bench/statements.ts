/**
 * Checks the statements that can be observed from outside against Reveille and the servers that Debian packages: the
 * source of the results in docs/statements.md. Prints a row for each server, then the result of each statement that one
 * of them fails.
 *
 *   npm run bench:statements -- [--only TEXT] [--json FILE]
 *
 * A run lasts a minute at most, and is ended after ten. Needs the same as bench:peers.
 */
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { CheckReport } from '../src/check/report.ts';
import { describeCommit, describeMachine } from './machine.ts';
import { RunningServer } from './peers/running-server.ts';
import { type Contender, contenders } from './peers/servers.ts';
import { machineLine } from './report.ts';

/** Names and sizes in bytes: every statement finds a file that it can be tried with. */
const FILES: Readonly<Record<string, number>> = {
  linux: 1_700_001,
  empty: 0,
  two: 2,
  'boot/with space': 750,
  'k\u00e4se': 900,
  even: 2048,
  more: 5000,
};
const REVEILLE = join(import.meta.dirname, '../dist/cli/main.js');
/** More than the limit of a check's own run. */
const MAX_MS = 660_000;

const { values } = parseArgs({ options: { only: { type: 'string', default: '' }, json: { type: 'string' } } });
const work = join(tmpdir(), 'reveille-bench-peers');
mkdirSync(work, { recursive: true });
const root = mkdtempSync(join(work, 'statements-'));
execFileSync('chmod', ['755', root]);
for (const [name, size] of Object.entries(FILES)) {
  mkdirSync(join(root, dirname(name)), { recursive: true, mode: 0o755 });
  writeFileSync(join(root, name), randomFillSync(Buffer.alloc(size)), { mode: 0o644 });
}

async function check(contender: Contender): Promise<CheckReport> {
  const server = await RunningServer.start(contender, root, `reveille-bench-statements-${process.pid}`);
  const json = join(work, 'check.json');
  const files = Object.keys(FILES).flatMap((name) => ['--file', name]);
  const command = [
    'check',
    `127.0.0.1:${server.port}`,
    ...files,
    '--against',
    root,
    '--timeout',
    '10m',
    '--json',
    json,
  ];
  try {
    execFileSync(process.execPath, [REVEILLE, ...command], {
      timeout: MAX_MS,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  } catch (error) {
    // Exit code 1 means that statements have failed, which is a result.
    if ((error as { status?: number }).status !== 1) throw error;
  } finally {
    await server.stop();
  }
  return JSON.parse(readFileSync(json, 'utf8')) as CheckReport;
}

const say = (line: string): boolean => process.stdout.write(`${line}\n`);
say(machineLine(describeMachine(), describeCommit()));
say('| server | passed | failed | not offered | not tried | took | fell silent after |');
say('|---|---|---|---|---|---|---|');
const reports: Record<string, CheckReport> = {};
for (const contender of contenders(work)) {
  const { name } = contender;
  if (name === 'reference.c' || !name.includes(values.only)) continue;
  const report = await check(contender);
  reports[name] = report;
  const { pass, fail, not_offered, not_tried, duration_s, fell_silent_after } = report;
  const silent = fell_silent_after === null ? '–' : fell_silent_after.join(', ');
  say(`| ${name} | ${pass} | ${fail} | ${not_offered} | ${not_tried} | ${Math.round(duration_s)} s | ${silent} |`);
}
const all = Object.entries(reports);
for (const { number, title } of all[0]?.[1].checks ?? []) {
  const results = all.map(([name, { checks }]) => ({ name, ...checks.find((one) => one.number === number)! }));
  if (results.every(({ verdict }) => verdict === 'pass')) continue;
  say(`\n${number} ${title}`);
  for (const { name, verdict, detail } of results) say(`  ${name}: ${verdict}${detail === '' ? '' : `, ${detail}`}`);
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(reports, null, 2)}\n`);
rmSync(root, { recursive: true });
