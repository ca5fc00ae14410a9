/** `reveille serve`: its flags and their help, from the settings. run-server.ts runs the server. */
import { createRequire } from 'node:module';
import { type Command, Option } from 'commander';
import { flag, repeatedFlag } from '../config/flag.ts';
import { tuneHeaps } from '../daemon/heap.ts';
import type { CommandContext } from '../daemon/interrupts.ts';
import type { Flags } from '../config/resolve-settings.ts';
import { type Setting, writtenDefault } from '../config/setting.ts';
import { SETTING_LIST } from '../config/settings.ts';
import type { ExitCode } from '../config/usage-error.ts';
import { oneByOne } from '../load/one-by-one.ts';

const require = createRequire(import.meta.url);

const AFTER_HELP = `
Sizes take B, KiB, MiB or GiB; durations ms, s, m or h. Flags win over the config file, which wins over the defaults.
The config file is YAML; its keys are root and the flags in camelCase (cacheBytes: 2GiB); --no-admin is admin: false,
and a repeatable flag is a list. Relative paths in it are relative to its folder. Some settings are in the file alone:
${SETTING_LIST.filter(({ from }) => from === 'file')
  .map(({ key }) => key)
  .join(', ')}.

SIGTERM or SIGINT: running transfers may finish within the drain time. A second one: they are aborted at once.
The log goes to stdout, one JSON object a line; "msg":"listening" says that requests are answered.
`;

/** Flags by the keys of their settings, as commander collects them. */
type GivenFlags = Readonly<Record<string, unknown>> & { readonly config?: string };

/** The default for people: `(default: 90s)`; with the value on this machine where the words do not tell it. */
function shownDefault(setting: Setting<unknown>): string {
  const { defaultText, kind, default: value } = setting;
  const written = writtenDefault(setting);
  if (kind.placeholder === undefined && defaultText === undefined) return written === true ? ' (default)' : '';
  const plain = typeof written === 'object' ? written.join(' and ') : written?.toString();
  const here = typeof value === 'function' ? `; here ${plain}` : '';
  const text = defaultText ?? plain;
  return text === undefined ? '' : ` (default: ${text}${here})`;
}

/** Adds the flags of a setting: one, and one more where it can be turned off. */
function addFlags(command: Command, setting: Setting<unknown>): void {
  const { kind, spelling, offFlag, section, help } = setting;
  if (spelling === undefined) return;
  const words = kind.words === undefined ? '' : `: ${kind.words.join(', ')}`;
  const text = `${help}${words}${kind.isList === true ? ', repeatable' : ''}${shownDefault(setting)}`;
  const hasValue = kind.placeholder !== undefined;
  const option = new Option(hasValue ? `${spelling} <${kind.placeholder}>` : spelling, text).helpGroup(`${section}:`);
  if (hasValue) option.argParser((kind.isList === true ? repeatedFlag : flag)(spelling, kind.onFlag ?? kind));
  command.addOption(option);
  if (offFlag !== undefined) command.addOption(new Option(offFlag, `turn ${spelling} off`).helpGroup(`${section}:`));
}

/** Adds the command. @param done receives its exit code. */
export function addServe(program: Command, context: CommandContext, done: (code: ExitCode) => void): void {
  const command = program
    .command('serve')
    .summary('serve a directory and boot sets over TFTP')
    .description('Serves the boot sets of a store, and the files below ROOT, over TFTP until told to stop.');
  const positional = SETTING_LIST.filter(({ from }) => from === 'argument');
  for (const { spelling, help, kind } of positional) {
    command.argument(`[${spelling}]`, help, flag(spelling!, kind));
  }
  for (const setting of SETTING_LIST) if (setting.from !== 'argument') addFlags(command, setting);
  command
    .option('--config <FILE>', 'YAML file with settings')
    .addHelpText('after', AFTER_HELP)
    .action(async () => {
      const { config, ...given }: GivenFlags = command.opts();
      const places = positional.map(({ name }, index) => [name, command.processedArgs[index]] as const);
      const named = SETTING_LIST.map(({ name, key }) => [name, given[key]] as const);
      const flags = Object.fromEntries([...named, ...places]) as Flags;
      tuneHeaps();
      // Loaded on demand: the server's packages take longer to load than most downloads of `get`.
      const { serve } = await oneByOne(
        () => require('../daemon/serve.js') as typeof import('../daemon/serve.ts'),
        () => import('../daemon/serve.ts'),
      );
      done(await serve(flags, config, context));
    });
}
