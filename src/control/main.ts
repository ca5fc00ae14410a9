#!/usr/bin/env node
/**
 * The `reveille` command. The only place that handles signals and sets the exit code; it never calls process.exit(),
 * which would tear down worker threads in the middle of a packet.
 */
import { Command, CommanderError } from 'commander';
import { addCheckCommand } from './check.ts';
import { errorLine } from './failure.ts';
import { addGet } from './get.ts';
import { type CommandContext, Interrupts } from './interrupts.ts';
import { addServe } from './serve.ts';
import { addStorm } from './storm.ts';
import { EXIT, type ExitCode, UsageError } from './usage-error.ts';
import { readVersion } from './version.ts';

const AFTER_HELP = `
Examples:
  reveille serve /srv/tftp
  reveille serve --config /etc/reveille.yaml
  reveille get tftp://192.0.2.1/boot/linux --blksize 1468 --windowsize 16
  reveille storm 192.0.2.1 --nodes 40 --plan boot.yaml --html report.html
  reveille check 192.0.2.1 --file linux

Exit codes:
  0  all is well
  1  something failed: address in use, download failed, a storm missed its goals, a check failed
  2  the command line or the config file is wrong; one line on stderr says what and where
  3  stopped before running transfers had finished (drain time over, or a second signal)
`;

const interrupts = new Interrupts();
const context: CommandContext = { interrupts, stderr: process.stderr, version: readVersion() };

function complain(text: string): void {
  context.stderr.write(`reveille: ${text}\n`);
}

async function run(args: readonly string[]): Promise<ExitCode> {
  let code: ExitCode = EXIT.fine;
  const done = (result: ExitCode): void => {
    code = result;
  };
  const program = new Command('reveille')
    .description('A TFTP server for booting whole racks at once.')
    .version(context.version, '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .addHelpText('after', AFTER_HELP)
    .exitOverride()
    .configureOutput({
      writeOut(text) {
        // Whoever reads may leave early (`reveille --help | head -1`).
        process.stdout.on('error', () => {});
        process.stdout.write(text);
      },
      outputError: (text) =>
        complain(
          text
            .replace(/^error: /, '')
            .trim()
            .replace(/\s*\n\s*/g, ' '),
        ),
    });
  addServe(program, context, done);
  addGet(program, context, done);
  addStorm(program, context, done);
  addCheckCommand(program, context, done);
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    // Commander has printed by now: help and version are no mistakes, everything else is.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.fine : EXIT.usage;
    complain(errorLine(error));
    return error instanceof UsageError ? EXIT.usage : EXIT.failed;
  }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => interrupts.emit('signal', signal));
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    if (interrupts.emit('fault', error)) return;
    complain(errorLine(error));
    process.exitCode = EXIT.failed;
  });
}
// A terminal that has gone away is no reason to stop serving.
process.stderr.on('error', () => {});

const code = await run(process.argv.slice(2));
process.exitCode ??= code;
