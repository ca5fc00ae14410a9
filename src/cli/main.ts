#!/usr/bin/env node
/**
 * The `reveille` command. The only place that handles signals and sets the exit code; it never calls process.exit(),
 * which would tear down worker threads in the middle of a packet.
 */
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { escapeLine } from '../text/escape.ts';
import { errorLine } from '../text/error-text.ts';
import { type CommandContext, Interrupts } from '../daemon/interrupts.ts';
import { EXIT, type ExitCode, UsageError } from '../config/usage-error.ts';
import { oneByOne } from '../load/one-by-one.ts';
import { readVersion } from './version.ts';

const AFTER_HELP = `
Examples:
  reveille serve /srv/tftp
  reveille serve --config /etc/reveille.yaml
  reveille get tftp://192.0.2.1/boot/linux --blksize 1468 --windowsize 16
  reveille storm 192.0.2.1 --nodes 40 --plan boot.yaml --html report.html
  reveille check 192.0.2.1 --file linux
  reveille init /etc/reveille
  reveille explain pxelinux.cfg/01-52-54-00-12-34-56 --config /etc/reveille/reveille.yaml
  reveille top
  reveille node 52:54:00:12:34:56
  reveille publish maas/amd64/precise/install ./install --store /srv/boot
  reveille rollback maas/amd64/precise/install --store /srv/boot
  reveille store rebuild --store /srv/boot

Exit codes:
  0  success
  1  failure, such as: address in use, download failed, a storm missed its goals, a check failed, a disk is full
  2  wrong input: the command line, the config file or a boot set; one line on stderr says what and where
  3  the server stopped before its transfers had finished (end of the drain time, or a second signal)
`;

const require = createRequire(import.meta.url);

/** `serve` must be loaded before all other groups: a module whose import has begun can't be required. */
function loadServe(): Promise<typeof import('./serve.ts')> {
  return oneByOne(
    () => require('./serve.js') as typeof import('./serve.ts'),
    () => import('./serve.ts'),
  );
}

type Add = (program: Command, context: CommandContext, done: (code: ExitCode) => void) => void;

/**
 * Each group is loaded only when one of its commands is used: loading all of them takes longer than a small verb runs.
 */
const GROUPS: readonly { readonly commands: readonly string[]; readonly load: () => Promise<Add> }[] = [
  { commands: ['serve'], load: async () => (await loadServe()).addServe },
  { commands: ['get'], load: async () => (await import('./get.ts')).addGet },
  { commands: ['storm'], load: async () => (await import('./storm.ts')).addStorm },
  { commands: ['check'], load: async () => (await import('./check.ts')).addCheckCommand },
  { commands: ['publish'], load: async () => (await import('./store/publish.ts')).addPublish },
  {
    commands: ['channels', 'versions', 'rollback', 'remove', 'keep', 'channel'],
    load: async () => (await import('./store/channel-commands.ts')).addChannelCommands,
  },
  { commands: ['store'], load: async () => (await import('./store/rebuild.ts')).addStoreCommand },
  { commands: ['pins', 'pin', 'rollout'], load: async () => (await import('./store/pin-commands.ts')).addPinCommands },
  {
    commands: ['render', 'explain', 'validate'],
    load: async () => (await import('./preview-commands.ts')).addPreviewCommands,
  },
  { commands: ['top', 'node'], load: async () => (await import('./watch-commands.ts')).addWatchCommands },
  { commands: ['init'], load: async () => (await import('./init.ts')).addInit },
  {
    commands: ['gc', 'verify'],
    load: async () => (await import('./store/collection-commands.ts')).addCollectionCommands,
  },
];

// Sets the number of threads for file calls before the first one starts, because a disk that hangs keeps some of them
// (see disk-turns.ts). Before Node.js 24 the threads exist by now, since they read this file; there the environment
// must set the number, as the systemd unit does.
if (Number(process.versions.node.split('.')[0]) >= 24) process.env['UV_THREADPOOL_SIZE'] ??= '16';

const interrupts = new Interrupts();
const context: CommandContext = { interrupts, stderr: process.stderr, version: readVersion() };

function complain(text: string): void {
  context.stderr.write(`reveille: ${escapeLine(text)}\n`);
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
        // The reader may leave early (`reveille --help | head -1`).
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
  const asked = GROUPS.filter(({ commands }) => commands.includes(args[0] ?? ''));
  // Help and messages about mistakes need all groups.
  const adders = await Promise.all((asked.length > 0 ? asked : GROUPS).map(({ load }) => load()));
  for (const add of adders) add(program, context, done);
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    // Commander has printed its message: help and version exit with 0, everything else is a usage error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.fine : EXIT.usage;
    complain(errorLine(error));
    return error instanceof UsageError ? EXIT.usage : EXIT.failed;
  }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => interrupts.emit('signal', signal));
// A `serve` that cannot reload ends on SIGHUP as on any other signal. Other commands do not handle SIGHUP: the system
// ends them.
const reloads = process.argv[2] === 'serve';
if (reloads) process.on('SIGHUP', () => interrupts.emit('reload') || interrupts.emit('signal', 'SIGHUP'));
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    if (interrupts.emit('fault', error)) return;
    complain(errorLine(error));
    process.exitCode = EXIT.failed;
  });
}
// Serving goes on when the terminal has gone away.
process.stderr.on('error', () => {});

const code = await run(process.argv.slice(2));
process.exitCode ??= code;
