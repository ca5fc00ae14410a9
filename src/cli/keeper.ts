/** `reveille keeper`: its arguments, and the signals that it passes on. Loads little, because it runs beside the server. */
import type { Command } from 'commander';
import { type ExitCode, UsageError } from '../config/usage-error.ts';
import type { CommandContext } from '../daemon/interrupts.ts';
import { givenDescriptors } from '../keeper/given-descriptors.ts';
import { Keeper } from '../keeper/keeper.ts';

const AFTER_HELP = `
Example:
  reveille keeper -- serve --config /etc/reveille.yaml

The keeper holds the sockets of the server that it starts. When the server dies, it starts another one with the same
sockets within a second, and no client gets a refusal meanwhile. It ends with the server's exit code when the server ends
by itself. It passes SIGTERM, SIGINT and SIGHUP on. At SIGUSR2 it starts a successor from the same path, which takes the
sockets and running transfers over (reveille upgrade). It needs Linux and koffi.
`;

/** Adds the command. @param done receives the exit code of the last server. */
export function addKeeper(
  program: Command,
  { interrupts, stderr }: CommandContext,
  done: (code: ExitCode) => void,
): void {
  program
    .command('keeper')
    .summary('run a server, and start it again with the same sockets when it dies')
    .description('Runs `reveille serve` with the arguments after `--`.')
    .argument('<command...>', 'serve, and its arguments')
    .addHelpText('after', AFTER_HELP)
    .action(async (command: readonly string[]) => {
      if (command[0] !== 'serve') throw new UsageError(`keeper: expected serve after --, got ${command[0]}`);
      const environment = { ...process.env };
      // The server answers the watchdog that the service manager has set for this process.
      delete environment['WATCHDOG_PID'];
      const keeper = new Keeper({
        command: [process.execPath, ...process.execArgv, process.argv[1]!, ...command],
        given: givenDescriptors(environment, process.pid),
        environment,
        say: (line) => stderr.write(`reveille keeper: ${line}\n`),
      });
      const stop = (signal: NodeJS.Signals): void => keeper.stop(signal);
      const reload = (): void => keeper.reload();
      const upgrade = (): void => keeper.upgrade();
      interrupts.on('signal', stop).on('reload', reload).on('upgrade', upgrade);
      try {
        done((await keeper.run()) as ExitCode);
      } finally {
        interrupts.off('signal', stop).off('reload', reload).off('upgrade', upgrade);
      }
    });
}
