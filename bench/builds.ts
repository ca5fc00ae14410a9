/**
 * Compares this build with another one: CPU time per block in lockstep, and the first reply when all nodes ask at once, in
 * interleaved pairs. Prints each pair, the median ratios and their intervals at 95 % confidence. Exits with 1 when a
 * median ratio is above 1.05.
 *
 *   npm run bench:builds -- --before DIST [--pairs 15] [--fetches 700]
 *
 * DIST is the folder `dist` of the other build. The servers run on the first core, the clients on the second. Needs
 * Linux, two quiet cores, cc and root.
 */
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeCommit, describeMachine } from './machine.ts';
import { runStorm } from './peers/run-storm.ts';
import { RunningServer } from './peers/running-server.ts';
import { reveille } from './peers/servers.ts';
import { machineLine } from './report.ts';
import { median, medianInterval } from './statistics.ts';

const MAX_RATIO = 1.05;
const WARM_UPS = 3;
const KERNEL_BYTES = 2 ** 20;
const STORM = { nodes: 100, file: 'kernel', wish: { blksize: 1468 } };
const BURST = { nodes: 1000, fetches: 1000, file: 'config', wish: { blksize: 1468 } };

const { values } = parseArgs({
  options: {
    before: { type: 'string' },
    pairs: { type: 'string', default: '15' },
    fetches: { type: 'string', default: '700' },
  },
});

interface Measured {
  readonly blockUs: number;
  readonly replyMs: number;
}

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

async function measure(root: string, server: RunningServer): Promise<Measured> {
  const before = server.cpuUs;
  const steady = await runStorm(root, server.port, { ...STORM, fetches: Number(values.fetches) });
  const blockUs = (server.cpuUs - before) / steady.blocks;
  const burst = await runStorm(root, server.port, BURST);
  const failed = steady.failed + burst.failed;
  if (failed > 0) throw new Error(`Expected every fetch to succeed, ${failed} failed`);
  return { blockUs, replyMs: burst.firstReplyMs.p99 };
}

function summary(what: string, ratios: readonly number[]): boolean {
  const [low, high] = medianInterval(ratios);
  const met = median(ratios) <= MAX_RATIO;
  say(
    `${what}: median ratio ${median(ratios).toFixed(3)}, 95 % interval ${low.toFixed(3)}..${high.toFixed(3)}, at most ${MAX_RATIO}: ${met ? 'met' : 'MISSED'}`,
  );
  return met;
}

async function main(): Promise<number> {
  if (values.before === undefined) {
    process.stderr.write('bench:builds: --before: expected the folder dist of another build, got nothing\n');
    return 2;
  }
  say(machineLine(describeMachine(), describeCommit()));
  const work = join(tmpdir(), 'reveille-bench-peers');
  mkdirSync(work, { recursive: true });
  const root = mkdtempSync(join(work, 'builds-'));
  execFileSync('chmod', ['755', root]);
  writeFileSync(join(root, 'config'), randomFillSync(Buffer.alloc(300)), { mode: 0o644 });
  writeFileSync(join(root, 'kernel'), randomFillSync(Buffer.alloc(KERNEL_BYTES)), { mode: 0o644 });
  const start = (name: string, dist?: string): Promise<RunningServer> =>
    RunningServer.start(reveille('linux', dist), root, `reveille-bench-builds-${process.pid}-${name}`);
  const before = await start('before', values.before);
  const after = await start('after');
  const [blocks, replies]: [number[], number[]] = [[], []];
  try {
    for (let turn = 0; turn < WARM_UPS; turn++) for (const server of [before, after]) await measure(root, server);
    say('| pair | before, µs a block | after | ratio | before, first reply p99 ms | after | ratio |');
    say('|---|---|---|---|---|---|---|');
    for (let pair = 1; pair <= Number(values.pairs); pair++) {
      const order = pair % 2 === 0 ? [after, before] : [before, after];
      const found = new Map<RunningServer, Measured>();
      for (const server of order) found.set(server, await measure(root, server));
      const [old, now] = [found.get(before)!, found.get(after)!];
      blocks.push(now.blockUs / old.blockUs);
      replies.push(now.replyMs / old.replyMs);
      say(
        `| ${pair} | ${old.blockUs.toFixed(3)} | ${now.blockUs.toFixed(3)} | ${blocks.at(-1)!.toFixed(3)} | ${old.replyMs} | ${now.replyMs} | ${replies.at(-1)!.toFixed(3)} |`,
      );
    }
  } finally {
    await before.stop();
    await after.stop();
    rmSync(root, { recursive: true });
  }
  const met = [summary('CPU per block', blocks), summary('first reply p99', replies)];
  return met.every(Boolean) ? 0 : 1;
}

process.exitCode = await main();
