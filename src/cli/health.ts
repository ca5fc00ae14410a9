/**
 * `reveille health`: whether a running server answers requests, as an exit code. Made for health checks of containers
 * and of monitoring, where there is neither a shell nor curl.
 */
import type { Command } from 'commander';
import { EXIT, type ExitCode, UsageError } from '../config/usage-error.ts';
import type { CommandContext } from '../daemon/interrupts.ts';
import { errorLine } from '../text/error-text.ts';
import { escapeLine } from '../text/escape.ts';
import { AdminClient } from './admin-client.ts';
import { adminAddress, adminCommand, configuredAdmin } from './admin-command.ts';

interface HealthContext extends CommandContext {
  /** Default: the process's own. */
  readonly stdout?: { write(text: string): unknown };
}

interface HealthFlags {
  readonly admin?: string;
  readonly config?: string;
}

/**
 * A running server keeps its settings while its file has a mistake, and whoever ends unhealthy servers must not end this
 * one: it could not start again. So the mistake is only said, and the default address is asked.
 */
function expectedAdmin(file: string | undefined, { stderr }: CommandContext): ReturnType<typeof configuredAdmin> {
  try {
    return configuredAdmin(file);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    stderr.write(`reveille: ${escapeLine(errorLine(error))}\n`);
    return {};
  }
}

/** Adds the command. @param done receives its exit code. */
export function addHealth(program: Command, context: HealthContext, done: (code: ExitCode) => void): void {
  const { stdout = process.stdout } = context;
  adminCommand(program, 'health')
    .summary('check that a running server answers requests')
    .description('Asks a running server for /readyz at its admin address, and waits at most 10 s for the answer.')
    .addHelpText(
      'after',
      '\nIf the config file has a mistake, the default address is asked: a running server keeps its former settings.\n' +
        '\nExit codes: 0 the server answers requests; 1 it does not, or its admin address gave no answer; 2 wrong usage.\n',
    )
    .action(async ({ admin, config }: HealthFlags) => {
      const client = new AdminClient(await adminAddress(admin, expectedAdmin(config, context)), undefined);
      const said = await client.ready();
      // The reader may leave early.
      if (stdout === process.stdout) process.stdout.on('error', () => {});
      stdout.write(`${client.address}: ${said}\n`);
      done(EXIT.fine);
    });
}
