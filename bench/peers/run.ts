/**
 * The same storm against Reveille and its peers, in turns: server on one core, clients on the other. Prints the CPU
 * time of the server's whole process tree for each block or fetch, as medians with their range, and ratios from pairs
 * of neighboring runs.
 *
 *   npm run bench:peers -- [--rounds 7] [--only TEXT,...] [--case TEXT] [--against DIST] [--json FILE]
 *
 * All cases in 7 rounds take about an hour: `--case TEXT` selects those whose name contains the text. With `--against
 * DIST` another build of Reveille takes part, to show the cost of a change.
 *
 * Needs Linux with two cores, root (to listen on port 69 and to unpack packages) and cc. Traffic stays on loopback.
 */
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeCommit, describeMachine } from '../machine.ts';
import { median, range } from '../statistics.ts';
import { runStorm, type Storm, type StormResult } from './run-storm.ts';
import { RunningServer } from './running-server.ts';
import { type Contender, contenders, reveille } from './servers.ts';

interface Case {
  readonly name: string;
  readonly nodes: number;
  readonly fetches: number;
  readonly file: FileName;
  readonly wish: Storm['wish'];
  /** Unit by which the cost is divided. */
  readonly per: 'block' | 'fetch';
  /** Servers that take part, by beginnings of names; default: all. */
  readonly servers?: readonly string[];
  /** Number of rounds, where fewer suffice because no ratio is shown. */
  readonly rounds?: number;
}

const MIB = 1024 ** 2;
const FILES = { kernel: MIB, initrd: 16 * MIB, image: 64 * MIB, config: 300 };
type FileName = keyof typeof FILES;

const BLKSIZE = 1468;
const LOCKSTEP = { blksize: BLKSIZE };
const FAST_NAME = 'reveille, linux engine';
const FAST = [FAST_NAME, 'reference'];
const COUNTS = [10, 100, 1000, 2000];

function windowCase(windowsize: number, file: FileName, servers?: readonly string[]): Case {
  const name = windowsize === 1 ? 'lockstep' : `windowsize ${windowsize}`;
  const wish = windowsize === 1 ? LOCKSTEP : { blksize: BLKSIZE, windowsize };
  const size = `${FILES[file] / MIB} MiB`;
  // Small files are fetched several times, since a run should last seconds.
  const fetches = file === 'kernel' ? 1000 : 100;
  return { name: `${name}, ${size}`, nodes: 100, fetches, file, wish, per: 'block', ...(servers && { servers }) };
}

/** A case with `nodes` fetches of one file at once. */
function countCase(nodes: number): Case {
  const name = `${nodes.toLocaleString('en')} nodes in lockstep`;
  return { name, nodes, fetches: Math.max(nodes, 1000), file: 'kernel', wish: LOCKSTEP, per: 'block', servers: FAST };
}

function rushCase(nodes: number): Case {
  const name = `${nodes.toLocaleString('en')} nodes rush`;
  return { name, nodes, fetches: nodes, file: 'initrd', wish: LOCKSTEP, per: 'block', servers: FAST };
}

const WITHOUT_PORTABLE = [...FAST, 'dnsmasq', 'tftpd-hpa', 'atftpd'];
const CASES: readonly Case[] = [
  ...[1, 8, 64].map((windowsize) => windowCase(windowsize, 'kernel')),
  { name: 'small file', nodes: 200, fetches: 20_000, file: 'config', wish: {}, per: 'fetch' },
  ...COUNTS.map(countCase),
  ...[500, 1000].map(rushCase),
  ...[1, 8, 64].map((windowsize) => windowCase(windowsize, 'image', WITHOUT_PORTABLE)),
];

/** Number of fetches in each round of the warm-up. */
const WARM_UP_FETCHES = { config: 2000, kernel: 400 };

interface Sample extends StormResult {
  readonly microseconds: number;
  readonly peakMiB: number;
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    only: { type: 'string', default: '' },
    case: { type: 'string', default: '' },
    against: { type: 'string' },
    json: { type: 'string' },
  },
});
const work = join(tmpdir(), 'reveille-bench-peers');
mkdirSync(work, { recursive: true });
const root = mkdtempSync(join(work, 'root-'));
/** Number of servers started so far. */
let turn = 0;
for (const [name, size] of Object.entries(FILES)) {
  writeFileSync(join(root, name), randomFillSync(Buffer.alloc(size)), { mode: 0o644 });
}
execFileSync('chmod', ['755', root]);

const storm = (port: number, of: Storm): Promise<StormResult> => runStorm(root, port, of);

/** A server that runs for the whole of a case. */
interface Entrant {
  readonly name: string;
  readonly server: RunningServer;
}

/** Starts a server for a case and warms it up: in practice, racks boot from a server that has run for a while. */
async function enter(contender: Contender, test: Case): Promise<Entrant> {
  const server = await RunningServer.start(contender, root, `reveille-bench-${process.pid}-${turn++}`);
  const { port } = server;
  try {
    for (let round = 0; round < contender.warmUpRounds; round++) {
      // Warms up both the start of transfers and their continuation.
      await storm(port, { nodes: test.nodes, fetches: WARM_UP_FETCHES.config, file: 'config', wish: {} });
      if (test.per === 'block') await storm(port, { ...test, fetches: WARM_UP_FETCHES.kernel, file: 'kernel' });
    }
    // Loads the file into memory, as it is for all nodes of a rack but the first.
    await storm(port, { ...test, nodes: 1, fetches: 1 });
    return { name: contender.name, server };
  } catch (cause) {
    await server.stop();
    throw cause;
  }
}

async function measure({ server }: Entrant, test: Case): Promise<Sample> {
  const before = server.cpuUs;
  const result = await storm(server.port, test);
  const microseconds = server.cpuUs - before;
  const units = test.per === 'block' ? result.blocks : test.fetches;
  return { ...result, microseconds: microseconds / units, peakMiB: server.peakMiB };
}

/**
 * All servers are running and warm, and take turns of some seconds: changes of the machine (its clock, its neighbors)
 * then affect all alike. Each round begins with another server.
 */
async function takeTurns(fit: readonly Contender[], test: Case, most: number): Promise<Record<string, Sample[]>> {
  const entrants: Entrant[] = [];
  const samples: Record<string, Sample[]> = Object.fromEntries(fit.map(({ name }) => [name, []]));
  try {
    for (const contender of fit) entrants.push(await enter(contender, test));
    for (let round = 0; round < most; round++) {
      for (let place = 0; place < entrants.length; place++) {
        const entrant = entrants[(round + place) % entrants.length]!;
        samples[entrant.name]!.push(await measure(entrant, test));
      }
    }
    return samples;
  } finally {
    for (const { server } of entrants) await server.stop();
  }
}

/** Reports cost and memory by the number of nodes, from pairs of runs of the same round. */
function reportScaling(): void {
  const runsAt = (nodes: number): Sample[] => results[countCase(nodes).name]?.[FAST_NAME] ?? [];
  const base = runsAt(100);
  const few = runsAt(10);
  for (const nodes of COUNTS) {
    const runs = runsAt(nodes);
    if (runs.length === 0 || base.length === 0) continue;
    const ratios = runs.map(({ microseconds }, index) => microseconds / (base[index]?.microseconds ?? Number.NaN));
    const line = `${nodes} nodes: ${median(ratios).toFixed(2)} (${range(ratios)}) times the cost of a block at 100`;
    const grown = runs.map(({ peakMiB: peak }, index) => ((peak - (few[index]?.peakMiB ?? Number.NaN)) * 1024) / nodes);
    say(nodes === 10 ? line : `${line}, ${median(grown).toFixed(1)} KiB (${range(grown)}) of memory a node`);
  }
}

const say = (line: string): boolean => process.stdout.write(`${line}\n`);
const machine = { ...describeMachine(), commit: describeCommit() };
say(Object.values(machine).join(', '));
const wanted = values.only.split(',');
const others = values.against === undefined ? [] : [reveille('linux', values.against)];
const taking = [...contenders(work), ...others].filter(({ name }) => wanted.some((text) => name.includes(text)));
const takesPart = ({ servers }: Case, { name }: Contender): boolean =>
  servers === undefined || servers.some((beginning) => name.startsWith(beginning));
const rounds = Number(values.rounds);
const results: Record<string, Record<string, Sample[]>> = {};
for (const test of CASES.filter(({ name }) => name.includes(values.case))) {
  const fit = taking.filter(
    (contender) => takesPart(test, contender) && (test.wish.windowsize ?? 1) <= contender.windowsize,
  );
  const samples = await takeTurns(fit, test, Math.min(rounds, test.rounds ?? rounds));
  results[test.name] = samples;
  say(`\n${test.name}: ${test.nodes} nodes, ${test.fetches} fetches of ${test.file} (${FILES[test.file]} bytes)`);
  say(
    `| server | µs of CPU per ${test.per} | range | first row ÷ this | range | first reply p99 ms | finish p50 ms | slowest ms | failed | resends | MiB |`,
  );
  say('|---|---|---|---|---|---|---|---|---|---|---|');
  const first = samples[fit[0]!.name] ?? [];
  for (const [name, runs] of Object.entries(samples)) {
    const costs = runs.map(({ microseconds }) => microseconds);
    const ratios = runs.map(({ microseconds }, index) => (first[index]?.microseconds ?? Number.NaN) / microseconds);
    const of = (pick: (sample: Sample) => number): string => String(Math.round(median(runs.map(pick)) * 10) / 10);
    say(
      `| ${name} | ${median(costs).toFixed(2)} | ${range(costs)} | ${median(ratios).toFixed(2)} | ${range(ratios)} | ${of((sample) => sample.firstReplyMs.p99)} | ${of((sample) => sample.finishMs.p50)} | ${of((sample) => sample.finishMs.max)} | ${runs.reduce((sum, { failed }) => sum + failed, 0)} | ${of(({ resends }) => resends)} | ${of((sample) => sample.peakMiB)} |`,
    );
  }
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify({ machine, rounds, results }, null, 2)}\n`);
  }
}
reportScaling();
rmSync(root, { recursive: true });
