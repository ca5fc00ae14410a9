/** `reveille upgrade`: asks a keeper of this machine for a successor of its server. Knows how keepers look in /proc. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { EXIT, type ExitCode, UsageError } from '../config/usage-error.ts';
import type { CommandContext } from '../daemon/interrupts.ts';

const AFTER_HELP = `
The keeper starts a successor from the path on disk. Once it is prepared, it takes the sockets and the running transfers
over, and the present server ends. If it does not come up, nothing changes. The log says which of the two has happened.
The same: kill -USR2 PID, or systemctl kill -s USR2 --kill-whom=main reveille
`;

/** Returns the processes that run `reveille keeper`. */
function keepers(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
    .filter(isKeeper);
}

function isKeeper(pid: number): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
    const at = words.indexOf('keeper');
    return at > 0 && words[at + 1] === '--' && words[at + 2] === 'serve';
  } catch {
    // The process has ended, or belongs to another user.
    return false;
  }
}

/** Adds the command. @param done receives its exit code. */
export function addUpgrade(program: Command, { stderr }: CommandContext, done: (code: ExitCode) => void): void {
  program
    .command('upgrade')
    .summary('replace a server below a keeper without a gap')
    .description('Asks the keeper to replace its server by one that it starts from the path on disk.')
    .argument('[PID]', 'process of the keeper; needed where several run')
    .addHelpText('after', AFTER_HELP)
    .action((given: string | undefined) => {
      if (given !== undefined && !/^[1-9][0-9]{0,9}$/.test(given)) {
        throw new UsageError(`upgrade: expected the number of a process, got ${given}`);
      }
      const found = given === undefined ? keepers() : [Number(given)].filter(isKeeper);
      const [pid] = found;
      if (pid === undefined || found.length > 1) {
        const words = found.length > 1 ? `one keeper, or its PID; these run: ${found.join(', ')}` : 'a running keeper';
        stderr.write(`reveille: upgrade: expected ${words}\n`);
        return done(EXIT.failed);
      }
      process.kill(pid, 'SIGUSR2');
      stderr.write(`asked keeper ${pid} for a successor; its log says when it has taken over\n`);
      done(EXIT.fine);
    });
}
