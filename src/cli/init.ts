/** `reveille init`: a config to begin with. Knows the folder that it is copied from; overwrites nothing. */
import { constants, copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { escapeText } from '../text/escape.ts';
import { errorCode, errorLine } from '../text/error-text.ts';
import type { PreviewContext } from './preview-commands.ts';
import { EXIT, type ExitCode, UsageError } from '../config/usage-error.ts';

/** Both src/cli and dist/cli lie two folders below. */
const STARTER = fileURLToPath(new URL('../../examples/starter', import.meta.url));

/** @throws UsageError when a file of the starter is there already: nothing has been written then. */
export function writeStarter(folder: string): string[] {
  const names = readdirSync(STARTER, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(STARTER, join(entry.parentPath, entry.name)))
    .toSorted();
  const there = names.find((name) => existsSync(join(folder, name)));
  if (there !== undefined) {
    throw new UsageError(`init: ${escapeText(join(folder, there))}: expected no such file, and overwrite none`);
  }
  for (const name of names) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    copyFileSync(join(STARTER, name), join(folder, name), constants.COPYFILE_EXCL);
  }
  return names;
}

/** Adds the command. @param done gets its exit code. */
export function addInit(program: Command, context: PreviewContext, done: (code: ExitCode) => void): void {
  program
    .command('init')
    .summary('write a config to begin with')
    .description('Writes a commented config, an inventory and templates for PXELINUX, GRUB and iPXE.')
    .argument('[DIR]', 'where to', '.')
    .action((folder: string) => {
      const stdout = context.stdout ?? process.stdout;
      try {
        const names = writeStarter(folder);
        stdout.write(names.map((name) => `${escapeText(join(folder, name))}\n`).join(''));
        const config = escapeText(join(folder, 'reveille.yaml'));
        stdout.write(`Next: reveille validate --config ${config}; reveille serve --config ${config}\n`);
        done(EXIT.fine);
      } catch (error) {
        if (errorCode(error) === undefined) throw error;
        context.stderr.write(`reveille: init: ${escapeText(errorLine(error))}\n`);
        done(EXIT.failed);
      }
    });
}
