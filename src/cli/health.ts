/**
 * `reveille health`: whether a running server answers requests, as an exit code. Made for health checks of containers
 * and of monitoring, where there is neither a shell nor curl.
 */
import type { Command } from 'commander';
import { EXIT, type ExitCode } from '../config/usage-error.ts';
import type { CommandContext } from '../daemon/interrupts.ts';
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

/** Adds the command. @param done receives its exit code. */
export function addHealth(program: Command, context: HealthContext, done: (code: ExitCode) => void): void {
  const { stdout = process.stdout } = context;
  adminCommand(program, 'health')
    .summary('check that a running server answers requests')
    .description('Asks a running server for /readyz at its admin address, and waits at most 10 s for the answer.')
    .addHelpText(
      'after',
      '\nExit codes: 0 the server answers requests; 1 it does not, or its admin address gave no answer; 2 wrong usage.\n',
    )
    .action(async ({ admin, config }: HealthFlags) => {
      const client = new AdminClient(await adminAddress(admin, configuredAdmin(config)), undefined);
      const said = await client.ready();
      // The reader may leave early.
      if (stdout === process.stdout) process.stdout.on('error', () => {});
      stdout.write(`${client.address}: ${said}\n`);
      done(EXIT.fine);
    });
}
