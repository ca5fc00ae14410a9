/**
 * `reveille render`, `explain` and `validate`: preview a config before serving it. Knows flags, output and exit codes.
 */
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { PREVIEW_CLIENT_KEYS, type PreviewClient, checkPreviewClient } from '../preview/preview-client.ts';
import { escapeJson, escapeText, printableText, showValue } from '../text/escape.ts';
import type { CommandContext } from '../daemon/interrupts.ts';
import { Preview } from '../preview/preview.ts';
import { resolveSettings } from '../config/resolve-settings.ts';
import { refusalText, wayToJson, wayToText } from '../preview/trace.ts';
import { EXIT, type ExitCode, UsageError } from '../config/usage-error.ts';
import { reportToText, validate } from '../preview/validate.ts';

/** The name of the config that `reveille init` writes. */
const CONFIG = 'reveille.yaml';

export interface PreviewContext extends CommandContext {
  /** Receives the results. Default: the process's stdout. */
  readonly stdout?: { write(text: string | Uint8Array): unknown };
}

interface PreviewFlags extends PreviewClient {
  readonly config: string;
  readonly json?: boolean;
}

/** Opens everything that the config names, does the work, and closes it. Mistakes in the config become a UsageError. */
async function withPreview<T>(
  flags: PreviewFlags,
  context: PreviewContext,
  work: (preview: Preview) => Promise<T>,
): Promise<T> {
  const client = checkPreviewClient(
    Object.fromEntries(PREVIEW_CLIENT_KEYS.map((key) => [key, flags[key]])),
    (key) => `--${key}`,
  );
  const settings = resolveSettings({}, flags.config);
  const warn = (message: string, detail: Readonly<Record<string, unknown>>): void => {
    const more = Object.entries(detail).map(([key, value]) => `${key} ${String(value)}`);
    context.stderr.write(`reveille: ${escapeText([message, ...more].join(': '), 2000)}\n`);
  };
  let preview: Preview;
  try {
    preview = await Preview.open({ settings, base: dirname(resolve(flags.config)), client, onWarning: warn });
  } catch (error) {
    const isMistake = error instanceof Error && ['RenderConfigError', 'StoreError'].includes(error.name);
    throw isMistake ? new UsageError(printableText(error.message, 2000), { cause: error }) : error;
  }
  try {
    return await work(preview);
  } finally {
    await preview.close();
  }
}

function writerOf({ stdout = process.stdout }: PreviewContext): NonNullable<PreviewContext['stdout']> {
  // The reader of stdout may leave early.
  if (stdout === process.stdout) process.stdout.on('error', () => {});
  return stdout;
}

function checkName(name: string): string {
  if (name === '' || name.includes('\0')) throw new UsageError(`NAME: expected a file name, got ${showValue(name)}`);
  return name;
}

async function runRender(name: string, flags: PreviewFlags, context: PreviewContext): Promise<ExitCode> {
  const way = await withPreview(flags, context, (preview) => preview.request(checkName(name)));
  const { end } = way;
  if (flags.json === true) {
    const bytes = end.kind === 'content' ? { text: Buffer.from(end.bytes).toString() } : {};
    writerOf(context).write(
      `${escapeJson(JSON.stringify({ ...(wayToJson(way) as object), ...bytes }, undefined, 2))}\n`,
    );
  } else if (end.kind === 'content') writerOf(context).write(end.bytes);
  const refusal = refusalText(way);
  if (refusal === undefined) return EXIT.fine;
  context.stderr.write(`reveille: ${escapeText(name)}: ${escapeText(refusal, 2000)}\n`);
  return EXIT.failed;
}

async function runExplain(name: string, flags: PreviewFlags, context: PreviewContext): Promise<ExitCode> {
  const way = await withPreview(flags, context, (preview) => preview.request(checkName(name)));
  const text = flags.json === true ? `${escapeJson(JSON.stringify(wayToJson(way), undefined, 2))}\n` : wayToText(way);
  writerOf(context).write(text);
  return EXIT.fine;
}

async function runValidate(flags: PreviewFlags, context: PreviewContext): Promise<ExitCode> {
  const report = await withPreview(flags, context, validate);
  const text =
    flags.json === true ? `${escapeJson(JSON.stringify(report, undefined, 2))}\n` : reportToText(flags.config, report);
  writerOf(context).write(text);
  return report.valid ? EXIT.fine : EXIT.failed;
}

function configured(program: Command, nameAndArguments: string): Command {
  return program
    .command(nameAndArguments)
    .option('--config <FILE>', 'config file of the server', CONFIG)
    .option('--json', 'print one JSON document');
}

function asked(command: Command): Command {
  return command
    .argument('<NAME>', 'the file name that the node asks for, or its http:// URL')
    .option('--mac <MAC>', 'MAC address of the node')
    .option('--ip <ADDRESS>', 'IP address of the node (default: the one in the inventory)')
    .option('--uuid <UUID>', 'UUID of the node')
    .option('--serial <SERIAL>', 'serial number of the node')
    .option('--local <ADDRESS>', 'address of the server that the node asks');
}

/** Adds the commands. @param done receives their exit code. */
export function addPreviewCommands(program: Command, context: PreviewContext, done: (code: ExitCode) => void): void {
  asked(configured(program, 'render').summary('print the bytes that a node would get')).action(
    async (name: string, flags: PreviewFlags) => done(await runRender(name, flags, context)),
  );
  asked(configured(program, 'explain').summary('print how a name is looked up: routes, boot sets, files')).action(
    async (name: string, flags: PreviewFlags) => done(await runExplain(name, flags, context)),
  );
  configured(program, 'validate')
    .summary('check a config with its templates, handlers and inventory')
    .action(async (flags: PreviewFlags) => done(await runValidate(flags, context)));
}
