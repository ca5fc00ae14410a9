/**
 * `reveille check`: checks whether a server conforms to the protocol. Knows the command line and the output; src/check
 * contains the checks.
 */
import { createWriteStream, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Command } from 'commander';
import type { Address } from '../engine/types.ts';
import { type CheckReport, checkSummary, checkTable } from '../check/report.ts';
import { type CheckRunOptions, runChecks } from '../check/run-checks.ts';
import type { WantedFile } from '../check/survey.ts';
import { formatAddress } from '../text/address-text.ts';
import { escapeJson, escapeText, showValue } from '../text/escape.ts';
import { errorCode, errorLine } from '../text/error-text.ts';
import { CLEAR_TO_END } from '../text/terminal.ts';
import { flag } from '../config/flag.ts';
import { findServer } from './host-port.ts';
import type { CommandContext } from '../daemon/interrupts.ts';
import { EXIT, type ExitCode, UsageError } from '../config/usage-error.ts';
import { duration } from '../config/value-kind.ts';

const TIMEOUT_MS = 600_000;
/** Leaves room for options in a request of 512 bytes. */
const NAME_BYTES = 255;
/** Maximum length of a local copy in memory; of a longer file only the start is compared. */
const COPY_BYTES = 64 * 1024 * 1024;

export interface CheckFlags {
  readonly file?: readonly string[];
  readonly against?: string;
  readonly timeout?: number;
  readonly json?: string;
}

export interface CheckContext extends CommandContext {
  /** Receives the table, or the JSON. Default: the process's stdout. */
  readonly stdout?: { write(text: string): unknown };
}

function fileNames(flags: CheckFlags): readonly string[] {
  const names = flags.file ?? [];
  if (names.length === 0) throw new UsageError('check: expected --file NAME, the name of a file on the server');
  for (const name of names) {
    if (name === '' || name.includes('\0') || Buffer.byteLength(name) > NAME_BYTES) {
      throw new UsageError(`--file: expected a name of 1 to ${NAME_BYTES} bytes, got ${showValue(name)}`);
    }
  }
  return [...new Set(names)];
}

function typeOf(path: string): 'file' | 'folder' {
  const wrong = (got: string): UsageError =>
    new UsageError(`--against: expected a file or a folder, got ${showValue(path)}, ${got}`);
  try {
    const found = statSync(path);
    if (found.isDirectory()) return 'folder';
    if (found.isFile()) return 'file';
  } catch (error) {
    throw wrong(errorCode(error) === 'ENOENT' ? 'which does not exist' : (errorCode(error) ?? 'which cannot be read'));
  }
  throw wrong('which is neither a file nor a folder');
}

async function readCopy(name: string, path: string): Promise<WantedFile> {
  try {
    const file = await open(path);
    try {
      const { size } = await file.stat();
      const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(size, COPY_BYTES)));
      return { name, size, bytes: buffer.subarray(0, bytesRead) };
    } finally {
      await file.close();
    }
  } catch (error) {
    const code = errorCode(error) ?? errorLine(error);
    throw new UsageError(`--against: expected a copy of ${showValue(name)} at ${showValue(path)}, got ${code}`);
  }
}

/** Reads the copies to compare with: of the first file when the path is a file, of all files when it is a folder. */
async function wantedFiles(flags: CheckFlags): Promise<WantedFile[]> {
  const names = fileNames(flags);
  const { against } = flags;
  if (against === undefined) return names.map((name) => ({ name }));
  if (typeOf(against) === 'folder') return await Promise.all(names.map((name) => readCopy(name, join(against, name))));
  return [await readCopy(names[0]!, against), ...names.slice(1).map((name) => ({ name }))];
}

/** Opens the target of the JSON. This happens before the first packet, so that it cannot fail after the last. */
async function jsonTarget(path: string | undefined): Promise<((text: string) => Promise<void>) | undefined> {
  if (path === undefined || path === '-') return undefined;
  const stream = createWriteStream(path);
  try {
    await new Promise<void>((resolve, reject) => stream.once('open', () => resolve()).once('error', reject));
  } catch (error) {
    throw new UsageError(
      `--json: expected a file that can be written or -, got ${showValue(path)} (${errorCode(error)})`,
    );
  }
  return async (text) => {
    stream.end(text);
    await finished(stream);
  };
}

function exitCode(report: CheckReport, interrupted: boolean): ExitCode {
  const fine = report.fail === 0 && report.fault === null && report.fell_silent_after === null && !interrupted;
  return fine ? EXIT.fine : EXIT.failed;
}

/** Checks one server. @returns the exit code. @throws UsageError before the first packet. */
export async function runCheck(
  server: Address,
  flags: CheckFlags,
  context: CheckContext,
  more: Pick<CheckRunOptions, 'waits' | 'checks'> = {},
): Promise<ExitCode> {
  const { interrupts, stderr } = context;
  const stdout = context.stdout ?? process.stdout;
  // The reader of stdout may leave early.
  if (context.stdout === undefined) process.stdout.on('error', () => {});
  if (server.port === 0) throw new UsageError('ADDR: expected a port from 1 to 65535, got 0');
  const files = await wantedFiles(flags);
  const writeJson = await jsonTarget(flags.json);

  const abort = new AbortController();
  interrupts.on('signal', (signal) => abort.abort(new Error(`stopped by ${signal}`)));
  interrupts.on('fault', (error) => abort.abort(new Error(`failed: ${escapeText(errorLine(error))}`)));
  const showsProgress = stderr.isTTY === true;
  const report = await runChecks({
    server,
    files,
    timeoutMs: flags.timeout ?? TIMEOUT_MS,
    signal: abort.signal,
    ...(showsProgress
      ? { onProgress: (done: number, of: number) => stderr.write(`\r${done} of ${of} statements${CLEAR_TO_END}`) }
      : {}),
    ...more,
  });
  if (showsProgress) stderr.write(`\r${CLEAR_TO_END}`);

  const json = `${JSON.stringify(report, undefined, 2)}\n`;
  await writeJson?.(json);
  if (flags.json === '-') stdout.write(escapeJson(json));
  if (report.fault !== null) {
    stderr.write(`reveille: ${formatAddress(server)}: ${escapeText(report.fault)}\n`);
  } else if (flags.json === '-') {
    stderr.write(checkSummary(report));
  } else {
    stdout.write(checkTable(report) + checkSummary(report));
  }
  return exitCode(report, abort.signal.aborted);
}

/** Adds the command. @param done receives its exit code. */
export function addCheckCommand(
  program: Command,
  context: CheckContext,
  done: (code: ExitCode) => void,
  more: Pick<CheckRunOptions, 'waits' | 'checks'> = {},
): void {
  const timeout = duration(1000, 3_600_000, '90s or 10m');
  program
    .command('check')
    .summary('check whether a TFTP server follows the protocol')
    .description(
      'Tests any TFTP server over UDP against the statements of docs/statements.md, one by one, and shows which hold. It only downloads: nothing is written to the server.',
    )
    .argument('<SERVER>', 'HOST[:PORT] (default port 69)')
    .option(
      '--file <NAME>',
      'a file on the server; repeatable, because some statements need files of certain sizes',
      (name: string, before: readonly string[] | undefined) => [...(before ?? []), name],
    )
    .option('--against <PATH>', 'a copy of the first file to compare with, or a folder with copies of all files')
    .option(
      '--timeout <D>',
      `time limit for the whole run (default: ${TIMEOUT_MS / 60_000}m)`,
      flag('--timeout', timeout),
    )
    .option('--json <FILE>', 'write the report as JSON; - writes it to stdout instead of the table')
    .addHelpText(
      'after',
      `
With a file of 2 MB nearly every statement can be tried. Add an empty file, and one whose size is a multiple of 512 bytes.
A run takes about half a minute, or longer if the server waits long before it retransmits.
Exit codes: 0 no statement failed; 1 a statement failed, or the server did not answer or went silent; 2 wrong usage.
`,
    )
    .action(async (server: string, flags: CheckFlags) => {
      done(await runCheck(await findServer(server), flags, context, more));
    });
}
