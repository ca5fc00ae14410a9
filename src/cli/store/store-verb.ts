/**
 * The common part of the commands on a store of boot sets: `--store`, `--json`, opening and closing, and the exit code
 * of a failure. Knows the command line and the output; src/boot-set/store does the work.
 */
import type { Command } from 'commander';
import type { Store } from '../../boot-set/store/store.ts';
import { escapeJson, escapeLine, showValue } from '../../text/escape.ts';
import { errorLine } from '../../text/error-text.ts';
import type { CommandContext } from '../../daemon/interrupts.ts';
import { EXIT, type ExitCode, UsageError } from '../../config/usage-error.ts';

export interface StoreFlags {
  readonly store?: string;
  readonly json?: boolean;
}

/** The result of a verb. */
export interface VerbResult {
  /** The single document printed for `--json`. */
  readonly json: unknown;
  /** Lines for a person. */
  readonly text: readonly string[];
  /** Default: success. */
  readonly code?: ExitCode;
}

export interface VerbContext extends CommandContext {
  /** Receives the result. Default: the process's stdout. */
  readonly stdout?: { write(text: string): unknown };
}

/** Adds a command with the flags that all commands on a store share. */
export function storeCommand(program: Command, nameAndArguments: string): Command {
  return program
    .command(nameAndArguments)
    .option('--store <DIR>', 'folder of the store of boot sets')
    .option('--json', 'print one JSON document');
}

/**
 * The only place that prints the contents of a store or a fleet: labels, names and reasons that anyone may have written.
 * It lets none of their control characters through, not even a line feed.
 */
export function print(context: VerbContext, { json, text, code = EXIT.fine }: VerbResult, asJson: boolean): ExitCode {
  // The reader of stdout may leave early.
  if (context.stdout === undefined) process.stdout.on('error', () => {});
  const stdout = context.stdout ?? process.stdout;
  if (asJson) stdout.write(`${escapeJson(JSON.stringify(json, undefined, 2))}\n`);
  else stdout.write(text.map((line) => `${escapeLine(line)}\n`).join(''));
  return code;
}

/**
 * Opens the store, does the work, prints the result, closes the store.
 *
 * @param mode `read` opens the store read-only; `create` makes a store where there is none.
 * @param work receives a signal that is aborted when the process gets SIGINT or SIGTERM.
 * @param before check that runs before the store is opened.
 * @throws UsageError for a mistake in the request; nothing has been written then.
 */
export async function runVerb(
  context: VerbContext,
  flags: StoreFlags,
  mode: 'read' | 'change' | 'create',
  work: (store: Store, signal: AbortSignal) => Promise<VerbResult>,
  before: () => Promise<unknown> = () => Promise.resolve(),
): Promise<ExitCode> {
  return await runOnStore(context, flags, async (path, signal) => {
    // Loaded on demand: other commands do not need the database.
    const { openStore } = await import('../../boot-set/store/store.ts');
    await before();
    const store = await openStore({ path, readOnly: mode === 'read', create: mode === 'create' });
    try {
      return await work(store, signal);
    } finally {
      await store.close();
    }
  });
}

/** Same as runVerb, for work that opens the store itself. */
export async function runOnStore(
  context: VerbContext,
  flags: StoreFlags,
  work: (path: string, signal: AbortSignal) => Promise<VerbResult>,
): Promise<ExitCode> {
  const { store: path } = flags;
  if (path === undefined || path === '' || path.includes('\0')) {
    throw new UsageError(`--store: expected the folder of a store, got ${showValue(path)}`);
  }
  const { StoreError } = await import('../../boot-set/store/store-error.ts');
  const abort = new AbortController();
  context.interrupts.on('signal', (signal) => abort.abort(new Error(`stopped by ${signal}`)));
  try {
    return print(context, await work(path, abort.signal), flags.json === true);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (error instanceof StoreError && error.isMistake) throw new UsageError(escapeLine(error.message));
    context.stderr.write(`reveille: ${escapeLine(errorLine(error))}\n`);
    return EXIT.failed;
  }
}

/** Parses `k=v` of a flag that may be repeated. */
export function addPair(
  flag: string,
): (text: string, before?: Readonly<Record<string, string>>) => Readonly<Record<string, string>> {
  return (text, before = {}) => {
    const at = text.indexOf('=');
    if (at < 1) throw new UsageError(`${flag}: expected NAME=VALUE, got ${showValue(text)}`);
    return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
  };
}
