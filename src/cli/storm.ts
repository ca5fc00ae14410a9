/** `reveille storm`: from the command line to a storm and its report. src/storm contains the storm itself. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { resolveEngine } from '../engine/create.ts';
import type { Address } from '../engine/types.ts';
import { parseArrival } from '../storm/plan/arrival.ts';
import { ExpectedError, type ExpectedVersion, loadExpected, pathOf } from '../storm/run/expected.ts';
import { type FaultFlags, parseFaults } from '../storm/plan/fault-plan.ts';
import { InputMistake } from '../storm/input-mistake.ts';
import { LiveView } from '../storm/views/live-view.ts';
import type { BootPlan } from '../storm/plan/plan.ts';
import type { Profile } from '../storm/plan/profile.ts';
import { PROFILES } from '../storm/plan/profiles.ts';
import { plannedFiles, planFromFiles, readPlan } from '../storm/plan/read-plan.ts';
import type { StormReport } from '../storm/report.ts';
import { renderHtml } from '../storm/views/report-html.ts';
import { renderTable } from '../storm/views/report-table.ts';
import { runStorm } from '../storm/run/run-storm.ts';
import { parseSlo, SloError } from '../storm/slo.ts';
import { HTTP_PORT } from '../storm/plan/request-target.ts';
import { expand, hasVariables, nodeVariables } from '../storm/plan/variables.ts';
import { loopbackAddress } from '../storm/run/loopback-address.ts';
import { escapeText, showValue } from '../text/escape.ts';
import { errorCode, errorLine } from '../text/error-text.ts';
import { flag } from '../config/flag.ts';
import { findServer } from './host-port.ts';
import { ADMIN_PORT } from '../config/network-settings.ts';
import type { CommandContext } from '../daemon/interrupts.ts';
import { OutputFile } from './output-file.ts';
import { StormAccount } from './storm-account.ts';
import { EXIT, type ExitCode, UsageError } from '../config/usage-error.ts';
import { oneOf, wholeNumber } from '../config/value-kind.ts';

export interface StormContext extends CommandContext {
  /** Receives the table. Default: the process's stdout. */
  readonly stdout?: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };
}

export interface StormFlags extends FaultFlags {
  readonly nodes: number;
  readonly plan?: string;
  readonly profile?: string;
  readonly file?: readonly string[];
  readonly verify?: string;
  readonly versions?: string;
  readonly http?: string;
  readonly arrival: string;
  readonly seed: number;
  readonly threads?: number;
  readonly engine: 'auto' | 'linux' | 'portable';
  readonly source?: 'address' | 'port';
  readonly doubledAcks: boolean;
  readonly slo?: string;
  readonly admin?: string;
  readonly json?: string;
  readonly html?: string;
  readonly quiet?: boolean;
}

const MAX_NODES = 1_000_000;
const DEFAULT_PROFILE = 'bare';
const DEFAULT_SEED = 1;

function readPlanFile(file: string): BootPlan {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new UsageError(`--plan: expected a readable file, got ${escapeText(errorLine(cause))}`, { cause });
  }
  return readPlan(text, escapeText(file));
}

/** `--profile a,b`: nodes use the profiles in turn. @param flags flags that planOf has accepted. */
function mixOf({ profile }: StormFlags): Profile[] {
  const names = profile?.split(',') ?? [];
  return names.length < 2 ? [] : names.map((name) => PROFILES.get(name)!);
}

/** @throws UsageError, InputMistake. */
function planOf({ plan, profile, file }: StormFlags): BootPlan {
  if (plan !== undefined) {
    if (profile === undefined && file === undefined) return readPlanFile(plan);
    throw new UsageError('--plan: expected neither --profile nor --file with it, because the plan has its own');
  }
  if (file === undefined) throw new UsageError('storm: expected --file NAME at least once, or --plan FILE');
  const profiles = profile?.split(',') ?? [DEFAULT_PROFILE];
  // The options beside a name decide whether it fits into a request, so a plan is made with each profile to check all.
  return profiles.map((one) => planFromFiles({ profile: one, files: file }))[0]!;
}

/** @returns every name that any node may ask for. */
function namesOf(plan: BootPlan, nodes: number): Set<string> {
  const names = new Set<string>();
  const own = new Set<string>();
  for (const { search } of plan.stages) for (const name of search) (hasVariables(name) ? own : names).add(name);
  if (own.size === 0) return names;
  for (let node = 1; node <= nodes; node++) {
    const variables = nodeVariables(node, loopbackAddress(node));
    for (const template of own) names.add(expand(template, variables));
  }
  return names;
}

/**
 * @returns the content that nodes should get, if the command line gives it. @throws UsageError when it lacks a file of
 * the plan.
 */
function expectedOf(flags: StormFlags, plan: BootPlan): ExpectedVersion[] | undefined {
  const { verify, versions, nodes } = flags;
  if (verify !== undefined && versions !== undefined) {
    throw new UsageError('--verify: expected no --versions with it');
  }
  const directory = verify ?? versions;
  if (directory === undefined) return undefined;
  const kind = verify === undefined ? 'versions' : 'verify';
  const expected = loadExpected(directory, kind, namesOf(plan, nodes));
  for (const { name, stage, dispensable } of plannedFiles(plan)) {
    if (dispensable || expected.some(({ files }) => files.has(pathOf(name)))) continue;
    throw new UsageError(`--${kind}: expected the file ${name} of stage ${stage} in ${directory}, found none`);
  }
  return expected;
}

/** @returns where stages over HTTP ask: `--http`, or port 80 of the server. @throws UsageError. */
async function httpOf(
  { http }: StormFlags,
  plan: BootPlan,
  mix: readonly Profile[],
  server: Address,
): Promise<Address> {
  if (http === undefined) return { address: server.address, port: HTTP_PORT };
  const profiles = mix.length === 0 ? plan.stages.map(({ profile }) => profile) : mix;
  if (profiles.some(({ via }) => via === 'http')) return await findServer(http, '--http', HTTP_PORT);
  const names = [...PROFILES.values()].filter(({ via }) => via === 'http').map(({ name }) => name);
  throw new UsageError(
    `--http: expected a profile that asks over HTTP: ${names.join(', ')}; here all nodes ask over TFTP`,
  );
}

/** A node has an address of its own where that costs nothing: on the loopback, with the Linux engine. */
function sourceOf(flags: StormFlags, engine: 'linux' | 'portable', servers: readonly Address[]): 'address' | 'port' {
  const possible = engine === 'linux' && servers.every(({ address }) => address.startsWith('127.'));
  if (flags.source === 'address' && !possible) {
    throw new UsageError('--source address: expected a server on 127.0.0.0/8 and the linux engine; use --source port');
  }
  return flags.source ?? (possible ? 'address' : 'port');
}

/**
 * The report's files. They are opened before the first packet: a wrong path must not lose the result of a storm of
 * minutes.
 */
interface Outputs {
  readonly json: OutputFile | undefined;
  readonly html: OutputFile | undefined;
}

function openOutput(name: string, file: string | undefined): OutputFile | undefined {
  try {
    return file === undefined ? undefined : OutputFile.open(file);
  } catch (cause) {
    const why = cause instanceof UsageError ? 'a directory' : (errorCode(cause) ?? errorLine(cause));
    throw new UsageError(`${name}: expected a file that can be written, or -, got ${showValue(file)} (${why})`, {
      cause,
    });
  }
}

function openOutputs({ json, html }: StormFlags): Outputs {
  if (json !== undefined && json === html) {
    throw new UsageError(`--html: expected a file other than that of --json, got ${showValue(json)}`);
  }
  const first = openOutput('--json', json);
  try {
    return { json: first, html: openOutput('--html', html) };
  } catch (cause) {
    first?.discard();
    throw cause;
  }
}

/** @returns true when the text could be written. */
function save(output: OutputFile, text: string, context: CommandContext): boolean {
  try {
    output.write(Buffer.from(text));
    output.finish();
    return true;
  } catch (error) {
    output.discard();
    context.stderr.write(`reveille: storm: cannot write ${escapeText(errorLine(error))}\n`);
    return false;
  }
}

function show(report: StormReport, flags: StormFlags, { json, html }: Outputs, context: StormContext): boolean {
  const { stdout = process.stdout } = context;
  const colour = stdout.isTTY === true && process.env['NO_COLOR'] === undefined;
  const width = stdout.columns;
  // Output for a program on stdout must not be mixed with output for a person.
  const piped = flags.json === '-' || flags.html === '-';
  const table = renderTable(report, { colour: colour && !piped, ...(width === undefined ? {} : { width }) });
  if (piped) context.stderr.write(table);
  else stdout.write(table);
  const saved = [
    json === undefined || save(json, `${JSON.stringify(report, null, 2)}\n`, context),
    html === undefined || save(html, renderHtml(report), context),
  ];
  return saved.every(Boolean);
}

/** Runs one storm. @returns the exit code. @throws UsageError before anything was sent. */
export async function runStormCommand(text: string, flags: StormFlags, context: StormContext): Promise<ExitCode> {
  const { interrupts, stderr, version } = context;
  const plan = planOf(flags);
  const mix = mixOf(flags);
  const arrival = parseArrival(flags.arrival);
  const faults = parseFaults(flags);
  const slo = parseSlo(
    flags.slo,
    plan.stages.map(({ name }) => name),
  );
  const expected = expectedOf(flags, plan);
  const server = await findServer(text);
  const { kind: engine } = await resolveEngine(flags.engine);
  const http = await httpOf(flags, plan, mix, server);
  const source = sourceOf(flags, engine, [server, http]);
  const admin = flags.admin === undefined ? undefined : await findServer(flags.admin, '--admin', ADMIN_PORT);
  const outputs = openOutputs(flags);
  const account = admin === undefined ? undefined : await StormAccount.open(admin);
  if (account?.problem !== undefined) {
    stderr.write(
      `reveille: storm: the report will lack the requests that the server left unanswered: ${account.problem}\n`,
    );
  }
  const abort = new AbortController();
  interrupts.on('signal', () => abort.abort());
  let fault: unknown;
  interrupts.on('fault', (error) => {
    fault ??= error;
    abort.abort();
  });
  const live = flags.quiet === true ? undefined : new LiveView(stderr);
  let report: StormReport;
  try {
    report = await runStorm({
      server,
      http,
      plan,
      mix,
      nodes: flags.nodes,
      arrival,
      arrivalText: flags.arrival,
      seed: flags.seed,
      faults,
      ...(expected === undefined ? {} : { expected }),
      versioned: flags.versions !== undefined,
      source,
      engine,
      threads: flags.threads ?? Math.max(1, availableParallelism() - 1),
      doubledAcks: flags.doubledAcks,
      slo,
      version,
      onProgress: (progress) => live?.update(progress),
      signal: abort.signal,
    });
    if (account !== undefined) report = { ...report, left_unanswered: await account.close() };
  } catch (cause) {
    outputs.json?.discard();
    outputs.html?.discard();
    throw cause;
  } finally {
    live?.close();
  }
  const saved = show(report, flags, outputs, context);
  if (fault !== undefined) throw fault;
  return report.slo.met && saved && report.unfinished === 0 ? EXIT.fine : EXIT.failed;
}

function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** Adds the command. @param done receives its exit code. */
export function addStorm(program: Command, context: StormContext, done: (code: ExitCode) => void): void {
  const nodes = wholeNumber(1, MAX_NODES);
  const seed = wholeNumber(0, Number.MAX_SAFE_INTEGER);
  const threads = wholeNumber(1, 256);
  program
    .command('storm')
    .summary('simulate racks of nodes that boot from any TFTP or HTTP server')
    .description(
      'Boots simulated nodes from a TFTP or HTTP server, as firmware would, and reports how the server performed.',
    )
    .argument('<SERVER>', 'HOST[:PORT] (default port 69)')
    .requiredOption('--nodes <N>', `how many nodes boot, ${nodes.expected}`, flag('--nodes', nodes))
    .option('--file <NAME>', 'a file that each node fetches; repeatable, in order', collect)
    .option(
      '--profile <NAME>',
      `firmware: ${[...PROFILES.keys()].join(', ')} (default: ${DEFAULT_PROFILE}); several, separated by commas, are assigned to the nodes in turn`,
    )
    .option('--plan <FILE>', 'YAML file with the stages of a boot, instead of --file and --profile')
    .option(
      '--http <HOST[:PORT]>',
      `address of the HTTP server for stages over HTTP (default: host of SERVER; default port ${HTTP_PORT})`,
    )
    .option('--verify <DIR>', 'compare every byte with the files of this directory')
    .option('--versions <DIR>', 'like --verify, with a subdirectory for each version: finds nodes that got a mixture')
    .option('--arrival <LAW>', 'when nodes start: burst[:TIME], ramp:TIME, poisson:N/s, waves:N@TIME', 'burst')
    .option('--seed <N>', 'seed of start times and faults, to repeat a storm', flag('--seed', seed), DEFAULT_SEED)
    .option('--loss <SHARE>', 'lose packets: 1%, in:1% (from the server), out:1%')
    .option('--duplicate <SHARE>', 'deliver packets twice')
    .option('--reorder <SHARE>', 'reorder packets')
    .option('--delay <TIME>', 'delay packets: 5ms, 2ms..5ms, in:5ms')
    .option('--lose <PACKET>', 'lose one packet of each transfer: "ack 100 x3", "data last"; repeatable', collect)
    .option('--vanish <SHARE>', 'share of nodes that go silent in the middle')
    .option('--crawl <SHARE:TIME>', 'share of nodes that wait before each ACK: 5%:100ms')
    .option(
      '--no-doubled-acks',
      'do not repeat an ACK in each longer transfer, which checks that the server ignores it',
    )
    .option(
      '--threads <N>',
      `number of threads that simulate nodes (default: cores less one)`,
      flag('--threads', threads),
    )
    .option(
      '--engine <KIND>',
      'auto, linux or portable',
      flag('--engine', oneOf(['auto', 'linux', 'portable'])),
      'auto',
    )
    .option(
      '--source <KIND>',
      'address (one for each node, loopback only) or port (default: address where possible)',
      flag('--source', oneOf(['address', 'port'])),
    )
    .option(
      '--admin <HOST[:PORT]>',
      `admin address of a Reveille server (default port ${ADMIN_PORT}): report the requests that it left unanswered, and the settings that change that`,
    )
    .option('--slo <TEXT>', 'objectives that must be met (default: failed=0,wrong_bytes=0,mixed_versions=0)')
    .option('--json <FILE>', 'write the report as JSON, - for stdout')
    .option('--html <FILE>', 'write the report as an HTML page, - for stdout')
    .option('--quiet', 'show no live view')
    .addHelpText(
      'after',
      `
Examples:
  reveille storm 127.0.0.1:6969 --nodes 1000 --profile ipxe --file linux --file initrd.img --verify DIR
  reveille storm 192.0.2.1 --nodes 40 --plan examples/storm/uefi-grub.yaml --arrival ramp:10s --html report.html
  reveille storm 192.0.2.1 --nodes 1000 --file linux --admin 192.0.2.1
  reveille storm 192.0.2.1 --nodes 1000 --plan examples/storm/ipxe-http.yaml --http 192.0.2.1:8080
  reveille storm 127.0.0.1:6969 --nodes 500 --file linux --loss 1% --slo 'failed=0,finish.p99<60s,violations=0'

Exit codes: 0 the objectives were met; 1 they were not, or the storm was stopped; 2 wrong usage, nothing was sent.
`,
    )
    .action(async (server: string, flags: StormFlags) => {
      try {
        done(await runStormCommand(server, flags, context));
      } catch (error) {
        const mistaken = error instanceof InputMistake || error instanceof SloError || error instanceof ExpectedError;
        throw mistaken ? new UsageError(error.message, { cause: error }) : error;
      }
    });
}
