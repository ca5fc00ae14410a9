/**
 * `reveille init`: writes a starter config, or one converted from another server's. Knows the folder from which the
 * starter is copied; overwrites nothing.
 */
import { constants, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { escapeText, showValue } from '../text/escape.ts';
import { type CarriedConfig, carriedYaml, shownRemarks } from '../config/carried-config.ts';
import { readDnsmasqConf } from '../config/dnsmasq-conf.ts';
import { readTftpdHpa } from '../config/tftpd-hpa.ts';
import { errorCode, errorLine } from '../text/error-text.ts';
import type { PreviewContext } from './preview-commands.ts';
import { EXIT, type ExitCode, UsageError } from '../config/usage-error.ts';

/** Both src/cli and dist/cli lie two folders below the package's root. */
const STARTER = fileURLToPath(new URL('../../examples/starter', import.meta.url));

/** @throws UsageError when a file of the starter exists already; nothing has been written then. */
export function writeStarter(folder: string): string[] {
  const names = readdirSync(STARTER, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(STARTER, join(entry.parentPath, entry.name)))
    .toSorted();
  const there = names.find((name) => existsSync(join(folder, name)));
  if (there !== undefined) {
    throw new UsageError(
      `init: ${escapeText(join(folder, there))}: expected no file of that name, and existing files are never overwritten`,
    );
  }
  for (const name of names) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    copyFileSync(join(STARTER, name), join(folder, name), constants.COPYFILE_EXCL);
  }
  return names;
}

interface InitFlags {
  readonly fromTftpdHpa?: string;
  readonly map?: string;
  readonly fromDnsmasq?: string;
}

function readText(flag: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`${flag}: expected a file, got ${showValue(file)} (${errorCode(error) ?? 'unreadable'})`, {
      cause: error,
    });
  }
}

/** @returns undefined when the starter config is wanted. @throws UsageError */
function carriedBy({ fromTftpdHpa, map, fromDnsmasq }: InitFlags): CarriedConfig | undefined {
  if (fromTftpdHpa !== undefined && fromDnsmasq !== undefined) {
    throw new UsageError('init: expected --from-tftpd-hpa or --from-dnsmasq, got both');
  }
  if (map !== undefined && fromTftpdHpa === undefined) throw new UsageError('--map: expected --from-tftpd-hpa as well');
  if (fromDnsmasq !== undefined) return readDnsmasqConf(readText('--from-dnsmasq', fromDnsmasq), fromDnsmasq);
  if (fromTftpdHpa === undefined) return undefined;
  return readTftpdHpa(readText('--from-tftpd-hpa', fromTftpdHpa), {
    file: fromTftpdHpa,
    mapFile: map,
    readMap: (file, origin = '--map') => readText(origin, file),
  });
}

/** @throws UsageError when there is a config already; nothing has been written then. */
function writeCarried(folder: string, config: CarriedConfig): string[] {
  const file = join(folder, 'reveille.yaml');
  mkdirSync(folder, { recursive: true });
  try {
    writeFileSync(file, carriedYaml(config), { flag: 'wx' });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    throw new UsageError(
      `init: ${escapeText(file)}: expected no file of that name, and existing files are never overwritten`,
      { cause: error },
    );
  }
  return ['reveille.yaml'];
}

/** Adds the command. @param done receives its exit code. */
export function addInit(program: Command, context: PreviewContext, done: (code: ExitCode) => void): void {
  program
    .command('init')
    .summary('write a starter config')
    .description('Writes a commented config, an inventory and templates for PXELINUX, GRUB and iPXE.')
    .argument('[DIR]', 'folder to write to', '.')
    .option('--from-tftpd-hpa <FILE>', 'convert /etc/default/tftpd-hpa instead')
    .option('--map <FILE>', 'with --from-tftpd-hpa: its map file (default: the one that its options name)')
    .option('--from-dnsmasq <FILE>', 'convert the TFTP options of a dnsmasq.conf instead')
    .action((folder: string, flags: InitFlags) => {
      const stdout = context.stdout ?? process.stdout;
      try {
        const carried = carriedBy(flags);
        const names = carried === undefined ? writeStarter(folder) : writeCarried(folder, carried);
        stdout.write(names.map((name) => `${escapeText(join(folder, name))}\n`).join(''));
        if (carried !== undefined)
          stdout.write(
            shownRemarks(carried)
              .map((remark) => `${remark}\n`)
              .join(''),
          );
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
