/** Runs the commands on a store in this process: their output and exit codes. */
import { Command } from 'commander';
import { addChannelCommands } from '../../src/cli/store/channel-commands.ts';
import { addCollectionCommands } from '../../src/cli/store/collection-commands.ts';
import { addPinCommands } from '../../src/cli/store/pin-commands.ts';
import { addPublish } from '../../src/cli/store/publish.ts';
import { addStoreCommand } from '../../src/cli/store/rebuild.ts';
import { Interrupts } from '../../src/daemon/interrupts.ts';

export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function runCommand(args: readonly string[]): Promise<Said> {
  const said = { code: 0, stdout: '', stderr: '' };
  const write = (key: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      said[key] += text;
      return true;
    },
  });
  const context = { interrupts: new Interrupts(), version: '0', stderr: write('stderr'), stdout: write('stdout') };
  const program = new Command('reveille').exitOverride();
  const done = (code: number): void => {
    said.code = code;
  };
  for (const add of [addPublish, addChannelCommands, addPinCommands, addCollectionCommands, addStoreCommand]) {
    add(program, context, done);
  }
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    return {
      ...said,
      code: 2,
      stderr: `${said.stderr}reveille: ${error instanceof Error ? error.message : String(error)}\n`,
    };
  }
  return said;
}

/** Every command on a store, with arguments that fit a channel `a` of two versions; `set` is a folder to publish. */
export function everyCommand(store: string, set: string): string[][] {
  return [
    ['channels'],
    ['versions', 'a'],
    ['verify'],
    ['pins'],
    ['gc', '--dry-run'],
    ['gc', '--grace', '0'],
    ['publish', 'a', set],
    ['keep', 'a-1'],
    ['channel', 'a', '--pin-idle', '5m'],
    ['rollback', 'a', '1'],
    ['rollout', 'a', 'a-2', '--percent', '5'],
    ['rollout', 'a', '--abort'],
    ['pin', '52:54:00:12:34:56', 'a-1'],
    ['pins', '--drop', '52:54:00:12:34:56'],
    ['pin', '52:54:00:12:34:56', 'a', '--drop'],
    ['store', 'rebuild'],
    ['remove', 'a-2'],
    ['gc', '--grace', '0'],
  ].map((args) => [...args, '--store', store]);
}
