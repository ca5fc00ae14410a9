/**
 * All settings of `reveille serve`. Their type, defaults, flags, help, config-file keys, checks, JSON Schema and the rows
 * of docs/configuration.md all come from this table. Starts nothing.
 */
import { BOOT_CONFIGS, BOOT_SETS, FILES, FLEET, MEMORY } from './content-settings.ts';
import { HTTP_BOOT } from './http-settings.ts';
import { ADDRESSES, LIMITS, OPTIONS } from './network-settings.ts';
import { defaultOf, section, type Setting, setting } from './setting.ts';
import { duration, file, oneOf, token, yesOrNo } from './value-kind.ts';

const HTTP_API = section('The HTTP API', {
  apiToken: setting({
    kind: token,
    from: 'file',
    help: 'the secret that opens the HTTP API',
    docs: [
      'The secret that allows its holder to change the store [over HTTP](operations.md#the-http-api), at the admin address, and to see nodes there from other machines.',
    ],
  }),
  apiTokenFile: setting({
    kind: file,
    help: 'file with the token of the HTTP API; without a token there is no API',
    docs: [
      'A file that holds the token, instead of `apiToken`.',
      'The server warns if every user of the machine can read this file, or a config file that contains `apiToken`.',
    ],
  }),
});

const PROCESS = section('Log and shutdown', {
  drainMs: setting({
    key: 'drain',
    kind: duration(0, 3_600_000, '30s'),
    default: 30_000,
    isLive: true,
    help: 'how long running transfers may go on after SIGTERM',
  }),
  logLevel: setting({
    kind: oneOf(['debug', 'info', 'warn', 'error']),
    default: 'info',
    isLive: true,
    help: 'least important lines to write',
    docs: ['The least important lines to write.', 'Lines about names that do not exist and about probes are `debug`.'],
  }),
  logFormat: setting({
    kind: oneOf(['json', 'pretty']),
    default: 'json',
    help: 'form of log lines, for programs or for people',
    docs: ['`json` writes one JSON object a line, `pretty` lines for people.'],
  }),
  hint: setting({
    kind: yesOrNo,
    defaultText: 'when stderr is a terminal',
    help: 'print a command that fetches a file, to try the server',
  }),
});

/** By their names in code, in the order of help and documents. */
export const SETTINGS = {
  ...FILES,
  ...ADDRESSES,
  ...HTTP_BOOT,
  ...MEMORY,
  ...LIMITS,
  ...OPTIONS,
  ...BOOT_SETS,
  ...BOOT_CONFIGS,
  ...FLEET,
  ...HTTP_API,
  ...PROCESS,
};

/** Values of all settings. Names in code end in their unit, where there is one; keys of the config file don't. */
export type Settings = {
  readonly [K in keyof typeof SETTINGS]: (typeof SETTINGS)[K] extends Setting<infer T> ? T : never;
};

/** The table as a list. */
export const SETTING_LIST: readonly (Setting<unknown> & { readonly name: keyof Settings })[] = Object.values(
  SETTINGS as Readonly<Record<string, Setting<unknown> & { readonly name: keyof Settings }>>,
);

export function defaultSettings(): Settings {
  return Object.fromEntries(SETTING_LIST.map((one) => [one.name, defaultOf(one)])) as Settings;
}
