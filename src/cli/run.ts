/**
 * Runs one command line: finds its command, prints mistakes as one line, and gives the exit code. Knows neither signals
 * nor the process.
 */
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { EXIT, type ExitCode, UsageError } from '../config/usage-error.ts';
import type { CommandContext } from '../daemon/interrupts.ts';
import { oneByOne } from '../load/one-by-one.ts';
import { errorLine } from '../text/error-text.ts';
import { escapeLine } from '../text/escape.ts';
import { versionText } from './version.ts';

export interface ProgramContext extends CommandContext {
  /** Receives the results. Default: the process's stdout. */
  readonly stdout?: { write(text: string | Uint8Array): unknown };
}

const AFTER_HELP = `
Examples:
  reveille serve /srv/tftp
  reveille serve --config /etc/reveille.yaml
  reveille keeper -- serve --config /etc/reveille.yaml
  reveille get tftp://192.0.2.1/boot/linux --blksize 1468 --windowsize 16
  reveille storm 192.0.2.1 --nodes 40 --plan boot.yaml --html report.html
  reveille check 192.0.2.1 --file linux
  reveille init /etc/reveille
  reveille explain pxelinux.cfg/01-52-54-00-12-34-56 --config /etc/reveille/reveille.yaml
  reveille top
  reveille node 52:54:00:12:34:56
  reveille health
  reveille publish maas/amd64/precise/install ./install --store /srv/boot
  reveille rollback maas/amd64/precise/install --store /srv/boot
  reveille push maas/amd64/precise/install oci://registry.example/boot/install:stable --store /srv/boot
  reveille pull oci://registry.example/boot/install:stable maas/amd64/precise/install --store /srv/boot
  reveille promote maas/amd64/precise/install --config /etc/reveille/reveille.yaml
  reveille servers --config /etc/reveille/reveille.yaml
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

type Add = (program: Command, context: ProgramContext, done: (code: ExitCode) => void) => void;

/**
 * Each group is loaded only when one of its commands is used: loading all of them takes longer than a small verb runs.
 */
const GROUPS: readonly { readonly commands: readonly string[]; readonly load: () => Promise<Add> }[] = [
  { commands: ['serve'], load: async () => (await loadServe()).addServe },
  { commands: ['keeper'], load: async () => (await import('./keeper.ts')).addKeeper },
  { commands: ['upgrade'], load: async () => (await import('./upgrade.ts')).addUpgrade },
  { commands: ['get'], load: async () => (await import('./get.ts')).addGet },
  { commands: ['storm'], load: async () => (await import('./storm.ts')).addStorm },
  { commands: ['check'], load: async () => (await import('./check.ts')).addCheckCommand },
  { commands: ['publish'], load: async () => (await import('./store/publish.ts')).addPublish },
  {
    commands: ['push', 'pull'],
    load: async () => (await import('./store/registry-commands.ts')).addRegistryCommands,
  },
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
  { commands: ['promote'], load: async () => (await import('./fleet/promote.ts')).addPromote },
  { commands: ['servers'], load: async () => (await import('./fleet/servers.ts')).addServers },
  { commands: ['top', 'node'], load: async () => (await import('./watch-commands.ts')).addWatchCommands },
  { commands: ['health'], load: async () => (await import('./health.ts')).addHealth },
  { commands: ['init'], load: async () => (await import('./init.ts')).addInit },
  {
    commands: ['gc', 'verify'],
    load: async () => (await import('./store/collection-commands.ts')).addCollectionCommands,
  },
];

/** Prints one line about a mistake or a failure. */
export function complain({ stderr }: CommandContext, text: string): void {
  stderr.write(`reveille: ${escapeLine(text)}\n`);
}

/**
 * Adds help, version and commands to a program. Commands inherit how it prints and exits, so set that before.
 *
 * @param done receives the exit code of the command that ran.
 * @param asked the command that will run: only its group is loaded. Help, and messages about mistakes, need all groups;
 *   any other text and undefined load them.
 */
export async function addCommands(
  program: Command,
  context: ProgramContext,
  done: (code: ExitCode) => void,
  asked?: string,
): Promise<void> {
  program
    .description('A TFTP and HTTP boot server for whole racks at once.')
    .version(versionText(), '--version', 'print the version and the commit that it was built from')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .addHelpText('after', AFTER_HELP);
  const wanted = GROUPS.filter(({ commands }) => commands.includes(asked ?? ''));
  const adders = await Promise.all((wanted.length > 0 ? wanted : GROUPS).map(({ load }) => load()));
  for (const add of adders) add(program, context, done);
}

/** @param args the command line behind `reveille`. @returns the exit code. */
export async function runCommand(args: readonly string[], context: ProgramContext): Promise<ExitCode> {
  let code: ExitCode = EXIT.fine;
  const done = (result: ExitCode): void => {
    code = result;
  };
  const program = new Command('reveille').exitOverride().configureOutput({
    writeOut(text) {
      // The reader may leave early (`reveille --help | head -1`).
      if (context.stdout === undefined) process.stdout.on('error', () => {});
      (context.stdout ?? process.stdout).write(text);
    },
    outputError: (text) =>
      complain(
        context,
        text
          .replace(/^error: /, '')
          .trim()
          .replace(/\s*\n\s*/g, ' '),
      ),
  });
  await addCommands(program, context, done, args[0]);
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    // Commander has printed its message: help and version exit with 0, everything else is a usage error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.fine : EXIT.usage;
    complain(context, errorLine(error));
    return error instanceof UsageError ? EXIT.usage : EXIT.failed;
  }
}
